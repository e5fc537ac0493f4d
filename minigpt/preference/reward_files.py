"""FILE.py:NAME: a function of the user's own that gives an answer its reward."""

import importlib.util
import math
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from minigpt.errors import UserError
from minigpt.text.template import Message

Rule = Callable[[list[Message], str, bool], float]
FUNCTION = re.compile(r"(.+\.py):(\w+)")


def function_of(name: str) -> tuple[str, str] | None:
    """The file and the function of FILE.py:NAME; None for another name."""
    found = FUNCTION.fullmatch(name)
    return (found[1], found[2]) if found else None


def load_function(name: str) -> Rule:
    """The function, which gives a finite number or raises UserError. UserError if there is none, or its file cannot be
    loaded."""
    file, function = function_of(name) or (name, "")
    if not function:
        raise UserError(f"{name} does not name a function; it must be FILE.py:NAME.")
    path = Path(file).expanduser()
    if not path.is_file():
        raise UserError(f"There is no file {file}; {name} names the function {function} in it.")
    spec = importlib.util.spec_from_file_location(f"reward_of_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses and pickle look for it
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UserError(f"{file} cannot be loaded: {what(error, path)}.") from None
    rule = getattr(module, function, None)
    if not callable(rule):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        others = f"; it has {', '.join(known)}" if known else ""
        raise UserError(f"{file} has no function {function}{others}.")

    def checked(messages: list[Message], answer: str, ended: bool) -> float:
        try:
            value = rule(messages, answer, ended)
        except Exception as error:
            raise UserError(f"{name} failed: {what(error, path)}.") from None
        return number(name, value)

    return checked


def number(name: str, value: object) -> float:
    """`value` as a float; UserError if it is text, NaN, infinite or nothing that float takes."""
    try:
        if isinstance(value, str | bytes):
            raise TypeError
        found = float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise UserError(f"{name} returned {value!r}; a reward is a finite number.") from None
    if not math.isfinite(found):
        raise UserError(f"{name} returned {found}; a reward is a finite number.")
    return found


def what(error: BaseException, path: Path) -> str:
    """The error's name and text, and the last line of the file that it came through."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    where = f" (line {lines[-1]})" if lines else ""
    return f"{type(error).__name__}: {error}{where}" if str(error) else f"{type(error).__name__}{where}"
