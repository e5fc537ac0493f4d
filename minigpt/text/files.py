"""Rows of a data file with their line numbers; its compression, its encoding and its format are recognized by what it
holds."""

import bz2
import codecs
import gzip
import io
import json
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from minigpt.errors import UserError
from minigpt.text.json_rows import Row, read_json
from minigpt.text.json_values import CHUNK
from minigpt.text.table_rows import delimiter, read_arrow, read_csv, read_parquet

GZIP = b"\x1f\x8b"
COMPRESSED = {
    GZIP: (gzip.GzipFile, "gzip"),
    b"\xfd7zXZ\0": (lzma.LZMAFile, "xz"),
    b"BZh": (bz2.BZ2File, "bzip2"),
}
DAMAGED = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)
# What else a file may be, by its first bytes in lower case, and what to do with it.
PICKLE = "is a pickle, which could run code when it is read; write its rows as JSON Lines"
MARKUP = "is HTML or XML; download the data itself (the raw file), or write its rows as JSON Lines"
OTHERS = {
    b"\x28\xb5\x2f\xfd": "is compressed by Zstandard; decompress it first: zstd -d",
    b"7z\xbc\xaf\x27\x1c": "is a 7-Zip archive; unpack it first",
    b"rar!\x1a\x07": "is a RAR archive; unpack it first",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "is an old Excel or Word file; save the table as CSV in UTF-8",
    b"sqlite format 3\0": "is an SQLite database; export the table as CSV",
    b"\x89hdf": "is an HDF5 file; write its rows as JSON Lines",
    b"\x93numpy": "is a NumPy array; write its rows as JSON Lines",
    **dict.fromkeys((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"), PICKLE),
    b"obj\x01": "is an Avro file; write its rows as Parquet or JSON Lines",
    **dict.fromkeys((b"\x89png", b"\xff\xd8\xff", b"gif8"), "is a picture, and data is text or tables"),
    b"%pdf": "is a PDF; write its conversations as JSON Lines",
    b"version https://git-lfs": "is a Git LFS pointer and not the data itself; fetch it: git lfs pull",
    **dict.fromkeys((b"<!doctype", b"<html", b"<?xml"), MARKUP),
}
PARQUET, ARROW, ARROW_STREAM, ZIP = b"PAR1", b"ARROW1", b"\xff\xff\xff\xff", b"PK\x03\x04"
TAR = (257, b"ustar")  # at this byte


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a file: JSON (see `read_json`), CSV, TSV, Parquet or Arrow.

    Text may be compressed by gzip, xz or bzip2 and in UTF-8, UTF-16 or UTF-32. A broken row is a Row with its error.
    UserError for a file that cannot be read, which names its format where that is known.
    """
    try:
        if path.is_dir():
            names = sorted(str(file) for file in path.iterdir() if file.is_file())[:3]
            raise UserError(
                f"{path} cannot be read: Is a directory. Name its files: {' '.join(names) or 'it has none'}."
            )
        with decompressed(path) as (file, compression):
            head = file.read(512).removeprefix(codecs.BOM_UTF8)
        if compression is None and head.startswith(PARQUET):
            yield from read_parquet(path)
        elif compression is None and head.startswith((ARROW, ARROW_STREAM)):
            yield from read_arrow(path, as_stream=head.startswith(ARROW_STREAM))
        else:
            refuse_other_formats(path, head, compression)
            opened = partial(in_utf8, path)
            with opened() as file:
                while (line := file.readline(CHUNK)) and not line.strip():
                    pass
            separator = None if line.lstrip()[:1] in (b"{", b"[") else delimiter(path, line.decode(errors="replace"))
            yield from read_csv(path, opened, separator) if separator else read_json(path, opened)
    except UnicodeError as error:
        raise UserError(f"{path} is not the {error.encoding} text that it begins as ({error.reason}).") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from None


def refuse_other_formats(path: Path, head: bytes, compression: str | None) -> None:
    """UserError for a format that cannot be read, with its name and what to do."""
    if compression and head.startswith((PARQUET, ARROW, ARROW_STREAM)):
        raise UserError(f"{path} is a Parquet or Arrow file compressed by {compression}; decompress it first.")
    if head[TAR[0] :].startswith(TAR[1]):
        raise UserError(f"{path} is a tar archive; unpack it first: tar xf.")
    if head.startswith(ZIP):
        try:
            names = zipfile.ZipFile(path).namelist()
        except Exception:  # whatever a damaged archive makes the library raise
            names = []
        if "xl/workbook.xml" in names:
            raise UserError(f"{path} is an Excel workbook; save the sheet as CSV in UTF-8.")
        raise UserError(f"{path} is a ZIP archive ({', '.join(names[:3]) or 'damaged'}); unpack it first: unzip.")
    for magic, what in OTHERS.items():
        if head.lower().startswith(magic):
            raise UserError(f"{path} {what}.")
    # A zero byte in a row of text makes a bad row, not a bad file.
    is_text = head.lstrip()[:1] in (b"{", b"[") or (b"\0" not in head.partition(b"\n")[0] and _is_utf8(head))
    if b"\0" in head and not is_text and json.detect_encoding(head).startswith("utf-8"):
        raise UserError(f"{path} is a binary file of an unknown format; write its rows as JSON Lines.")


def _is_utf8(head: bytes) -> bool:
    """Whether the beginning of a file, which may end within a character, is UTF-8."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


@contextmanager
def decompressed(path: Path) -> Iterator[tuple[io.BufferedIOBase, str | None]]:
    """The file's bytes, and what they were compressed by."""
    with path.open("rb") as raw:
        head = raw.read(8)
        raw.seek(0)
        kind, name = next((found for magic, found in COMPRESSED.items() if head.startswith(magic)), (None, None))
        try:
            yield kind(fileobj=raw) if name == "gzip" else kind(raw) if kind else raw, name
        except DAMAGED as error:
            raise UserError(f"{path} is a {name} file that is cut short or damaged ({error}).") from None


@contextmanager
def in_utf8(path: Path) -> Iterator[io.BufferedIOBase]:
    """The file in UTF-8, after its byte order mark."""
    with decompressed(path) as (file, _):
        encoding = _encoding(file.read(512))
        file.seek(len(codecs.BOM_UTF8) if encoding == "utf-8-sig" else 0)
        yield file if encoding.startswith("utf-8") else io.BufferedReader(_InUTF8(file, encoding))


def _encoding(head: bytes) -> str:
    """The encoding by the first characters, or UTF-8 for a text that only happens to have a NUL among them."""
    found = json.detect_encoding(head)
    if found.endswith(("-le", "-be")) and 3 * head.count(0) < len(head):  # no mark, and too few for that encoding
        with suppress(UnicodeDecodeError):
            codecs.getincrementaldecoder("utf-8")().decode(head)
            return "utf-8"
    return found


class _InUTF8(io.RawIOBase):
    """A text in another encoding, read as UTF-8."""

    def __init__(self, file: io.BufferedIOBase, encoding: str) -> None:
        self.file, self.decoder, self.ready = file, codecs.getincrementaldecoder(encoding)(), b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        while not self.ready:
            chunk = self.file.read(CHUNK)
            self.ready = self.decoder.decode(chunk, final=not chunk).removeprefix("\ufeff").encode()
            if not chunk:
                break
        size = min(len(buffer), len(self.ready))
        buffer[:size], self.ready = self.ready[:size], self.ready[size:]
        return size
