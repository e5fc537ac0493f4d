"""The words of a command line, option by option: what was given, once, and in which words."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import tyro

from minigpt.cli.names import american, nearest, synonym
from minigpt.errors import UserError
from minigpt.ranges import AnyText, mark_of

MANY = -1  # values: one or more


@dataclass(frozen=True)
class Option:
    """A field of a command's options: its type without None and notes, and how many values it takes (0: a switch)."""

    name: str
    type: Any
    positional: bool = False
    may_be_empty: bool = False

    @property
    def flag(self) -> str:
        return self.name if self.positional else f"--{self.name.replace('_', '-')}"

    @property
    def values(self) -> int:
        if self.type is bool:
            return 0
        if get_origin(self.type) is tuple:
            return MANY if get_args(self.type)[-1] is Ellipsis else len(get_args(self.type))
        return 1

    @property
    def of(self) -> Any:
        """The type of one value: of an element where there are several."""
        return get_args(self.type)[0] if get_origin(self.type) is tuple else self.type

    @property
    def takes(self) -> str:
        """What one value is, in words."""
        if get_origin(self.of) is Literal:
            return "one of " + ", ".join(get_args(self.of))
        return {bool: "true or false", int: "a whole number", float: "a number", Path: "a path"}.get(self.of, "text")

    def value(self, words: Sequence[str]) -> Any:
        """The field's value, from words that passed `check`."""
        if self.type is bool:
            return words == ["yes"]
        values = tuple(american(word) if get_origin(self.of) is Literal else self.of(word) for word in words)
        return values if get_origin(self.type) is tuple else values[0]

    def check(self, flag: str, values: Sequence[str]) -> None:
        """UserError for a value that is not what the option takes, under the `flag` in the user's words.

        An empty path would be the current folder.
        """
        for value in values:
            if value == "" and self.of in (str, Path) and not self.may_be_empty:
                raise UserError(f"{flag} is empty; leave it out, or give it a value.")
            try:
                if get_origin(self.of) is Literal and american(value) not in get_args(self.of):
                    raise ValueError
                if self.of in (int, float):
                    self.of(value)
            except ValueError:
                raise UserError(f"{flag} is {value!r}; it takes {self.takes}.") from None


@dataclass(frozen=True)
class Given:
    """One option as it was given: the flag in the words used, and the values."""

    flag: str
    values: list[str]


def options_of(options: type) -> dict[str, Option]:
    """The options of a dataclass, by their fields' names, and --config, which every command has."""
    hints, noted = get_type_hints(options), get_type_hints(options, include_extras=True)
    found = {}
    for field in dataclasses.fields(options):
        hint = hints[field.name]
        if get_origin(hint) in (Union, UnionType):
            hint = next(one for one in get_args(hint) if one is not NoneType)
        positional = tyro.conf.Positional in getattr(noted[field.name], "__metadata__", ())
        found[field.name] = Option(field.name, hint, positional, isinstance(mark_of(noted[field.name]), AnyText))
    return found | {"config": Option("config", str)}


def read(known: dict[str, Option], args: Sequence[str], prog: str) -> dict[str, Given]:
    """What `args` give, by the options' fields. UserError for an unknown option, for one that is given twice or has too
    few values, and for a word that belongs to none. An option that takes a list may be given in several parts."""
    given: dict[str, Given] = {}
    loose: list[str] = []
    words = list(args)
    while words:
        word = words.pop(0)
        if word == "--":
            loose, words = loose + words, []
        elif not looks_like_option(word):
            loose.append(word)
        elif word in ("-h", "--help"):
            given["help"] = Given(word, [])
        else:
            _take(known, word, words, given, prog)
    for option in (option for option in known.values() if option.positional):
        if values := loose[: None if option.values == MANY else option.values]:
            option.check(option.flag, values)
            given[option.name] = Given(option.flag, values)
            loose = loose[len(values) :]
    if loose:
        raise UserError(f"Unexpected argument {loose[0]!r}; {prog} --help lists the options.")
    return given


def _take(known: dict[str, Option], word: str, words: list[str], given: dict[str, Given], prog: str) -> None:
    """Take the option `word` and its values from the front of `words`."""
    flag, equals, value = word.partition("=")
    option = look_up(known, flag, prog)
    values = [value] if equals else []
    if option.values == 0 and equals:
        raise UserError(f"{flag} takes no value; {option.flag} is on, --no-{option.flag[2:]} is off.")
    if option.values == 0:
        values = ["no" if american(dashed(flag)).startswith("no-") and option.name != _field(flag) else "yes"]
    more = option.values if option.values != MANY else len(words) + 1
    while words and len(values) < more and words[0] != "--" and not looks_like_option(words[0]):
        values.append(words.pop(0))
    if len(values) < abs(option.values):
        wanted = f"{option.values} values" if option.values > 1 else f"at least one value: {option.takes}"
        raise UserError(f"{flag} needs {'a value: ' + option.takes if option.values == 1 else wanted}.")
    option.check(flag, values)
    before = given.get(option.name)
    if before and option.values == MANY:
        values = before.values + values
    elif before and option.values == 0:
        raise UserError(
            f"{flag} is given twice; give it once."
            if before.values == values
            else f"{before.flag} and {flag} contradict each other; give one of them."
        )
    elif before:
        as_what = " and as ".join(" ".join(each) or "''" for each in (before.values, values))
        raise UserError(f"{option.flag} is given twice, as {as_what}; give it once.")
    given[option.name] = Given(flag, values)


def look_up(known: dict[str, Option], flag: str, prog: str) -> Option:
    """The option of this flag, in American or British spelling; UserError with the nearest one if there is none."""
    name = _field(flag)
    if flag.startswith("--"):
        if name in known and not known[name].positional:
            return known[name]
        switch = known.get(name.removeprefix("no_")) if name.startswith("no_") else None
        if switch and switch.type is bool:
            return switch
    flags = [option.flag[2:] for option in known.values() if not option.positional]
    raise UserError(f"There is no option {flag}; {suggestion(dashed(flag), flags, '--', prog)}")


def suggestion(given: str, names: list[str], prefix: str, prog: str) -> str:
    """The end of the sentence that there is no `given`."""
    if name := synonym(given, names):
        return f"here it is called {prefix}{name}."
    if name := nearest(given, names):
        return f"did you mean {prefix}{name}?"
    return f"{prog} --help lists the options."


def looks_like_option(word: str) -> bool:
    """--name, --name=anything or -n; not a negative number, nor a text that begins with a dash and has blanks."""
    name = word.partition("=")[0]
    if word in ("-inf", "-nan") or " " in name or "\n" in name:
        return False
    return name.startswith("-") and name.lstrip("-")[:1].isalpha()


def dashed(flag: str) -> str:
    return flag.lstrip("-").replace("_", "-")


def _field(flag: str) -> str:
    return american(dashed(flag)).replace("-", "_")
