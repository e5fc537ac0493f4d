"""What the lessons say of the package is so: formulas and lines, figures, the map, the words and the notebooks."""

import contextlib
import io
import re
import shutil
from pathlib import Path

import nbformat
import pytest
import torch

from lessons.harness import fences, links, mend, notebooks

READMES = [pytest.param(path, id=path.parent.name) for path in links.lessons()]
FOUND, WRONG = links.places()
EACH = pytest.mark.parametrize("readme", READMES)


def test_each_formula_is_computed_in_one_place() -> None:
    assert WRONG == []


@EACH
def test_each_formula_of_a_lesson_links_to_its_lines(readme: Path) -> None:
    """`python -m lessons --fix` renews them."""
    text = readme.read_text("utf-8")
    new, wrong = links.check(text, int(readme.parent.name[:2]), FOUND)
    assert wrong == []
    assert new == text


@EACH
def test_a_lesson_has_its_size(readme: Path) -> None:
    text = readme.read_text("utf-8")
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    words = len(prose.split())
    print(f"{readme.parent.name}: {words} words, {len(links.FORMULA.findall(text))} formulas")
    assert 900 <= words <= 1500
    assert len(links.FORMULA.findall(text)) <= 8


@EACH
def test_every_file_that_a_lesson_links_to_is_there(readme: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", readme.read_text("utf-8")):
        assert (readme.parent / target).exists(), target


def test_the_package_and_the_readme_name_no_lesson_that_does_not_exist() -> None:
    """A formula's number may be ahead of its lesson; "Read with lesson 05" may not."""
    exist = {readme.parent.name[:2] for readme in links.lessons()}
    root = Path(__file__).parents[2]
    for path in [root / "README.md", *(root / "minigpt").rglob("*.py")]:
        named = re.findall(r"[Ll]essons? (\d\d)(?: and (\d\d))?", path.read_text("utf-8"))
        assert {number for pair in named for number in pair if number} <= exist, path


def test_the_map_links_to_files_that_are_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", (links.LESSONS / "README.md").read_text("utf-8")):
        assert (links.LESSONS / target).exists(), target


def test_each_figure_is_what_the_model_gives_and_none_is_left_over() -> None:
    """`python -m lessons --fix` draws them again."""
    drawn = dict(mend.figures())
    for path, text in drawn.items():
        assert path.read_text("utf-8") == text, path
        assert len(text.encode()) <= 10_000, path
        assert "<title>" in text
    assert set(drawn) == set(links.LESSONS.glob("[0-9]*/figures/*"))
    for path in drawn:
        assert f"](figures/{path.name})" in (path.parents[1] / "README.md").read_text("utf-8"), path


def test_the_map_is_that_of_the_lessons_and_complete() -> None:
    """`python -m lessons --fix` writes it again. Every formula that is marked for a lesson here is in its row."""
    text = (links.LESSONS / "README.md").read_text("utf-8")
    assert text == mend.the_map()
    for readme in links.lessons():
        (row,) = [line for line in text.splitlines() if f"]({readme.parent.name}/README.md)" in line]
        own = {number for number in FOUND if number.split(".")[0] == str(int(readme.parent.name[:2]))}
        assert set(re.findall(r"\((\d+\.\d+)\)", row)) >= own


def test_no_formula_and_no_section_of_the_documents_lacks_a_lesson() -> None:
    """But those that documents.md calls planned: their lessons are to come."""
    taught = {match["number"] for path in links.lessons() for match in links.FORMULA.finditer(path.read_text("utf-8"))}
    assert set(FOUND) == taught
    page = (links.LESSONS / "documents.md").read_text("utf-8")
    planned = {section for section in mend.sections() if re.search(rf"^\| {section} \|.*\| planned \|$", page, re.M)}
    for section, formulas in mend.sections().items():
        assert section in planned or formulas <= taught, section
    (to_come,) = mend.TO_COME.findall((links.LESSONS / "README.md").read_text("utf-8"))
    assert to_come == f"Not in a lesson yet: {mend.named([s for s in mend.sections() if s in planned]) or 'nothing'}.\n"


def test_an_inserted_line_in_the_package_is_seen_and_mended(tmp_path: Path) -> None:
    shutil.copytree(links.ROOT / "minigpt", tmp_path / "minigpt", ignore=shutil.ignore_patterns("*.jsonl"))
    readme = links.LESSONS / "03_attention" / "README.md"
    text = readme.read_text("utf-8")
    found, wrong = links.places(tmp_path)
    assert (links.check(text, 3, found, tmp_path), wrong) == ((text, []), [])
    path = tmp_path / "minigpt" / "model" / "attention.py"
    path.write_text("\n" + path.read_text("utf-8"), "utf-8")
    moved, _ = links.places(tmp_path)
    new, wrong = links.check(text, 3, moved, tmp_path)
    assert len(wrong) == 4
    assert links.check(new, 3, moved, tmp_path) == (new, [])
    line = found["3.1"][0].first
    assert f"attention.py#L{line})" in text
    assert f"attention.py#L{line + 1})" in new


def test_what_breaks_a_link_is_said() -> None:
    formulas = ("\\operatorname{x} \\qquad (3.1)", "y", "z \\qquad (3.9)")
    _, wrong = links.check("".join(f"```math\n{formula}\n```\n\n" for formula in formulas), 3, FOUND)
    said = "\n".join(wrong)
    assert "(3.1) uses \\operatorname, which GitHub does not render." in said
    assert "(3.9) has no line in the package; mark it with `# eq 3.9`." in said
    assert "3 ```math blocks, but 2 of them end with" in said
    assert "(3.4) is marked in minigpt/model/attention.py but is not in this lesson." in said


def fence_results(path: Path, text: str, order: list[int]) -> list[str | None]:
    """What the fences of a lesson say when they are run in this order; "skipped" where one is."""
    path.write_text(text, "utf-8")
    examples = list(fences.Fences([fences.parse], path=str(path.parent), pattern="*.md").parse(path).examples())
    results = []
    for i in order:
        try:
            results.append(fences.evaluate(examples[i]))
        except pytest.skip.Exception:
            results.append("skipped")
    return results


def test_fences_run_in_any_order_and_one_can_be_picked(tmp_path: Path) -> None:
    text = "".join(f"```python\n{code}\n```\n" for code in ("x = 1", "x += 1", "assert x == 2"))
    for order in ([0, 1, 2], [2, 1, 0], [2], [1, 2, 0]):
        assert fence_results(tmp_path / "a.md", text, order) == [None] * len(order)


def test_a_fence_that_stops_shows_the_lesson_s_own_lines_and_later_ones_are_skipped(tmp_path: Path) -> None:
    text = "# A\n\n```python\ndef f(x):\n    return 1 / x\n```\n\n```python\nf(0)\n```\n\n```python\nprint(1)\n```\n"
    said = [None, "  line 9: f(0)\n  line 5: return 1 / x\nZeroDivisionError: division by zero", "skipped"]
    assert fence_results(tmp_path / "a.md", text, [0, 1, 2]) == said
    assert fence_results(tmp_path / "a.md", text, [2, 1, 0]) == said[::-1]


def test_shapes_in_a_fence_are_checked(tmp_path: Path) -> None:
    code = 'import torch\nfrom jaxtyping import Float\ndef f(x: Float[torch.Tensor, "T T"]):\n    pass\n'
    text = f"```python\n{code}f(torch.ones(2, 2))\n```\n```python\nf(torch.ones(2, 3))\n```\n"
    fine, wrong = fence_results(tmp_path / "a.md", text, [0, 1])
    assert fine is None
    assert wrong.startswith("  line 9: f(torch.ones(2, 3))\nTypeCheckError")


def test_output_is_compared_to_the_digits_shown_and_mended(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    text = "```python\nprint(2 / 3)\n```\n\n```text\n0.67\n```\n\n```python\nprint('a')\n```\nend\n"
    fine, missing = fence_results(path, text, [0, 1])
    assert fine is None
    assert missing.startswith("no ```text fence shows what it prints: it printed\na\n")
    (wrong,) = fence_results(path, text.replace("0.67", "0.66"), [0])
    assert wrong.startswith("the lesson shows\n0.66\nbut it printed\n0.666")
    path.write_text(mended := fences.with_outputs(path), "utf-8")
    assert mended.endswith("```python\nprint('a')\n```\n\n```text\na\n```\nend\n")
    assert fence_results(path, mended, [1, 0]) == [None, None]


@pytest.mark.parametrize(
    ("printed", "shown", "right"),
    [
        ("0.804 a", "0.80  a", True), ("0.81", "0.80", False), ("0.806", "0.80", False), ("-0.00", "0.00", True),
        ("3.64e-06", "3.6e-6", True), ("3.7e-6", "3.6e-6", False), ("12", "12.0", False), ("2", "3", False),
        ("1.0 2.0", "1.0", False), ("", None, True), ("a", None, False), ("1. b", "1. c", False),
    ],
)  # fmt: skip
def test_numbers_agree_to_the_digits_shown_and_words_exactly(printed: str, shown: str | None, right: bool) -> None:
    assert fences.agrees(printed, shown) == right


def test_other_tests_draws_do_not_change_a_lesson_s_random_numbers(tmp_path: Path) -> None:
    codes = "import torch\nx = torch.rand(2)", "assert not torch.equal(x, torch.rand(2))\nprint(x.sum())"
    text = "".join(f"```python\n{code}\n```\n" for code in codes)
    path = tmp_path / "a.md"
    path.write_text(text, "utf-8")
    said = set()
    for seed in (1, 2):
        examples = list(fences.Fences([fences.parse], path=str(tmp_path), pattern="*.md").parse(path).examples())
        fences.evaluate(examples[0])
        torch.manual_seed(seed)
        said.add(fences.evaluate(examples[1]))
    assert len(said) == 1


def test_a_lesson_s_notebook_runs_from_top_to_bottom_and_prints_what_the_lesson_shows(tmp_path, monkeypatch) -> None:
    written = notebooks.export(tmp_path / "books")
    assert [path.stem for path in written] == [path.parent.name for path in links.lessons()]
    book = nbformat.read(tmp_path / "books" / "03_attention.ipynb", as_version=4)
    nbformat.validate(book)
    monkeypatch.chdir(tmp_path / "books")  # where a notebook server would run it
    names: dict[str, object] = {}
    codes = [cell for cell in book.cells if cell.cell_type == "code"]
    for cell in codes:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(cell.source, names)
        assert fences.agrees(printed.getvalue(), "".join(output.text for output in cell.outputs) or None), cell.source
    text = (links.LESSONS / "03_attention" / "README.md").read_text("utf-8")
    assert len(codes) == 1 + text.count("```python\n")
    markdown = "\n".join(cell.source for cell in book.cells if cell.cell_type == "markdown")
    assert "```math" not in markdown
    assert "```text" not in markdown
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", markdown):
        assert (tmp_path / "books" / target).exists(), target
