"""--help, at the widths that terminals have."""

import importlib
from dataclasses import make_dataclass
from itertools import pairwise

import pytest

from minigpt import command
from minigpt.cli.arguments import options_of
from tests.every_command import EVERY


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("name", EVERY)
def test_every_text_is_filled_to_the_width_and_no_default_says_nothing(name, columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    options = EVERY[name]
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
    assert "" not in lines[lines.index("options:") :], "an empty row"
    # No line ends early: the first word of the next one would not have fitted.
    whole = " ".join(page.split())
    texts = [option.help for option in options_of(options).values()]
    for text in texts:
        assert text in whole
    for line, after in pairwise(lines[lines.index("options:") :]):
        word = after.split()[0]
        if any(f"{line.strip()} {word}" in text for text in texts):
            assert len(f"{line} {word}") > columns - 2, (line, after)


def test_a_default_that_says_something_is_named_a_zero_too(capsys):
    options = importlib.import_module("minigpt.train").Options
    with pytest.raises(SystemExit):
        command.parse(options, "prog", ["--help"])
    page = " ".join(capsys.readouterr().out.split())
    for part in ("(default: 16)", "what is held out. (default: 0)", "(default: builtin)", "(default: 0.9 0.99)"):
        assert part in page


def test_options_whose_source_is_not_at_hand_are_read_all_the_same(capsys):
    """As those of `python -m cProfile -m minigpt.train`, whose module is not the one that runs."""
    made = make_dataclass("Made", [("lr", float, 1.0)])
    assert command.parse(made, "prog", ["--lr", "2"]).lr == 2.0
    with pytest.raises(SystemExit):
        command.parse(made, "prog", ["--help"])
    assert "--lr FLOAT" in capsys.readouterr().out
