"""What --help prints."""

import ast
import codecs
import contextlib
import dataclasses
import inspect
import io
import shutil
import sys
import textwrap
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin, get_type_hints

import tyro

from minigpt.cli.arguments import MANY, Option
from minigpt.cli.layout import paragraphs

CONFIG = (
    "A TOML file of options by their names, such as batch-size = 8; those of the command line win. Paths in it are "
    "relative to the working directory."
)


class Page(io.StringIO):
    """What tyro prints, in the characters that the terminal has."""

    encoding = ""


def print_help(options: type, known: dict[str, Option], prog: str) -> None:
    """Usage, what the command does, then its options with their docstrings, and defaults where these say something."""
    texts, hints = docstrings(options), get_type_hints(options, include_extras=True)
    dressed = []
    for field in dataclasses.fields(options):
        argument = tyro.conf.arg(
            help=texts[field.name], help_behavior_hint=default(field), metavar=metavar(known[field.name])
        )
        kept = dataclasses.field(default=field.default, default_factory=field.default_factory)
        dressed.append((field.name, Annotated[hints[field.name], argument], kept))
    config = tyro.conf.arg(help=CONFIG, help_behavior_hint="", metavar="FILE")
    dressed.append(("config", Annotated[str, config], dataclasses.field(default="")))
    page = Page()
    page.encoding = codecs.lookup(sys.stdout.encoding or "ascii").name
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(page):
        tyro.cli(dataclasses.make_dataclass("Options", dressed), prog=prog, description="", args=["--help"])
    usage, _, boxes = page.getvalue().partition("\n\n")
    columns = shutil.get_terminal_size().columns
    print(paragraphs(f"{usage}\n\n{inspect.getdoc(options)}", columns), end="\n\n")
    # A text that just fits is followed by an empty row, in the place of the default that tyro was told not to name.
    print("\n".join(row for row in boxes.rstrip().split("\n") if row.strip("│| ")))


def docstrings(options: type) -> dict[str, str]:
    """The text below each field in the source, as one line."""
    body = ast.parse(textwrap.dedent(inspect.getsource(options))).body[0].body
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    }


def default(field: dataclasses.Field) -> str:
    """A field's default in parentheses; nothing for None, "" and a switch that is off: the docstring says enough."""
    if any(field.default is silent for silent in (None, False, "", dataclasses.MISSING)):
        return ""
    values = field.default if isinstance(field.default, tuple) else [field.default]
    return "(on by default)" if field.default is True else f"(default: {' '.join(map(str, values))})"


def metavar(option: Option) -> str | None:
    """What stands for the values."""
    if option.values == 0:
        return None
    names = {int: "INT", float: "FLOAT", Path: "PATH"}
    one = (
        "{" + ",".join(get_args(option.of)) + "}" if get_origin(option.of) is Literal else names.get(option.of, "TEXT")
    )
    return f"{one} [{one} ...]" if option.values == MANY else " ".join([one] * option.values)
