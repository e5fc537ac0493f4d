"""Lesson 15: pairs where data is named: `train` learns from a side, `view` shows both, `evaluate` points elsewhere."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from minigpt import load_template, load_tokenizer
from minigpt.text.pairs import Pair
from minigpt.view import CONTEXT, SUPERVISED, pair_statistics
from tests.commands.conftest import Outcome
from tests.text.test_records import write

SMALL = ("--steps", 2, "--batch-size", 2, "--max-length", 128, "--accuracy-rows", 2, "--seed", 1)

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    rows = [{"prompt": f"What is {i}?", "chosen": f"{i}!" + "!" * (i % 2), "rejected": f"It: {i}"} for i in range(6)]
    return write(tmp_path / "pairs.jsonl", *rows)


def options(run: str) -> dict:
    return json.loads(Path(run, "options.json").read_text())


def test_train_learns_from_one_side_or_from_both(cli: Callable[..., Outcome], pairs: Path) -> None:
    for run, given, count, said in (
        ("one", (), "5 conversations to train on, 1 held out", "of each pair the chosen answer\n"),
        ("two", ("--side", "both"), "10 conversations to train on, 2 held out", "both answers, as two conversations\n"),
    ):
        done = cli("train", "--data", pairs, *given, "--run", run, *SMALL)
        assert done.status == 0, done.err
        assert count in done.out
        assert said in done.out
    assert [options(run)["side"] for run in ("one", "two")] == ["chosen", "both"]
    losses = [Path(run, "metrics.jsonl").read_text() for run in ("one", "two")]
    assert losses[0] != losses[1]


def test_a_resumed_run_keeps_its_side(cli: Callable[..., Outcome], pairs: Path) -> None:
    assert cli("train", "--data", pairs, "--run", "r", *SMALL).status == 0
    done = cli("train", "--resume", "--run", "r", "--steps", 3, "--side", "both")
    assert (done.status, "--side was 'chosen' when the run was started and cannot become 'both'" in done.err) == (
        2,
        True,
    )
    assert cli("train", "--resume", "--run", "r", "--steps", 3, "--side", "chosen").status == 0
    assert options("r")["side"] == "chosen"
    assert cli("train", "--repeat", "r", "--run", "again").status == 2, "its steps were changed"


def test_a_run_of_an_earlier_version_has_no_side(cli: Callable[..., Outcome], questions: Path) -> None:
    """Its options.json does not name the option; it is resumed and repeated all the same."""
    assert cli("train", "--data", questions, "--run", "r", *SMALL).status == 0
    earlier = options("r")
    assert earlier.pop("side", "missing") is None
    Path("r", "options.json").write_text(json.dumps(earlier))
    done = cli("train", "--repeat", "r", "--run", "again")
    assert done.status == 0, done.err
    assert cli("train", "--resume", "--run", "r", "--steps", 3).status == 0


def test_a_side_of_conversations_is_refused(cli: Callable[..., Outcome], questions: Path) -> None:
    done = cli("train", "--data", questions, "--side", "both", "--run", "r", *SMALL)
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert f"--side is for pairs, a prompt with a chosen and a rejected answer; {questions} holds none." in done.err
    assert "--side is 'neither'; it takes one of chosen, both" in cli("train", "--side", "neither").err


def test_bad_pairs_stop_train_by_line_or_are_listed(cli: Callable[..., Outcome], pairs: Path) -> None:
    with pairs.open("a") as file:
        file.write(json.dumps({"prompt": "Q?", "chosen": "a", "rejected": "a"}) + "\n")
    done = cli("train", "--data", pairs, "--run", "r", *SMALL)
    assert done.status == 2
    assert f"{pairs}, line 7: chosen and rejected are the same; nothing can be learned from that." in done.err
    assert cli("train", "--data", pairs, "--skip-bad", "--run", "r", *SMALL).status == 0
    (row,) = map(json.loads, Path("r", "bad_rows.jsonl").read_text().splitlines())
    assert row["source"] == f"{pairs}, line 7"


def test_view_shows_a_pair_as_two_rows(cli: Callable[..., Outcome], pairs: Path) -> None:
    out = cli("view", "--data", pairs, "--rows", 2, "--template", "documents").out
    rows = out.split("\n\n")[1:5]
    assert rows == [
        f"{pairs}, line {line}, {side}, {n} tokens:\n<|endoftext|>What is {line - 1}?<|sep|>[[{answer}<|endoftext|>]]"
        for line, side, n, answer in (
            (1, "chosen", 15, "0!"), (1, "rejected", 18, "It: 0"),
            (4, "chosen", 16, "3!!"), (4, "rejected", 18, "It: 3"),
        )
    ]  # fmt: skip
    colored = cli("view", "--data", pairs, "--rows", 1, "--color", "always").out
    assert any(f"{shade}!" in colored for shade in SUPERVISED)
    assert any(f"{shade}W" in colored for shade in CONTEXT)
    assert not any(f"{shade}W" in colored for shade in SUPERVISED)


def test_view_sets_the_lengths_of_both_sides_beside_each_other(cli: Callable[..., Outcome], pairs: Path) -> None:
    out = cli("view", "--data", pairs, "--rows", 0, "--max-length", 52).out
    figures = {line[:30].strip(): line[30:].split() for line in out.splitlines()}
    assert figures["tokens of chosen answers"] == ["15", "2.5", "2.5", "3"]
    assert figures["tokens of rejected answers"] == ["30", "5.0", "5.0", "5"]
    assert "6 pairs; tokens bytes, template chatml" in out
    assert "the chosen answer is longer in 0.0% of the pairs, as long in 0.0%" in out


def test_the_share_of_longer_chosen_answers() -> None:
    sides = [("aa", "b"), ("a", "bb"), ("ab", "cd"), ("abc", "d")]
    pairs = [Pair([{"role": "user", "content": "Q?"}], *side, "d, line 1") for side in sides]
    said = pair_statistics(pairs, load_template("chatml", load_tokenizer("bytes")), 512)
    assert "the chosen answer is longer in 50.0% of the pairs, as long in 25.0%" in said


def test_view_names_the_pairs_that_do_not_fit(cli: Callable[..., Outcome], pairs: Path) -> None:
    out = cli("view", "--data", pairs, "--max-length", 29).out
    assert f"{pairs}, line 1: no token of the answers fits into 29 tokens." in out
    assert "12 of 12 rows are longer; all fit, 6 pairs refused" in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--supervise", "all"), "--supervise has no effect on pairs, of which both answers are supervised"),
        (("--to-chatml", "out.jsonl"), "--to-chatml, --to-text and --plot are for conversations; these are pairs."),
        (("--plot", "out.png"), "--to-chatml, --to-text and --plot are for conversations; these are pairs."),
    ],
)
def test_what_view_cannot_do_with_pairs(
    cli: Callable[..., Outcome], pairs: Path, arguments: tuple, sentence: str
) -> None:
    done = cli("view", "--data", pairs, *arguments)
    assert (done.status, sentence in done.err) == (2, True)
    assert not list(Path().glob("out.*"))


def test_view_shows_pairs_and_conversations_apart(cli: Callable[..., Outcome], pairs: Path, questions: Path) -> None:
    done = cli("view", "--data", pairs, questions)
    assert done.status == 2
    assert f"{pairs}, line 1 is a pair and {questions}, line 1 a conversation; show one kind alone." in done.err


@pytest.mark.parametrize("name", ["builtin-pairs", "pairs.jsonl"])
def test_evaluate_points_to_the_option_for_pairs(
    cli: Callable[..., Outcome], pairs: Path, run: Path, name: str
) -> None:
    done = cli("evaluate", "--model", run, "--data", name)
    assert done.status == 2
    assert f"{name} holds pairs of answers, and --data is for conversations" in done.err
    assert f"by --pairs {name}." in done.err


def test_the_built_in_pairs_are_viewed_by_their_name(cli: Callable[..., Outcome]) -> None:
    out = cli("view", "--data", "builtin-pairs", "--rows", 1).out
    assert "2,400 pairs" in out
    assert "T_max 512: 0 of 4,800 rows are longer; all fit" in out
