"""Running a command as `python -m` does, without starting a new Python for each."""

import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from minigpt import command


@dataclass
class Outcome:
    status: int
    out: str
    err: str


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path) -> Callable[..., Outcome]:
    """`cli("train", "--steps", 3)` in an empty folder: the exit status and what was printed."""
    monkeypatch.chdir(tmp_path)

    def call(name: str, *args: object) -> Outcome:
        module = importlib.import_module(f"minigpt.{name}")
        monkeypatch.setattr(sys, "argv", [name, *map(str, args)])
        status = 0
        try:
            command.run(module.Options, module.main, name)
        except SystemExit as stop:
            status = stop.code or 0
        finally:
            torch.set_flush_denormal(False)  # a command sets it for its process, and here that is everybody's
        printed = capsys.readouterr()
        return Outcome(status, printed.out, printed.err)

    return call


def write_questions(path: Path) -> Path:
    """A small file of questions and answers."""
    rows = [{"question": f"What is {i} + {i}?", "answer": f"It is {2 * i}.\n#### {2 * i}"} for i in range(40)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    return write_questions(tmp_path / "questions.jsonl")
