"""`minigpt`: every command under one name."""

import importlib
import sys
from pathlib import Path

import pytest

from minigpt import __main__ as minigpt_main
from minigpt import __version__
from minigpt.__main__ import COMMANDS, main

PACKAGE = Path(minigpt_main.__file__).parent


@pytest.fixture
def said(monkeypatch, capsys):
    """`said("train", "--lr")`: status, output and errors of `minigpt train --lr`."""

    def call(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["minigpt", *args])
        status = 0
        try:
            main()
        except SystemExit as stop:
            status = stop.code or 0
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call


@pytest.mark.parametrize("args", [(), ("--help",), ("-h",), ("help",)])
def test_the_commands_are_listed_with_what_each_does(said, args):
    status, out, err = said(*args)
    assert (status, err) == (0, "")
    for name in COMMANDS:
        (line,) = [line for line in out.splitlines() if line.startswith(f"  {name} ")]
        assert len(line.split()) > 2, line


def test_the_version_is_said(said):
    assert said("--version") == (0, f"minigpt {__version__}\n", "")


@pytest.mark.parametrize(
    ("word", "meant"),
    [("trian", "train"), ("eval", "evaluate"), ("Sample", "generate"), ("--chat", "chat"), ("downlaod", "download")],
)
def test_an_unknown_command_suggests_the_nearest(said, word, meant):
    status, out, err = said(word)
    assert (status, out, err) == (2, "", f"minigpt: There is no command {word}; did you mean {meant}?\n")


def test_a_command_that_is_like_none_gets_the_list(said):
    assert said("xyzzy")[2].endswith("there are " + ", ".join(COMMANDS) + ".\n")


def test_a_command_gets_the_words_after_it_and_speaks_as_python_m_does(said):
    assert said("view", "--row", "3") == (2, "", "view: There is no option --row; did you mean --rows?\n")
    status, out, _ = said("plot", "--help")
    assert (status, out.split("\n")[0].split("[")[0]) == (0, "usage: python -m minigpt.plot ")


def test_every_module_with_an_entry_is_a_command_and_the_script_is_installed():
    entries = {path.stem for path in PACKAGE.glob("*.py") if "\ndef entry() -> None:" in path.read_text("utf-8")}
    assert entries == set(COMMANDS)
    for name in COMMANDS:
        assert callable(importlib.import_module(f"minigpt.{name}").entry)
    assert 'minigpt = "minigpt.__main__:main"' in (PACKAGE.parent / "pyproject.toml").read_text("utf-8")
