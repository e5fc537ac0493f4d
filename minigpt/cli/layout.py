"""Text laid out for the width of the terminal."""

import re
import shutil
import sys
import textwrap
from collections.abc import Sequence

LABEL = re.compile(r" *\S+ {2,}| *")  # what comes before a line's text: a label with its column, or an indentation


def width() -> int | None:
    """The terminal's width in characters; None where the output is not a terminal, so that lines stay whole."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def wrapped(text: str) -> str:
    """Break lines longer than the terminal is wide between words, and indent what follows to the line's own text.

    `model   1,060,000 parameters ...` continues below the number, an indented line at its indentation.
    """
    if (columns := width()) is None:
        return text
    return "\n".join(_fill(line, columns) for line in text.split("\n"))


def say(text: str) -> None:
    """Print it, wrapped."""
    print(wrapped(text))


def _fill(line: str, columns: int) -> str:
    indent = " " * len(LABEL.match(line)[0])
    if len(line) <= columns or columns < 2 * len(indent):
        return line
    parts = textwrap.wrap(
        line[len(indent) :], columns - len(indent), break_long_words=False, break_on_hyphens=False
    )  # without the label, whose spaces textwrap would take for a place to break
    return "\n".join([line[: len(indent)] + parts[0], *(indent + part for part in parts[1:])])


def paragraphs(text: str, columns: int) -> str:
    """A docstring with its lines refilled; blank lines stay."""
    return "\n\n".join(
        textwrap.fill(" ".join(part.split()), columns, break_long_words=False, break_on_hyphens=False)
        for part in text.split("\n\n")
    )


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns of text, the first row their headings. Where they are wider than the terminal, the first column, that of
    the names, gets lines of its own."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    columns = width()
    if columns is None or sum(widths) + 2 * len(widths) - 2 <= columns:
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    lines = []
    for name, *cells in rows:
        lines += [name] * bool(name) + ["  " + "  ".join(map(str.ljust, cells, widths[1:])).rstrip()]
    return "\n".join(lines)
