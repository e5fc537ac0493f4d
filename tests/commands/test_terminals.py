"""Whatever the terminal is, the work is done and its files are written."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from minigpt.cli import layout
from tests.commands.conftest import write_questions

VIETNAMESE = [{"question": f"Thủ đô số {i} là gì?", "answer": "Hà Nội ạ."} for i in range(8)]


@pytest.fixture
def vietnamese(tmp_path: Path) -> Path:
    path = tmp_path / "viet.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in VIETNAMESE), encoding="utf-8")
    return path


def test_files_given_one_by_one_are_all_read(cli, tmp_path, questions):
    other = write_questions(tmp_path / "other.jsonl")
    outcome = cli("view", "--data", questions, "--data", other, "--rows", 0)
    assert outcome.out.startswith("80 conversations;")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_figures_are_written_though_the_terminal_cannot_show_the_answers(
    cli, run, vietnamese, tmp_path, monkeypatch, encoding
):
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding=encoding))
    outcome = cli("evaluate", "--model", run, "--data", vietnamese, "--json", tmp_path / "figures.json")
    assert outcome.status == 0, outcome.err
    assert b"N?i" in shown.getvalue()
    baselines = json.loads((tmp_path / "figures.json").read_text("utf-8"))["baselines"]
    assert "always 'Hà Nội ạ.'" in baselines


def test_a_chat_without_an_input_ends_at_once(cli, run, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    outcome = cli("chat", "--model", run)
    assert (outcome.status, outcome.out, outcome.err) == (0, "", "")


def test_a_run_is_complete_though_every_stream_is_closed(tmp_path, questions):
    options = ["--steps", "1", "--accuracy-rows", "1", "--run", "run", "--data"]
    shell = ["sh", "-c", '"$@" <&- >&- 2>&-', "sh", sys.executable, "-m", "minigpt.train", *options, str(questions)]
    there = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    assert subprocess.run(shell, cwd=tmp_path, env=there, timeout=120).returncode == 0
    assert (tmp_path / "run" / "result.json").exists()
    assert b"minigpt" not in (tmp_path / "run" / "metrics.jsonl").read_bytes(), "what was printed went into a file"


def test_no_line_is_wider_than_a_terminal_of_eighty_columns(cli, tmp_path, questions, no_pictures, monkeypatch):
    """A line that the terminal breaks is broken within a word."""
    monkeypatch.setattr(layout, "width", lambda: 80)
    data = ["--data", questions.name]
    outcome = cli("train", *data, "--run", "r", "--steps", 4, "--eval-every", 2, "--keep-best", "--accuracy-rows", 2)
    outputs = [outcome.out]
    outputs.append(cli("train", "--resume", "--run", "r", "--steps", 5).out)
    assert "changed --steps 4 to 5: from step 5 on" in outputs[-1]
    outputs.append(cli("evaluate", "--compare", "r", "r/best", *data, "--limit", 3).out)
    outputs.append(cli("view", *data, "--rows", 0).out)
    for out in outputs:
        lines = out.splitlines()
        assert len(lines) > 4
        assert [line for line in lines if len(line) > 80] == []
