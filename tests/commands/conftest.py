"""Running a command as `python -m` does, without starting a new Python for each."""

import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from minigpt import command, load_template, load_tokenizer, train
from minigpt.text.template import save_template
from tests.conftest import only_says_a, two_layers


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
            module.entry()
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


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of thirty steps, for all who only read it."""
    folder = tmp_path_factory.mktemp("small")
    data = write_questions(folder / "questions.jsonl")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train", "--data", str(data), "--run", str(folder / "run"), "--steps", "30"])
        command.run(train.Options, train.main, "train")
    torch.set_flush_denormal(False)
    return folder / "run"


@pytest.fixture
def only_a(tmp_path: Path) -> Path:
    """The folder of a model that goes on with the letter a for ever."""
    only_says_a(two_layers()).save_pretrained(tmp_path / "only_a")
    save_template(tmp_path / "only_a", load_template("chatml", load_tokenizer("bytes")))
    return tmp_path / "only_a"


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than the few steps of a test; test_train.py looks at the pictures."""
    for module in ("report", "session"):
        monkeypatch.setattr(f"minigpt.run.{module}.draw_run", lambda run: (run / "loss.png").touch())
