"""`python -m minigpt.rate`: from two models to a page, from raters' files to figures and pairs."""

import errno
import json
import os
import random
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lessons.trained import MODEL
from minigpt import GPT, read_conversations
from minigpt.rating.answers import Reference, collect
from minigpt.rating.files import read_key
from minigpt.rating.key import Key
from minigpt.text.pairs import read_pairs
from minigpt.text.records import BUILTIN
from minigpt.text.template import save_template, template_of
from tests.commands.conftest import Outcome
from tests.rating.raters import follows, key_of, saved, write_key, write_ratings

ROWS = read_conversations([BUILTIN / "test.jsonl"])
ANSWERS = {row.source: row.answer for row in ROWS}


@pytest.fixture(scope="module")
def coarse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """lessons/model with its weights rounded to multiples of 1/16, which makes it worse."""
    model, folder = GPT.from_pretrained(MODEL), tmp_path_factory.mktemp("models") / "coarse"
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_((16 * parameter).round() / 16)
    model.save_pretrained(folder)
    save_template(folder, template_of(MODEL))
    return folder


@pytest.fixture
def page(cli: Callable[..., Outcome], coarse: Path) -> Key:
    """The key of a page that compares the two models."""
    done = cli("rate", "prepare", "--models", MODEL, coarse, "--rows", 40, "--seed", 5)
    assert (done.status, done.out.count("\n")) == (0, 4)
    return read_key(Path("rating.key.json"))


def rate(key: Key, noise: float = 0.1) -> None:
    """Three raters who follow the reference answers, but for some noise."""
    wanted = {item.id: ANSWERS[item.source] for item in key.items}
    for i, name in enumerate(("Anna", "Bao", "Chi")):
        write_ratings(Path(), saved(key, name, follows(wanted, noise, seed=i)))


def test_the_better_of_two_models_wins_and_its_wins_become_pairs_that_prefer_learns_from(cli, page, coarse):
    """From end to end: prepare, three raters, summarize, prefer."""
    assert len(page.items) == 40
    assert {item.sides[0].model for item in page.items} == {0, 1}
    rate(page)
    files = ("--out", "report.md", "--plot", "ratings.png", "--to-preferences", "pairs.jsonl")
    done = cli("rate", "summarize", "rating.key.json", "ratings-*.json", *files)
    assert done.status == 0, done.err
    report = Path("report.md").read_text()
    assert done.out.startswith(report)
    assert "3 raters, each of whom judged 40 of 40 items." in report
    score = next(line for line in report.splitlines() if line.startswith("- The score of"))
    assert float(re.search(r"\((\d+\.\d)%", score)[1]) > 50, score
    assert Path("ratings.png").stat().st_size > 10_000
    pairs = read_pairs(["pairs.jsonl"])
    right = [pair.chosen in ANSWERS.values() for pair in pairs]
    assert len(pairs) >= 15
    assert sum(right) / len(right) > 0.9
    left_out = 40 - len(pairs)
    assert f"Pairs in pairs.jsonl: {len(pairs)}; left out: " in done.out
    assert sum(int(part.split()[0]) for part in done.out.rpartition("left out: ")[2].split(", ")) == left_out
    learned = cli("prefer", "--init", coarse, "--data", "pairs.jsonl", "--steps", 1, "--batch-size", 4, "--run", "run")
    assert learned.status == 0, learned.err


def test_the_same_seed_gives_the_same_page_and_none_is_drawn_that_nobody_knows(cli, coarse):
    ask = ("rate", "prepare", "--models", MODEL, coarse, "--rows", 6, "--out")
    for out, seed in (("a.html", 3), ("b.html", 3), ("c.html", 4)):
        assert cli(*ask, out, "--seed", seed).status == 0
    for out in ("d.html", "e.html"):
        assert cli(*ask, out).status == 0
    keys = [read_key(Path(f"{name}.key.json")) for name in "abcde"]
    assert keys[0] == keys[1]
    assert Path("a.html").read_bytes() == Path("b.html").read_bytes()
    assert len({key.seed for key in keys}) == 4
    assert len({key.page for key in keys}) == 4
    taken = [[item.source for item in key.items] for key in keys[1:]]
    assert len({*map(tuple, taken)}) == 4, "which conversations are taken is drawn too"


def test_answers_are_drawn_at_a_temperature_and_greedily_without(cli, coarse):
    ask = ("rate", "prepare", "--models", MODEL, "--rows", 20, "--seed", 3)
    for out, heat in (("a.html", 0), ("b.html", 1.5), ("c.html", 1.5)):
        assert cli(*ask, "--out", out, "--temperature", heat).status == 0
    greedy, drawn, again = (
        [item.answers for item in read_key(Path(f"{name}.key.json")).items] for name in ("a", "b", "c")
    )
    assert drawn == again
    assert sum(a != b for a, b in zip(greedy, drawn, strict=True)) > 10


def test_the_seed_fixes_the_answers_too_and_language_and_temperature_are_kept(cli, tmp_path):
    """One row, so that only its answers can differ."""
    rows = tmp_path / "row.jsonl"
    rows.write_text(json.dumps({"question": "Name the color of milk.", "answer": "white"}) + "\n")
    ask = ("rate", "prepare", "--models", MODEL, "--data", rows, "--temperature", 5, "--language", "vi")
    answers = set()
    for seed in range(4):
        done = cli(*ask, "--seed", seed, "--out", f"{seed}.html", "--max-new-tokens", 20)
        assert done.status == 0, done.err
        key = read_key(Path(f"{seed}.key.json"))
        assert (key.language, key.temperature, key.seed) == ("vi", 5.0, seed)
        answers.update(key.items[0].answers)
    assert len(answers) == 4
    assert '<html lang="vi">' in Path("0.html").read_text(encoding="utf-8")


def test_a_model_is_rated_beside_the_reference_and_alone(cli):
    assert cli("rate", "prepare", "--models", MODEL, "reference", "--rows", 5, "--out", "two.html").status == 0
    for item in read_key(Path("two.key.json")).items:
        assert item.answers[1] == ANSWERS[item.source] != item.answers[0]
    assert cli("rate", "prepare", "--models", MODEL, "--rows", 5, "--out", "one.html").status == 0
    key = read_key(Path("one.key.json"))
    assert [len(item.sides) for item in key.items] == [1] * 5
    rate(key)
    for path in Path().glob("ratings-*.json"):
        values = json.loads(path.read_text())
        for item in values["items"].values():
            item["preference"] = None
        path.write_text(json.dumps(values))
    done = cli("rate", "summarize", "one.key.json", *Path().glob("ratings-*.json"))
    assert (done.status, "Which answer" in done.out) == (0, False)
    done = cli("rate", "summarize", "one.key.json", "ratings-*.json", "--to-preferences", "pairs.jsonl")
    assert (done.status, done.out) == (2, "")
    assert "this one has one answer an item" in done.err
    assert not Path("pairs.jsonl").exists()


def test_equal_answers_are_counted_and_not_shown_and_few_that_differ_are_said(cli, questions, run):
    """A copy of a model says the same everywhere."""
    model, copy = GPT.from_pretrained(run / "model"), Path("copy")
    model.save_pretrained(copy)
    save_template(copy, template_of(run / "model"))
    same = cli("rate", "prepare", "--models", run, copy, "--data", questions, "--max-new-tokens", 4)
    assert (same.status, same.out) == (2, "")
    assert same.err.endswith("nothing to rate in 40 conversations: 40 with the same answer twice.\n")
    assert not Path("rating.html").exists()
    few = cli("rate", "prepare", "--models", MODEL, "reference", "--data", BUILTIN / "test.jsonl", "--rows", 1000)
    assert few.status == 0
    key = read_key(Path("rating.key.json"))
    assert len(key.items) + key.equal == len(ROWS)
    assert f"items: {len(key.items)}, all that there are (--rows asked for 1,000)." in few.out
    assert f"Conversations not shown: {key.equal} with the same answer twice." in few.out


def test_answers_that_differ_in_spaces_around_them_alone_are_the_same_to_a_rater():
    class Says(Reference):
        def __init__(self, *said: str) -> None:
            self.said = said

        def answers(self, rows: list, seed: int, progress: object) -> list[str]:
            return [*self.said]

    found = collect([Says("a", "b", "c c"), Says(" a\n", "b", "c  c")], ROWS[:3], 3, random.Random(0))
    assert (len(found.items), found.equal) == (1, 2)
    assert found.items[0].answers == ["c c", "c  c"]


def test_prompts_longer_than_the_context_are_left_out_and_counted(cli, tmp_path, run):
    rows = [{"question": "x" * 5000, "answer": "y"}, {"question": "x", "answer": "y"}]
    (tmp_path / "long.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ask = ("rate", "prepare", "--models", run, "reference", "--max-new-tokens", 3, "--data", "long.jsonl")
    done = cli(*ask)
    assert done.status == 0, done.err
    assert "items: 1, all that there are" in done.out
    assert "Conversations not shown: 1 too long for a model's context." in done.out
    (tmp_path / "long.jsonl").write_text(json.dumps(rows[0]) + "\n")
    assert cli(*ask, "--out", "other.html").err.endswith("in 1 conversations: 1 too long for a model's context.\n")


def test_a_full_disk_leaves_neither_the_key_nor_half_a_page(cli, monkeypatch):
    write = Path.write_text

    def full(path: Path, text: str, **options: str) -> None:
        write(path, text if path.suffix == ".json" else text[:999], **options)
        if path.suffix == ".html":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    done = cli("rate", "prepare", "--models", MODEL, "--rows", 1)
    assert (done.status, done.out) == (2, "")
    assert done.err.endswith("rating.html cannot be written: No space left on device.\n")
    assert not any(Path().glob("rating*"))


def test_pairs_as_data_give_their_prompts(cli):
    assert cli("rate", "prepare", "--models", MODEL, "reference", "--data", "builtin-pairs", "--rows", 3).status == 0
    chosen = {pair.source: pair.chosen for pair in read_pairs([BUILTIN / "pairs-test.jsonl"])}
    for item in read_key(Path("rating.key.json")).items:
        assert item.answers[1] == chosen[item.source]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("prepare", "--models", MODEL, MODEL), "names .* twice"),
        (("prepare", "--models", "reference", "reference"), "names reference twice"),
        (("prepare", "--models", MODEL, "reference", "x"), "names 3 models; people compare two, or rate one"),
        (("prepare", "--models", "nowhere"), "nowhere"),
        (("prepare", "--models", MODEL, "--data", "story.txt"), "is plain text; people rate answers"),
        (("prepare", "--models", MODEL, "--out", "no/where.html"), "there is no folder no"),
        (("prepare", "--models", MODEL, "--out", "."), r"\. is not the name of a web page; let it end with \.html"),
        (("prepare", "--models", MODEL, "--out", "new.key.json"), "new.key.json is not the name of a web page"),
        (("prepare", "--models", MODEL, "--out", "there.html"), "there.html already exists"),
        (("prepare", "--models", MODEL, "--out", "kept.html"), r"kept\.key\.json already exists"),
        (("prepare", "--models", MODEL, "--language", "de"), "it takes one of en, vi"),
        (("prepare", "--model", MODEL), "did you mean --models|here it is called --models"),
        (("summarize",), "key is missing"),
        (("summarize", "key.json"), "ratings is missing"),
        (("summarize", "key.json", "none-*.json"), r"There is no file none-\*\.json"),
        (("summarize", "key.json", "none.json"), "none.json cannot be read"),
        (("summarize", "key.json", "ratings-Anna.json", "--plot", "x.mp3"), "none of the formats"),
        (("summarize", "key.json", "ratings-Anna.json", "--out", "no/report.md"), "there is no folder no"),
        (("summarize", "key.json", "ratings-Anna.json", "ratings-Anna.json", "--out", "r.md"), "is given twice"),
        (("summarize", "key.json", "ratings-Half.json", "--out", "r.md"), "ratings-Half.json is not JSON"),
        (("summarize", "key.json", "ratings-Anna.json", "--out", "key.json"), "key.json would replace"),
        (("summarize", "key.json", "ratings-*.json", "--to-preferences", "ratings-Half.json"), "json would replace"),
        (("summarize", "key.json", "ratings-Anna.json", "--plot", "linked.png"), "linked.png would replace"),
        (("summarize", "key.json", "ratings-Anna.json", "--out", "r", "--plot", "./r"), "r would replace"),
        (("summarize", "key.json", "x" * 300), "File name too long"),
        (("summarize", "key.json", "x" * 300 + "*"), r"There is no file x+\*"),
        (("summarize", "changed.json", "ratings-Anna.json", "--out", "r.md"), "was changed after it was written"),
        (("summarize", "other.json", "ratings-Anna.json", "--out", "r.md"), "of another page"),
        (("summarize", "key.json", "ratings-Nobody.json", "--out", "r.md"), "Nobody has judged anything"),
        (("summarise", "--key"), "There is no option --key"),
        (("prepair",), "There is no prepair; did you mean prepare"),
        (("xyzzy",), "There is no xyzzy; there are prepare and summarize"),
    ],
    ids=str,
)
def test_a_mistake_is_a_sentence_with_status_2_and_nothing_is_written(cli, words, said):
    key = key_of([("a", "b"), ("c", "d")])
    write_key(Path("key.json"), key)
    write_key(Path("other.json"), key_of([("a", "x"), ("c", "d")]))
    Path("changed.json").write_text(json.dumps(key.as_json() | {"models": ["runs/b", "runs/a"]}))
    anna = write_ratings(Path(), saved(key, "Anna", lambda item: (0, {})))
    write_ratings(Path(), saved(key, "Nobody", lambda item: None))
    Path("ratings-Half.json").write_text(anna.read_text()[:200])
    for name in ("there.html", "kept.key.json"):
        Path(name).write_text("mine")
    Path("linked.png").symlink_to("key.json")
    Path("story.txt").write_text("Once upon a time.\n" * 9)
    before = {path: path.read_bytes() for path in Path().iterdir()}
    done = cli("rate", *words)
    assert (done.status, done.out) == (2, "")
    assert re.search(said, done.err), done.err
    assert done.err.startswith("rate")
    assert "Traceback" not in done.err
    assert {path: path.read_bytes() for path in Path().iterdir()} == before


@pytest.mark.parametrize("words", [(), ("--help",), ("help",)])
def test_without_an_action_both_are_listed(cli, words):
    done = cli("rate", *words)
    assert (done.status, done.err) == (0, "")
    assert "  prepare  " in done.out
    assert "  summarize  " in done.out


@pytest.mark.parametrize("action", ["prepare", "summarize"])
def test_each_action_explains_its_options(cli, action, capsys):
    assert cli("rate", action, "--help").out.startswith(f"usage: python -m minigpt.rate {action} [-h] [OPTIONS]")
    assert sys.argv == ["rate", "--help"]
