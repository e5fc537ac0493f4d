"""--help, at the widths that terminals have."""

import importlib
import re
from itertools import pairwise

import pytest

from minigpt import command
from minigpt.__main__ import COMMANDS
from minigpt.cli.help import docstrings


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("name", COMMANDS)
def test_every_text_is_filled_to_the_width_and_no_default_says_nothing(name, columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    options = importlib.import_module(f"minigpt.{name}").Options
    with pytest.raises(SystemExit) as stop:
        command.parse(options, f"python -m minigpt.{name}", ["--help"])
    assert stop.value.code == 0
    page = capsys.readouterr().out
    assert page.startswith(f"usage: python -m minigpt.{name} ")
    assert "None" not in page
    assert "(default: False)" not in page
    assert "(default: )" not in page
    lines = page.splitlines()
    assert max(map(len, lines)) <= columns
    texts = [line.strip("│ ") for line in lines]
    assert not [line for line in lines if re.fullmatch(r"│ +│", line)], "an empty row"
    # No line ends early: the first word of the next one would not have fitted.
    whole = " ".join(" ".join(texts).split())
    for text in docstrings(options).values():
        assert text in whole
    body = [line for line in lines if line.startswith("│   ")]
    for line, after in pairwise(body):
        used, word = len(line.rstrip("│ ")), after.strip("│ ").split()[0]
        joined = f"{line.strip('│ ')} {word}"
        if joined in whole and any(joined in text for text in docstrings(options).values()):
            assert used + 1 + len(word) > columns - 2, (line, after)


def test_a_default_that_says_something_is_named_a_zero_too(capsys):
    options = importlib.import_module("minigpt.train").Options
    with pytest.raises(SystemExit):
        command.parse(options, "prog", ["--help"])
    page = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for part in ("(default: 16)", "what is held out. (default: 0)", "(default: builtin)", "(default: 0.9 0.99)"):
        assert part in page
