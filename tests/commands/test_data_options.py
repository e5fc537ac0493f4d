"""Lesson 11: what training does with rows that are bad or stand there twice, and which rows it holds out."""

import hashlib
import json
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from minigpt.learn.trainer import Trainer
from minigpt.text.records import BadRow, Conversation
from minigpt.text.splits import load_data, remarks, write_bad_rows
from tests.commands.conftest import write_questions

SMALL = ("--steps", 2, "--batch-size", 2, "--max-length", 128, "--accuracy-rows", 2)

pytestmark = pytest.mark.usefixtures("no_pictures")


def talk(*turns: tuple[str, str]) -> dict:
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


TOO_LONG = {"question": "q" * 200, "answer": "a"}
# Every row, and why it is bad.
BAD = [
    ('{"question": "q", ', "is not JSON ("),
    ({"text": "x"}, "has the keys 'text'; expected are "),
    ({"prompt": 1, "completion": "c"}, '"prompt" is not text.'),
    ({"question": "q", "answer": ""}, "message 2 (assistant) is empty."),
    (talk(("user", "a"), ("user", "b"), ("assistant", "c")), "there are two consecutive user turns."),
    (talk(("user", "a"), ("assistant", "b"), ("user", "c")), '"messages" ends with a user turn; '),
    (talk(("tool", "a"), ("assistant", "b")), "message 1 has the role 'tool'; "),
    (talk(("user", "a"), ("system", "b"), ("assistant", "c")), "message 2 is a system message; "),
    ('{"question": "q", "answer": "\\ud800"}', "message 2 (assistant) holds a lone surrogate, "),
    ([1, 2], "is not a JSON object."),
    ("null", "is not a JSON object."),
    (TOO_LONG, "no token of the response fits into 128 tokens."),
]
FIRST_BAD = 41  # the line behind the good ones


def append(path: Path, *rows: object) -> list[str]:
    """Put these rows behind the others, one a line; their texts."""
    texts = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    with path.open("a", encoding="utf-8") as file:
        file.writelines(text + "\n" for text in texts)
    return texts


def listed(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "bad_rows.jsonl").read_text().splitlines()]


@pytest.fixture
def with_bad(questions: Path) -> Path:
    """Forty questions, and behind them one bad row of each kind."""
    append(questions, *(row for row, _ in BAD))
    return questions


@pytest.fixture
def held_out(tmp_path: Path) -> Path:
    """A question from the training data, another one, and two bad rows."""
    path = tmp_path / "held_out.jsonl"
    first = {"question": "What is 3 + 3?", "answer": "It is 6.\n#### 6"}
    append(path, {"question": "Who?", "answer": "You."}, TOO_LONG, first, "{")
    return path


def test_skipping_bad_rows_learns_from_the_good_ones_and_lists_the_others_with_reasons(
    cli, tmp_path, with_bad, held_out
):
    run = tmp_path / "run"
    outcome = cli("train", "--data", with_bad, "--valid", held_out, "--skip-bad", "--run", run, *SMALL)
    assert outcome.status == 0, outcome.err
    assert ": 40 conversations to train on, 2 held out;" in outcome.out
    assert "14 bad rows left out, listed in bad_rows.jsonl\n" in outcome.out

    # Rows that cannot be read are in the order of the files; rows that do not fit come after all those.
    rows = listed(run)
    assert [row["source"] for row in rows] == [
        *(f"{with_bad}, line {FIRST_BAD + i}" for i in range(len(BAD) - 1)),
        f"{held_out}, line 4",
        f"{with_bad}, line {FIRST_BAD + len(BAD) - 1}",
        f"{held_out}, line 2",
    ]
    reasons = [reason for _, reason in BAD]
    for row, reason in zip(rows, [*reasons[:-1], "is not JSON (", reasons[-1], reasons[-1]], strict=True):
        assert row.keys() == {"source", "reason", "text"}
        assert row["reason"].startswith(reason)
    lines = with_bad.read_text().splitlines()
    assert [row["text"] for row in rows[: len(BAD) - 1]] == lines[FIRST_BAD - 1 : -1]
    assert all("q" * 200 in row["text"] for row in rows[-2:])

    assert f"1 held-out rows also occur in the training data, first {held_out}, line 3\n" in outcome.out

    options = json.loads((run / "options.json").read_text())
    assert options["skip_bad"] is True
    assert options["sha256"] == {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in (with_bad, held_out)
    }


def test_without_it_the_first_ten_are_named_and_nothing_is_written(cli, tmp_path, with_bad):
    outcome = cli("train", "--data", with_bad, *SMALL)
    assert (outcome.status, outcome.out) == (2, "")
    lines = outcome.err.removeprefix("train: ").splitlines()
    for i, (line, (_, reason)) in enumerate(zip(lines[:10], BAD[:10], strict=True)):
        assert line.startswith(f"{with_bad}, line {FIRST_BAD + i}: {reason}")
    assert lines[10] == "... and 1 more."
    assert list(tmp_path.iterdir()) == [with_bad]


def test_nothing_is_said_or_listed_if_every_row_is_good_and_occurs_once(cli, tmp_path, questions):
    run = tmp_path / "run"
    outcome = cli("train", "--data", questions, "--skip-bad", "--run", run, *SMALL)
    assert outcome.status == 0, outcome.err
    assert not (run / "bad_rows.jsonl").exists()
    assert "left out" not in outcome.out
    assert "occur in the training data" not in outcome.out


def test_a_resumed_run_skips_the_same_rows_and_lists_them_once(cli, tmp_path, with_bad, monkeypatch):
    run = tmp_path / "run"
    train_step = Trainer.train_step

    def interrupted(trainer):
        signal.raise_signal(signal.SIGINT)
        return train_step(trainer)

    monkeypatch.setattr(Trainer, "train_step", interrupted)
    assert cli("train", "--data", with_bad, "--skip-bad", "--run", run, *SMALL).status == 130
    before = (run / "bad_rows.jsonl").read_bytes()
    assert len(before.splitlines()) == len(BAD)
    monkeypatch.setattr(Trainer, "train_step", train_step)
    outcome = cli("train", "--resume", "--run", run)
    assert outcome.status == 0, outcome.err
    assert f"{len(BAD)} bad rows left out, listed in bad_rows.jsonl\n" in outcome.out
    assert (run / "bad_rows.jsonl").read_bytes() == before


@pytest.mark.parametrize("rows", [["{}", "{}"], [TOO_LONG, TOO_LONG]], ids=["unreadable", "too long"])
def test_a_file_with_no_good_row_is_named_even_where_bad_ones_are_skipped(cli, tmp_path, questions, rows):
    path = tmp_path / "bad.jsonl"
    append(path, *rows)
    for args, use in (
        (["--data", path], "to train on"),
        (["--data", questions, "--valid", path], "to measure the loss on"),
    ):
        outcome = cli("train", *args, "--skip-bad", *SMALL)
        assert (outcome.status, outcome.out) == (2, "")
        assert outcome.err == f"train: {path}: no usable row {use}; without --skip-bad the reasons are shown.\n"
    assert {entry.name for entry in tmp_path.iterdir()} == {"bad.jsonl", "questions.jsonl"}


def test_a_sentence_comes_where_none_of_those_to_be_answered_can_be(cli, tmp_path, questions):
    """Two rows are held out; the one to be answered is too long."""
    path = tmp_path / "held_out.jsonl"
    append(path, {"question": "Who?", "answer": "You."}, TOO_LONG)
    seed = next(s for s in range(99) if "qqq" in held_out_of(path, s, valid=path)[0])
    args = ("--data", questions, "--valid", path, "--skip-bad", "--seed", seed, *SMALL[:-1], 1)
    outcome = cli("train", *args)
    assert outcome.status == 2, outcome.err
    assert outcome.err == f"train: {path}: no usable row to answer; without --skip-bad the reasons are shown.\n"
    assert not (tmp_path / "runs").exists()


def held_out_of(path: Path, seed: int, valid: Path | None = None) -> list[str]:
    """The questions held out, in order."""
    data = load_data([str(path)], valid and str(valid), seed=seed)
    return [row.messages[0]["content"] for row in data.valid]


def test_what_is_held_out_and_the_order_depend_on_the_data_and_the_seed_alone(tmp_path):
    path = write_questions(tmp_path / "questions.jsonl")
    splits = []
    for elsewhere in (1, 2):
        torch.manual_seed(elsewhere)
        np.random.seed(elsewhere)
        splits.append(load_data([str(path)], None, seed=5))
    first, second = splits
    assert (first.train, first.valid, first.test) == (second.train, second.valid, second.test)
    other = load_data([str(path)], None, seed=6)
    assert other.valid != first.valid
    assert other.train != first.train


def test_every_row_is_either_trained_on_or_held_out_a_twentieth_of_them(tmp_path):
    data = load_data([str(write_questions(tmp_path / "questions.jsonl"))], None)
    assert (len(data.train), len(data.valid)) == (38, 2)
    lines = sorted(int(row.source.rsplit(" ", 1)[1]) for row in data.train + data.valid)
    assert lines == list(range(1, 41))


def test_rows_held_out_in_a_file_of_their_own_come_in_an_order_of_the_seed_alone(tmp_path):
    path = write_questions(tmp_path / "questions.jsonl")
    orders = [held_out_of(path, seed, valid=path) for seed in (0, 0, 1)]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2])


def row(text: str, source: str) -> Conversation:
    return Conversation([{"role": "user", "content": text}, {"role": "assistant", "content": "x"}], source)


def test_only_held_out_rows_that_occur_word_for_word_in_the_training_data_are_reported():
    known = [row("a", "t 1"), row("b", "t 2"), row("b", "t 3")]
    lines = remarks([], known, [row("A", "v 1"), row("b", "v 2"), row("b ", "v 3"), row("a", "v 4")])
    assert lines.strip() == "2 held-out rows also occur in the training data, first v 2"
    assert remarks(None, known, [row("A", "v 1"), row("b ", "v 3")]) == ""


def test_the_list_of_bad_rows_holds_any_text_and_is_not_made_for_none(tmp_path):
    path = tmp_path / "bad_rows.jsonl"
    write_bad_rows(path, [])
    assert not path.exists()
    write_bad_rows(path, [BadRow("d.jsonl, line 1", "why", "ạ\u2028\x1b\ud800\n")])
    assert [json.loads(line) for line in path.read_text().split("\n")[:-1]] == [
        {"source": "d.jsonl, line 1", "reason": "why", "text": "ạ\u2028\x1b\ud800\n"}
    ]
