"""A command line, read and explained by argparse: the options are a dataclass, the help its fields' docstrings."""

import argparse
import ast
import dataclasses
import inspect
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from minigpt.cli.layout import paragraphs
from minigpt.cli.names import american, dashed, suggestion
from minigpt.errors import UserError
from minigpt.ranges import AnyText, mark_of

POSITIONAL = {"positional": True}  # metadata of a field that is given without its name
CONFIG = (
    "A TOML file of options by their names, such as batch-size = 8; those of the command line win. Paths in it are "
    "relative to the working directory."
)
# -n, --name or --name=anything; not a number, nor another text that begins with a dash.
FLAG = re.compile(r"(?!-(inf|nan)\Z)-+[^\W\d_][^ \n=]*(=|\Z)")
VALUE = "\0"  # stands before every value: argparse would take some that begin with a dash for options


@dataclass(frozen=True)
class Option:
    """A field of a command's options: the type `of` one value, and how many there are, as argparse says it (0 for a
    switch, None for one, "+" for one or more)."""

    name: str
    of: Any
    nargs: int | str | None
    help: str
    positional: bool = False
    may_be_empty: bool = False

    @property
    def flag(self) -> str:
        return self.name if self.positional else f"--{self.name.replace('_', '-')}"

    @property
    def flags(self) -> list[str]:
        """What it is given by; of a switch what turns it on, and what turns it off."""
        if self.positional:
            return []
        return [self.flag, f"--no-{self.flag[2:]}"] if self.nargs == 0 else [self.flag]

    @property
    def takes(self) -> str:
        """What one value is, in words."""
        if get_origin(self.of) is Literal:
            return "one of " + ", ".join(get_args(self.of))
        return {bool: "true or false", int: "a whole number", float: "a number", Path: "a path"}.get(self.of, "text")

    @property
    def metavar(self) -> str:
        if self.positional:
            return self.name.upper()
        if get_origin(self.of) is Literal:
            return "{" + ",".join(get_args(self.of)) + "}"
        return {int: "INT", float: "FLOAT", Path: "PATH"}.get(self.of, "TEXT")

    def value(self, word: str) -> Any:
        """The value that a word gives. ArgumentTypeError if it gives none."""
        word = word.removeprefix(VALUE)
        if not word and self.of in (str, Path) and not self.may_be_empty:  # an empty path would be the current folder
            raise argparse.ArgumentTypeError("is empty; leave it out, or give it a value.")
        try:
            if get_origin(self.of) is not Literal:
                return self.of(word)
            return get_args(self.of)[get_args(self.of).index(american(word))]
        except ValueError:
            raise argparse.ArgumentTypeError(f"is {word!r}; it takes {self.takes}.") from None


@cache
def options_of(options: type) -> dict[str, Option]:
    """The options of a dataclass, by their fields' names, and --config, which every command has."""
    hints, noted = get_type_hints(options), get_type_hints(options, include_extras=True)
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(options))).body[0].body
    except (OSError, TypeError):  # run by a profiler or a debugger: without the texts
        body = []
    texts = {above.target.id: text.value.value for above, text in pairwise(body) if isinstance(above, ast.AnnAssign)}
    found = {}
    for field in dataclasses.fields(options):
        of, nargs = hints[field.name], None
        if get_origin(of) in (Union, UnionType):
            of = next(one for one in get_args(of) if one is not NoneType)
        if get_origin(of) is tuple:
            of, nargs = get_args(of)[0], "+" if get_args(of)[-1] is Ellipsis else len(get_args(of))
        text = " ".join(texts.get(field.name, "").split()) + default(field.default)
        marks = "positional" in field.metadata, isinstance(mark_of(noted[field.name]), AnyText)
        found[field.name] = Option(field.name, of, 0 if of is bool else nargs, text, *marks)
    return found | {"config": Option("config", Path, None, CONFIG)}


def default(value: Any) -> str:
    """A default in parentheses; nothing for None, "" and a switch that is off: the docstring says enough."""
    if any(value is silent for silent in (None, False, "", dataclasses.MISSING)):
        return ""
    values = value if isinstance(value, tuple) else [value]
    return " (on by default)" if value is True else f" (default: {' '.join(map(str, values))})"


def read(options: type, words: Sequence[str], prog: str) -> dict[str, Any]:
    """The fields that `words` give. UserError for an unknown option, one that is given twice or with too few values, a
    value of another type, and a word that belongs to no option. --help prints and exits, as usual."""
    known = options_of(options).values()
    flags = {flag: option for option in known for flag in option.flags}
    end = words.index("--") if "--" in words else len(words)
    marked, used = [], {}
    for word in words[:end]:
        if not FLAG.match(word):
            marked.append(VALUE + word)
            continue
        flag, equals, value = word.partition("=")
        name = american(flag.replace("_", "-"))
        if name not in (*flags, "-h", "--help"):
            names = [option.flag[2:] for option in known if option.flags]
            raise UserError(f"There is no option {flag}; {suggestion(dashed(flag), names, '--', prog)}")
        if equals and name in flags and flags[name].nargs == 0:
            raise UserError(f"{flag} takes no value; {' is on, '.join(flags[name].flags)} is off.")
        marked += [name, VALUE + value] if equals else [name]
        used[name] = flag
    marked += ["--", *(VALUE + word for word in words[end + 1 :])]
    try:
        given, rest = parser(options, prog).parse_known_intermixed_args(marked)
    except argparse.ArgumentError as error:
        flag = used.get(error.argument_name, error.argument_name.lower())
        if isinstance(error.__context__, argparse.ArgumentTypeError):
            raise UserError(f"{flag} {error.message}") from None
        option = flags[error.argument_name]
        needs = {None: f"a value: {option.takes}", "+": f"at least one value: {option.takes}"}
        raise UserError(f"{flag} needs {needs.get(option.nargs, f'{option.nargs} values')}.") from None
    if rest := [word.removeprefix(VALUE) for word in rest if word != "--"]:
        raise UserError(f"Unexpected argument {rest[0]!r}; {prog} --help lists the options.")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in vars(given).items()}


def parser(options: type, prog: str) -> argparse.ArgumentParser:
    """An argparse parser of the options; --help is its own."""
    made = argparse.ArgumentParser(
        prog=prog,
        usage="%(prog)s [-h] [OPTIONS]",
        description=inspect.getdoc(options),
        formatter_class=Help,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
        exit_on_error=False,
    )
    for option in options_of(options).values():
        made.add_argument(
            *option.flags,
            dest=option.name,
            action="extend" if option.nargs == "+" else Once,
            nargs=option.nargs,
            type=option.value,
            metavar=option.metavar,
            help=option.help.replace("%", "%%"),
        ).required = False  # a file of options may give it
        if option.positional:
            made.usage += f" {option.metavar}" + f" [{option.metavar} ...]" * (option.nargs == "+")
    return made


class Help(argparse.HelpFormatter):
    """Text filled to the width of the terminal; argparse alone would break names at their dashes."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return paragraphs(text, width)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return paragraphs(text, width).split("\n")


class Once(argparse.Action):
    """Stores what may be given once: a value, a number of values, or whether a switch is on."""

    def __call__(self, parser: object, namespace: object, values: Any, flag: str | None = None) -> None:
        name, before = "--" + self.dest.replace("_", "-"), getattr(namespace, self.dest, None)
        if self.nargs == 0:
            values = flag == name
        if before is None:
            setattr(namespace, self.dest, values)
        elif self.nargs != 0:
            raise UserError(f"{name} is given twice, as {as_given(before)} and as {as_given(values)}; give it once.")
        elif before == values:
            raise UserError(f"{flag} is given twice; give it once.")
        else:
            raise UserError(f"{name} and --no-{name[2:]} contradict each other; give one of them.")


def as_given(value: Any) -> str:
    values = value if isinstance(value, list) else [value]
    return " ".join(f"{one:g}" if isinstance(one, float) else str(one) for one in values) or "''"
