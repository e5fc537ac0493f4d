"""Nothing breaks within a word, at any width."""

import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigpt.cli import layout
from minigpt.cli.layout import paragraphs, table, wrapped


@pytest.fixture
def at(monkeypatch):
    """`at(80)`: in a terminal of this width."""
    return lambda columns: monkeypatch.setattr(layout, "width", lambda: columns)


def test_a_long_line_goes_on_below_its_text(at):
    at(30)
    text = "model   1,060,000 parameters from random weights\n        and more of the same kind of thing\nrun     x"
    assert wrapped(text).split("\n") == [
        "model   1,060,000 parameters",
        "        from random weights",
        "        and more of the same",
        "        kind of thing",
        "run     x",
    ]


def test_lines_that_fit_and_words_that_cannot_are_left_as_they_are(at):
    at(20)
    assert wrapped("a  b\n\n  c") == "a  b\n\n  c"
    assert (
        wrapped("run     runs/a-very-long-name-of-a-run and") == "run     runs/a-very-long-name-of-a-run\n        and"
    )


def test_lines_stay_whole_where_the_output_is_no_terminal(monkeypatch):
    """A file of them is searched line by line."""
    monkeypatch.setenv("COLUMNS", "80")
    assert not sys.stdout.isatty()
    assert wrapped("data    " + "word " * 100) == "data    " + "word " * 100
    assert "\n  " not in table([["", "x" * 200], ["name", "y" * 200]])


@given(
    words=st.lists(st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=9), min_size=1, max_size=40),
    columns=st.integers(24, 100),
)
def test_wrapping_keeps_every_word_in_order_and_every_line_within_the_width(words, columns):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "width", lambda: columns)
        lines = wrapped("label   " + " ".join(words)).split("\n")
    assert " ".join(" ".join(lines).split()) == " ".join(["label", *words])
    assert max(map(len, lines)) <= columns
    assert all(line.startswith("        ") for line in lines[1:])


def test_a_docstring_is_filled_anew_and_its_blank_lines_stay():
    assert paragraphs("One\ntwo three\n  four.\n\nFive.", 12) == "One two\nthree four.\n\nFive."


def test_a_table_that_is_too_wide_has_its_names_on_lines_of_their_own(at):
    rows = [["", "loss", "exact match"], ["runs/one", "1.0 (0.9 to 1.1)", "5%"], ["always", "", "1%"]]
    at(80)
    assert table(rows).split("\n")[1] == "runs/one  1.0 (0.9 to 1.1)  5%"
    at(30)
    assert table(rows).split("\n") == [
        "  loss              exact match",
        "runs/one",
        "  1.0 (0.9 to 1.1)  5%",
        "always",
        "                    1%",
    ]


def test_the_width_is_the_terminals(monkeypatch):
    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "77")
    assert layout.width() == 77


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True
