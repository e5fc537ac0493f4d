"""Options from a file: `--config FILE.toml`."""

import tomllib
from datetime import date, time
from pathlib import Path
from typing import Any, Literal, get_origin

from minigpt.cli.arguments import Given, Option, suggestion
from minigpt.cli.names import american
from minigpt.errors import UserError


def read_settings(path: Path, known: dict[str, Option], prog: str) -> dict[str, Given]:
    """The options in a TOML file, by the options' fields.

    Their names have dashes or underscores; lists are for options that take several values. UserError for a file that
    cannot be read, a name that is no option, and a value of another type than the option's.
    """
    given: dict[str, Given] = {}
    for key, value in _table(path).items():
        name = american(key.replace("_", "-"))
        option = known.get(name.replace("-", "_"))
        if name == "config":
            raise UserError(f"{path}: config names another file; the options of only one are read.")
        if option is None and isinstance(value, dict):
            raise UserError(f"{path}: [{key}] is a table; options stand at the top of the file, without tables.")
        if option is None:
            flags = [option.name.replace("_", "-") for option in known.values() if option.name != "config"]
            raise UserError(f"{path}: there is no option {key}; {suggestion(name, flags, '', prog)}")
        if option.name in given:
            raise UserError(f"{path}: {given[option.name].flag} and {key} are the same option; keep one of them.")
        given[option.name] = Given(key, _values(path, key, value, option))
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


def _values(path: Path, key: str, value: object, option: Option) -> list[str]:
    """The words that would give this value on a command line."""
    if option.values == 0 and isinstance(value, bool):
        return ["yes" if value else "no"]
    listed = option.values not in (0, 1)
    values = value if listed and isinstance(value, list) else [value]
    if not all(_fits(one, option.of) for one in values) or (option.values == 1 and isinstance(value, list)):
        what = f"a list, each {option.takes}" if listed else option.takes
        quoted = ", in quotes" if option.takes in ("text", "a path") and not isinstance(value, (dict, list)) else ""
        raise UserError(f"{path}: {key} is {_as_written(value)}; it takes {what}{quoted}.")
    if len(values) < 1 or (option.values > 0 and len(values) != option.values):
        wanted = "at least one value" if option.values < 0 else f"{option.values} values"
        raise UserError(f"{path}: {key} has {len(values)} values; it takes {wanted}.")
    words = [str(one) for one in values]
    option.check(f"{path}: {key}", words)
    return words


def _fits(value: object, wanted: Any) -> bool:
    """Whether a TOML value has the type; a whole number is a number too, and true is neither."""
    if wanted in (int, float):
        return isinstance(value, (int, wanted)) and not isinstance(value, bool)
    return isinstance(value, str) and (wanted in (str, Path) or get_origin(wanted) is Literal)


def _as_written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (date, time)):  # TOML has dates and times
        return str(value)
    return "a table" if isinstance(value, dict) else repr(value)
