"""What is held out where no file is named for it, and how many of the held-out rows are answered."""

import json
from pathlib import Path

import pytest

from minigpt import command
from minigpt.run.options import Options
from minigpt.text.splits import load_data
from minigpt.text.template import load_template
from minigpt.text.tokenizer import ByteTokenizer


def write_rows(path: Path, n: int) -> str:
    path.write_text("".join(json.dumps({"question": f"What is {i}?", "answer": str(i)}) + "\n" for i in range(n)))
    return str(path)


@pytest.fixture
def help_text(capsys: pytest.CaptureFixture) -> str:
    """`python -m minigpt.train --help` in one line."""
    with pytest.raises(SystemExit):
        command.parse(Options, "train", ["--help"])
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(("rows", "held_out"), [(2, 1), (39, 1), (40, 2), (1199, 59), (1200, 60)])
def test_a_twentieth_is_held_out_as_the_help_says_and_never_nothing(
    tmp_path: Path, help_text: str, rows: int, held_out: int
) -> None:
    assert "a twentieth of the data is held out" in help_text
    data = load_data([write_rows(tmp_path / "rows.jsonl", rows)], None)
    assert (len(data.train), len(data.valid)) == (rows - held_out, held_out)


def test_fifty_are_answered_as_the_help_says_or_as_many_as_are_asked_for(tmp_path: Path, help_text: str) -> None:
    assert "all of the built-in test or 50 of other data" in help_text
    names, valid = [write_rows(tmp_path / "rows.jsonl", 4)], write_rows(tmp_path / "valid.jsonl", 60)
    assert load_data(names, valid).test == load_data(names, valid).valid[:50]
    for asked, answered in ((3, 3), (55, 55), (60, 60), (99, 60)):
        assert load_data(names, valid, accuracy_rows=asked).test == load_data(names, valid).valid[:answered]
    assert len(load_data(["builtin"], None).test) == 450


def test_a_held_out_text_that_is_also_trained_on_is_reported(tmp_path: Path) -> None:
    for name, text in (("a.txt", "A text."), ("same.txt", "A text."), ("other.txt", "Another text.")):
        (tmp_path / name).write_text(text)
    for valid, reported in (("same.txt", True), ("other.txt", False)):
        data = load_data([str(tmp_path / "a.txt")], str(tmp_path / valid))
        words = data.encode(load_template(None, ByteTokenizer()), 8).words
        assert ("the held-out text is also trained on" in words) is reported
