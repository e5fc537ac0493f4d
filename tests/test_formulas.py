"""Every formula has one home, and the line that computes it carries its number."""

import re
from pathlib import Path

import minigpt

PACKAGE = Path(minigpt.__file__).parent
MARK = re.compile(r"# eq (\d+\.\d+)\b(?!, fast)")
FAST = re.compile(r"# eq (\d+\.\d+), fast")

# Lesson.formula: the file it is computed in.
HOMES = {
    "text/tokenizer.py": ["1.1"],
    "model/embedding.py": ["2.1"],
    "model/attention.py": ["3.1", "3.2", "3.3", "3.4"],
    "model/mlp.py": ["4.1", "4.2"],
    "model/layer_norm.py": ["5.1"],
    "model/block.py": ["5.2", "5.3"],
    "model/gpt.py": ["6.1", "6.2"],
    "model/light.py": ["16.5"],
    "config.py": ["6.3"],
    "sample/sampling.py": ["7.1"],
    "learn/loss.py": ["8.1", "8.2", "8.3"],
    "learn/optimizer.py": ["9.1", "9.2", "9.3", "9.4"],
    "learn/schedule.py": ["9.5"],
    "learn/trainer.py": ["9.6", "13.1", "16.2"],
    "measure/cost.py": ["10.1", "10.2", "16.3", "16.4"],
    "text/records.py": ["11.1"],
    "text/template.py": ["11.2", "12.1"],
    "text/examples.py": ["11.3", "11.4"],
    "measure/perplexity.py": ["14.1"],
    "measure/accuracy.py": ["14.2"],
    "measure/ratings.py": ["14.3"],
    "measure/gradients.py": ["13.2"],
    "preference/bradley_terry.py": ["15.3"],
    "preference/dpo.py": ["15.4"],
    "preference/likelihood.py": ["15.5"],
    "preference/optimum.py": ["15.8"],
    "preference/policy.py": ["15.1", "15.2", "15.6", "15.7"],
    "model/low_rank.py": ["16.1"],
}


def marks() -> dict[str, list[str]]:
    """The numbers marked in each file of the package."""
    found = {str(path.relative_to(PACKAGE)): MARK.findall(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py")}
    return {path.replace("\\", "/"): numbers for path, numbers in found.items() if numbers}


def test_each_formula_is_marked_where_it_lives_and_nowhere_else():
    assert {path: set(numbers) for path, numbers in marks().items()} == {path: set(n) for path, n in HOMES.items()}


def test_a_formula_is_marked_on_one_line_or_on_the_first_and_last_of_a_few():
    for path in PACKAGE.rglob("*.py"):
        lines: dict[str, list[int]] = {}
        for i, line in enumerate(path.read_text("utf-8").splitlines()):
            for number in MARK.findall(line):
                lines.setdefault(number, []).append(i)
        for number, found in lines.items():
            assert len(found) <= 2, f"{path}: eq {number}"
            assert found[-1] - found[0] <= 4, f"{path}: eq {number}"


def test_a_fast_form_is_in_the_file_of_its_formula():
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text("utf-8")
        assert set(FAST.findall(text)) <= set(MARK.findall(text)), path


def test_a_mark_stands_on_a_line_of_code():
    for path in HOMES:
        for line in (PACKAGE / path).read_text("utf-8").splitlines():
            if MARK.search(line):
                assert line.split("#")[0].strip(), f"{path}: {line}"
