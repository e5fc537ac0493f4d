"""Read rows with their line numbers from JSON Lines or one JSON array, gzipped or not."""

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from minigpt.errors import UserError

LONGEST = 2**24  # bytes in a row: far more than any conversation, far less than a machine's memory
CHUNK = 2**16
TOKEN = 16  # characters: longer than any exponent, literal or escape that the end of the buffer may cut
GZIP, BYTE_ORDER_MARK = b"\x1f\x8b", b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Row:
    """A row's text as it is in its file, and its JSON value, or the error if it is not valid JSON."""

    source: str
    text: str
    value: object = None
    error: str = ""


def read_rows(path: Path) -> Iterator[Row]:
    """The lines of a JSON Lines file, or the elements of its one array. Blank lines are skipped.

    A broken line is a Row with its error. UserError for a file that cannot be read, and for a broken array, because
    the start of its next element is unknown.
    """
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == GZIP
            raw.seek(0)
            file = gzip.GzipFile(fileobj=raw) if zipped else raw
            while (head := file.readline(CHUNK).removeprefix(BYTE_ORDER_MARK)) and not head.strip():
                pass
            file.seek(0)
            if head.lstrip().startswith(b"["):
                yield from _elements(path, io.TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="\n"))
            else:
                yield from _lines(path, file)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path} is a gzip file that is cut short or damaged ({error}).") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from None


def _lines(path: Path, file: io.BufferedIOBase) -> Iterator[Row]:
    if file.read(len(BYTE_ORDER_MARK)) != BYTE_ORDER_MARK:
        file.seek(0)
    number = 0
    while line := file.readline(LONGEST + 1):
        number += 1
        source = f"{path}, line {number}"
        if len(line) > LONGEST and not line.endswith(b"\n"):
            yield Row(source, line[:CHUNK].decode(errors="replace"), error=f"{_too_long()}.")
            while line and not line.endswith(b"\n"):
                line = file.readline(LONGEST)
        elif line.strip():
            text = line.decode(errors="replace").rstrip("\r\n")
            try:
                yield Row(source, text, json.loads(line.decode()))
            except json.JSONDecodeError as error:  # its own message counts lines within this one
                yield Row(source, text, error=f"is not JSON ({error.msg} at character {error.pos + 1}).")
            except (ValueError, RecursionError) as error:
                yield Row(source, text, error=f"is not JSON ({error}).")


def _elements(path: Path, file: io.TextIOBase) -> Iterator[Row]:
    array = _Array(file)
    try:
        array.expect("[")
        if array.peek() != "]":
            while True:
                line = array.line
                text, value = array.element()
                yield Row(f"{path}, line {line}", text, value)
                if array.peek() != ",":
                    break
                array.expect(",")
                array.peek()
        array.expect("]")
        if array.peek():
            raise ValueError("there is text after the array's end")
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else error
        raise UserError(f"{path}, line {array.line}: the array is not JSON from here on ({reason}).") from None


class _Array:
    """Incremental reader of a JSON array: it reads no further than the next element needs."""

    def __init__(self, file: io.TextIOBase) -> None:
        self.file, self.text, self.at, self.line = file, "", 0, 1

    def more(self) -> bool:
        """Double the buffer, so that retrying an element costs at most twice one reading of it."""
        unread = self.text[self.at :]
        chunk = self.file.read(max(CHUNK, len(unread)))
        self.text, self.at = unread + chunk, 0
        return bool(chunk)

    def peek(self) -> str:
        """The next character that is not white space, or "" at the end; `line` is its line."""
        while True:
            while self.at < len(self.text) and self.text[self.at] in " \t\r\n":
                self.line += self.text[self.at] == "\n"
                self.at += 1
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def expect(self, character: str) -> None:
        if (found := self.peek()) != character:
            raise ValueError(f"expected {character!r}, found {found!r}" if found else "the file ends too early")
        self.at += 1

    def element(self) -> tuple[str, object]:
        self.peek()
        while True:
            try:
                value, end = json.JSONDecoder().raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                # An element cut by the end of the buffer fails near that end, or as an unterminated string; an error
                # anywhere else is final.
                if error.pos < len(self.text) - TOKEN and not error.msg.startswith("Unterminated"):
                    raise
                if len(self.text) - self.at > LONGEST:
                    raise ValueError(f"an element {_too_long()}") from None
                if not self.more():
                    raise
                continue
            size = end - self.at
            # A number at the end of the buffer may continue after it: 1, 1., 1e+.
            if end + TOKEN < len(self.text) or not self.more():
                break
        text = self.text[self.at : self.at + size]
        try:
            if len(text.encode()) > LONGEST:
                raise ValueError(f"an element {_too_long()}")
        except UnicodeEncodeError:
            raise ValueError("an element holds bytes that are not UTF-8") from None
        self.line += text.count("\n")
        self.at += size
        return text, value


def _too_long() -> str:
    return f"is longer than {LONGEST / 2**20:.0f} MiB"
