"""Read plain text: files, folders of files, and rows with "text", as documents (document C 2.2)."""

import codecs
import hashlib
import os
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import fields
from itertools import chain
from pathlib import Path

from minigpt.errors import UserError
from minigpt.reading import sha256
from minigpt.text.files import decompressed, in_utf8, read_rows, refuse_other_formats
from minigpt.text.formats import KNOWN
from minigpt.text.hub import PREFIX, hub_sha256, read_hub_rows
from minigpt.text.messages import is_message
from minigpt.text.records import BadRow

SUFFIXES = (".txt", ".text", ".md")  # of a file that is plain text, before .gz, .xz or .bz2
CHUNK = 2**20  # bytes read at a time
LONGEST_WORD = 2**22  # characters without white space that are kept together
LEFT_OUT = {field.name for field in fields(BadRow)}  # the keys in bad_rows.jsonl
NO_TEXT = 'is no row of plain text, as others of this file are: it has no text under "text", or is a conversation.'


def is_plain_text(name: str) -> bool:
    """Whether a name of --data is text to continue: a folder, a .txt file, or rows with "text" in place of a
    conversation, recognized by the first row, or if that is broken and has a "text" by the next."""
    if not name.startswith(PREFIX) and (Path(name).is_dir() or _is_text_file(Path(name))):
        return True
    usable = (row for row in _rows(name) if not (row.error and '"text"' in row.text))
    return bool(next((_kind_of(row.value) for row in usable), False))


def documents(
    name: str, read: Callable[[int], object] = lambda n: None, bad: list[BadRow] | None = None
) -> Iterator[Iterator[str]]:
    """Every document of a file, folder or hub data set, each in pieces whose ids are those of the whole text.

    `read` gets the number of bytes read since it was last called. Rows without a text are added to `bad`, or without
    that list end in a UserError, as does a file that cannot be read or is not text.
    """
    if not name.startswith(PREFIX) and (files := text_files(name)):
        for path in files:
            text = pieces(_characters(path, read))
            if first := next(text, ""):
                yield chain([first], text)
        return
    for row in _rows(name):
        read(len(row.text.encode(errors="surrogatepass")))
        if problem := row.error or _problem(row.value):
            found = BadRow(row.source, problem, row.text)
            if bad is None:
                raise UserError(f"{row.source}: {found.reason}")
            bad.append(found)
        elif row.value["text"]:
            yield pieces(iter([row.value["text"]]))


def text_files(name: str) -> list[Path]:
    """The file itself, or the text files in a folder and below, by name; none for a file of rows.

    What is hidden in a folder is not read: there editors and notebooks keep copies of the texts, and macOS other data
    under their names.
    """
    path = Path(name)
    if path.is_dir():
        try:
            found = sorted(filter(_is_text_file, _files_below(path)))
        except OSError as error:
            raise UserError(f"{error.filename} cannot be read: {error.strerror}.") from None
        if not found:
            raise UserError(f"{name} is a folder without a .txt file.")
        return found
    return [path] if _is_text_file(path) else []


def text_sha256(name: str) -> str:
    """SHA-256 of the data: of a file's bytes; of a folder's file names and bytes; of a hub data set's rows."""
    if name.startswith(PREFIX):
        return hub_sha256(name)
    path = Path(name)
    if not path.is_dir():
        return sha256(path)
    digest = hashlib.sha256()
    for file in text_files(name):
        digest.update(os.fsencode(f"{file.relative_to(path).as_posix()} {sha256(file)}\n"))
    return digest.hexdigest()


def pieces(text: Iterator[str]) -> Iterator[str]:
    """The same text, cut only where white space follows anything else: GPT-2's pattern never joins across that, so
    the ids of the pieces, one after another, are those of the whole."""
    held = ""
    for part in text:
        held += part
        at = len(held) - 1
        while at > 0 and not (held[at].isspace() and not held[at - 1].isspace()):
            at -= 1
        if at <= 0 and len(held) > LONGEST_WORD:
            at = len(held)
        if at > 0:
            yield held[:at]
            held = held[at:]
    if held:
        yield held


def _is_text_file(path: Path) -> bool:
    """Whether its name is a text's, and it does not begin with a row: JSON Lines and tables are also called .txt."""
    name = path.name.lower()
    if not name.removesuffix(".gz").removesuffix(".xz").removesuffix(".bz2").endswith(SUFFIXES):
        return False
    try:
        first = next(read_rows(path), None)
    except UserError:
        if not path.exists():
            raise
        return True
    return first is None or _kind_of(first.value) is None


def _files_below(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """The files in a folder that are not hidden, and those in its folders, through links too, unless one leads back."""
    here = folder.resolve()
    if any(one.is_relative_to(here) for one in above):
        return
    for path in folder.iterdir():
        if not path.name.startswith("."):
            if path.is_dir():
                yield from _files_below(path, (*above, here))
            elif path.is_file():
                yield path


def _rows(name: str) -> Iterator:
    return read_hub_rows(name) if name.startswith(PREFIX) else read_rows(Path(name))


def _kind_of(row: object) -> bool | None:
    """True for a row with a text, if only an empty one, False for a conversation, None for anything else, such as a
    line of bad_rows.jsonl, whose "text" is a row."""
    if isinstance(row, list):
        return False if row and all(map(is_message, row)) else None
    if not isinstance(row, dict) or row.keys() == LEFT_OUT:
        return None
    if any(all(row.get(key) is not None for key in keys) for keys in KNOWN):
        return False
    return True if "text" in row and isinstance(row["text"], str | None) else None


def _problem(row: object) -> str:
    """Why a row is no text; "" if it is one."""
    if not _kind_of(row):
        return NO_TEXT
    lone = re.search("[\ud800-\udfff]", row["text"] or "")
    return f'"text" holds a lone surrogate (U+{ord(lone[0]):04X}), half of a character.' if lone else ""


def _characters(path: Path, read: Callable[[int], object]) -> Iterator[str]:
    decoder, at = codecs.getincrementaldecoder("utf-8")(), 0
    try:
        with decompressed(path) as (file, compression):
            refuse_other_formats(path, file.read(512), compression)
        with in_utf8(path) as file:
            while data := file.read(CHUNK):
                yield decoder.decode(data)
                read(len(data))
                at += len(data)
            yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        if error.encoding != "utf-8":
            raise UserError(f"{path} is not the {error.encoding} text that it begins as ({error.reason}).") from None
        raise UserError(
            f"{path} is not UTF-8 text (near byte {at + error.start:,}: {error.reason}); convert it first, "
            f"for example: iconv -f LATIN1 -t UTF-8 {shlex.quote(path.name)}"
        ) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from None
