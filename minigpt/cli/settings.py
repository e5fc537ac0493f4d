"""Options from a file: `--config FILE.toml`."""

import tomllib
from argparse import ArgumentTypeError
from datetime import date, time
from pathlib import Path
from typing import Any

from minigpt.cli.arguments import Option
from minigpt.cli.names import american, dashed, suggestion
from minigpt.errors import UserError


def read_settings(path: Path, known: dict[str, Option], prog: str) -> dict[str, Any]:
    """The fields that a TOML file gives.

    Their names have dashes or underscores; lists are for options that take several values. UserError for a file that
    cannot be read, a name that is no option, and a value of another type than the option's.
    """
    given: dict[str, Any] = {}
    keys: dict[str, str] = {}
    for key, value in _table(path).items():
        name = american(dashed(key))
        option = known.get(name.replace("-", "_"))
        if name == "config":
            raise UserError(f"{path}: config names another file; the options of only one are read.")
        if option is None and isinstance(value, dict):
            raise UserError(f"{path}: [{key}] is a table; options stand at the top of the file, without tables.")
        if option is None:
            names = [option.name.replace("_", "-") for option in known.values() if option.name != "config"]
            raise UserError(f"{path}: there is no option {key}; {suggestion(name, names, '', prog)}")
        if option.name in given:
            raise UserError(f"{path}: {keys[option.name]} and {key} are the same option; keep one of them.")
        keys[option.name] = key
        given[option.name] = _value(f"{path}: {key}", value, option)
    return given


def _table(path: Path) -> dict[str, object]:
    text = ""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        return tomllib.loads(text)
    except OSError as error:
        raise UserError(f"--config {path} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UserError(f"{path}, line {line} is not UTF-8; save the file as UTF-8 text.") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        why = str(error).replace("at end of document", f"at line {len(text.splitlines())}, the last")
        raise UserError(f"{path} is not TOML: {why}.") from None


def _value(key: str, value: object, option: Option) -> Any:
    """The field's value. A whole number is a number too, and true is neither."""
    several = option.nargs not in (0, None)
    values = value if several and isinstance(value, list) else [value]
    wanted = {bool: bool, int: int, float: (int, float)}.get(option.of, str)
    if not all(isinstance(one, wanted) and isinstance(one, bool) == (option.of is bool) for one in values):
        what = f"a list, each {option.takes}" if several else option.takes
        quoted = ", in quotes" if option.takes in ("text", "a path") and not isinstance(value, (dict, list)) else ""
        raise UserError(f"{key} is {_as_written(value)}; it takes {what}{quoted}.")
    if several and (not values or option.nargs not in ("+", len(values))):
        wanted = "at least one value" if option.nargs == "+" else f"{option.nargs} values"
        raise UserError(f"{key} has {len(values)} values; it takes {wanted}.")
    if option.nargs == 0:
        return value
    try:
        converted = tuple(option.value(str(one)) for one in values)
    except ArgumentTypeError as error:
        raise UserError(f"{key} {error}") from None
    return converted if several else converted[0]


def _as_written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (date, time)):  # TOML has dates and times
        return str(value)
    return "a table" if isinstance(value, dict) else repr(value)
