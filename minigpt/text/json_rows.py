"""Rows of JSON Lines, of one JSON array, alone or in an object, or of JSON values one after another."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from minigpt.errors import UserError
from minigpt.text import json_values
from minigpt.text.formats import KNOWN
from minigpt.text.json_values import Decoder, JSONValues, TooLong, too_long
from minigpt.text.messages import is_message

OTHER_ENCODING = "if the file is in another encoding, such as Latin-1, convert it: iconv -f LATIN1 -t UTF-8"
LISTS = ("data", "train", "rows", "examples", "items", "instances")  # in an object that is too long to be read whole
Open = Callable[[], AbstractContextManager[io.BufferedIOBase]]  # the file from its start, in UTF-8


@dataclass(frozen=True)
class Row:
    """A row's text as it is in its file, and its value, or what is wrong with it."""

    source: str
    text: str
    value: object = None
    error: str = ""


def read_json(path: Path, opened: Open) -> Iterator[Row]:
    """The rows of a file of JSON, in the layout that it begins with. Blank lines are skipped.

    A broken line is a Row with its error. UserError for whatever else is broken, because the start of the next row is
    unknown.
    """
    layout, name = _layout(opened)
    if layout == "lines":
        with opened() as file:
            yield from _lines(path, file)
        return
    with _values(opened) as values:
        try:
            yield from {"array": _array, "object": _object, "values": _one_by_one}[layout](path, values, name)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else error
            what = "array" if layout == "array" else "file"
            raise UserError(f"{path}, line {values.line}: the {what} is not JSON from here on ({reason}).") from None


@contextmanager
def _values(opened: Open) -> Iterator[JSONValues]:
    with opened() as file:
        yield JSONValues(io.TextIOWrapper(file, "utf-8", "surrogateescape", newline="\n"))


def _layout(opened: Open) -> tuple[str, str | None]:
    """Lines, an array of rows, an object with such an array under this name, or values one after another."""
    with _values(opened) as values:
        opening = values.peek()
        if opening == "[":
            values.expect("[")
            try:
                is_row = values.peek() != "]" and is_message(values.value()[1])
            except (ValueError, RecursionError):
                is_row = False
            if not is_row:
                return "array", None
        elif opening != "{":
            return "lines", None
    with _values(opened) as values:
        try:
            text, value, _ = values.value()
            is_last = not values.peek()
        except TooLong:
            return _long_objects_layout(opened)
        except (ValueError, RecursionError):
            return "lines", None
    lists = _lists_of_rows(value) if is_last else []
    if lists:
        return "object", lists[0]
    return ("values" if "\n" in text else "lines"), None


def _lists_of_rows(value: object) -> list[str]:
    """The names under which an object that is not a row has lists of objects or of conversations."""
    if not isinstance(value, dict) or any(all(key in value for key in keys) for keys in KNOWN):
        return []
    return [name for name, part in value.items() if isinstance(part, list) and part and _is_row(part[0])]


def _is_row(value: object) -> bool:
    """Whether an element of a list is a row, not one message of one."""
    return any(map(is_message, value)) if isinstance(value, list) else isinstance(value, dict) and not is_message(value)


def _long_objects_layout(opened: Open) -> tuple[str, str | None]:
    with _values(opened) as values:
        try:
            values.expect("{")
            while True:
                _, name, _ = values.value()
                values.expect(":")
                if name in LISTS and values.peek() == "[":
                    return "object", name
                values.value()
                values.expect(",")
        except (ValueError, RecursionError):
            return "lines", None


def _lines(path: Path, file: io.BufferedIOBase) -> Iterator[Row]:
    decoder = Decoder()
    number = 0
    while line := file.readline(json_values.LONGEST + 1):
        number += 1
        source = f"{path}, line {number}"
        if len(line) > json_values.LONGEST and not line.endswith(b"\n"):
            yield Row(source, line[: json_values.CHUNK].decode(errors="replace"), error=f"{too_long()}.")
            while line and not line.endswith(b"\n"):
                line = file.readline(json_values.LONGEST)
        elif line.strip():
            text = line.decode(errors="replace").rstrip("\r\n")
            try:
                value = decoder.decode(line.decode())
                yield Row(source, text, value, decoder.error)
            except json.JSONDecodeError as error:  # its own message counts lines within this one
                hint = _hint(text, error)
                yield Row(source, text, error=f"is not JSON ({error.msg} at character {error.pos + 1}){hint}.")
            except UnicodeDecodeError as error:
                byte = f"the byte 0x{line[error.start]:02X} at {error.start + 1}"
                yield Row(source, text, error=f"is not JSON in UTF-8 ({byte}); {OTHER_ENCODING}.")
            except (ValueError, RecursionError) as error:
                yield Row(source, text, error=f"is not JSON ({error}).")


def _hint(text: str, error: json.JSONDecodeError) -> str:
    if text.lstrip().startswith(("{'", "[{'")):
        return "; it looks like Python's repr: write rows with json.dumps"
    if error.msg == "Extra data" and text[error.pos :].strip() == ",":
        return "; remove the comma at its end"
    if error.pos == 0:
        return (
            "; a file is JSON Lines, a JSON array, CSV, TSV, Parquet or Arrow, or plain text if its name ends in .txt"
        )
    return ""


def _array(path: Path, values: JSONValues, name: None = None) -> Iterator[Row]:
    yield from _elements(path, values)
    if values.peek():
        raise ValueError("there is text after the array's end")


def _elements(path: Path, values: JSONValues) -> Iterator[Row]:
    values.expect("[")
    if values.peek() != "]":
        while True:
            yield _row(path, values)
            if values.peek() != ",":
                break
            values.expect(",")
            values.peek()
    values.expect("]")


def _object(path: Path, values: JSONValues, name: str) -> Iterator[Row]:
    """The elements of the array of this name; other names are about the file."""
    values.expect("{")
    while True:
        _, key, _ = values.value()
        values.expect(":")
        if key == name:
            yield from _elements(path, values)
        elif others := _lists_of_rows({key: values.value()[1]}):
            several = f"{name}, {others[0]}"
            raise UserError(f"{path} holds several lists of rows: {several}. Write each to a file of its own.")
        if values.peek() != ",":
            break
        values.expect(",")
    values.expect("}")
    if values.peek():
        raise ValueError("there is text after the object's end")


def _one_by_one(path: Path, values: JSONValues, name: None = None) -> Iterator[Row]:
    while values.peek():
        yield _row(path, values)


def _row(path: Path, values: JSONValues) -> Row:
    values.peek()
    line = values.line
    text, value, error = values.value()
    return Row(f"{path}, line {line}", text, value, error)
