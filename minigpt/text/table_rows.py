"""Rows of tables: CSV and TSV by line, Parquet and Arrow by number."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from minigpt.errors import UserError
from minigpt.text import json_values
from minigpt.text.formats import KNOWN
from minigpt.text.json_rows import OTHER_ENCODING, Open, Row

DELIMITERS = (",", "\t", ";", "|")
SUFFIXES = (".csv", ".tsv")
COMPRESSED = (".gz", ".xz", ".bz2")
BATCH = 256  # rows of a Parquet file in memory at once


def delimiter(path: Path, header: str) -> str | None:
    """What separates the cells of a file that begins with this line: None if it is not a table by its columns' names,
    nor by its own name."""
    for one in DELIMITERS:
        names = _names(header, one)
        if any(all(key in names for key in keys) for keys in KNOWN) and len(names) > 1:
            return one
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in COMPRESSED]
    if suffixes and suffixes[-1] in SUFFIXES:
        return "\t" if suffixes[-1] == ".tsv" else max(DELIMITERS, key=header.count)
    return None


def _names(header: str, one: str) -> list[str]:
    try:
        return [name.strip().lower() for name in next(csv.reader([header], delimiter=one, strict=True), [])]
    except csv.Error:
        return []


def read_csv(path: Path, opened: Open, separator: str) -> Iterator[Row]:
    """The rows of a table of text, by the line where each begins; the first has the columns' names. An empty cell is
    null."""
    csv.field_size_limit(json_values.LONGEST)
    with opened() as file:
        text = io.TextIOWrapper(file, "utf-8", "surrogateescape", newline="")
        reader = csv.reader(_lines(path, text), delimiter=separator, strict=True)
        what = "TSV" if separator == "\t" else "CSV"
        names: list[str] = []
        while True:
            source = f"{path}, line {reader.line_num + 1}"
            try:
                cells = next(reader, None)
            except csv.Error as error:
                yield Row(source, "", error=f"is not {what} ({error}).")
                continue
            if cells is None:
                return
            if not names:
                names = [name.strip().lower() for name in cells]
                if repeated := [name for name, count in Counter(names).items() if count > 1]:
                    raise UserError(f"{path} has the column {repeated[0]!r} twice.")
            elif any(cells):
                yield _row(source, names, cells)


def _lines(path: Path, file: io.TextIOWrapper) -> Iterator[str]:
    while line := file.readline(json_values.LONGEST + 1):
        if len(line) > json_values.LONGEST:
            raise UserError(f"{path}: a line {json_values.too_long()}.")
        yield line


def _row(source: str, names: list[str], cells: list[str]) -> Row:
    error = ""
    if len(cells) != len(names):
        error = f"has {len(cells)} cells, and the first line has {len(names)}."
    elif not _is_utf8("".join(cells)):
        error = f"is not in UTF-8; {OTHER_ENCODING}."
    row = {name: cell or None for name, cell in zip(names, cells, strict=False)}
    return Row(source, json.dumps(row, ensure_ascii=bool(error)), row, error)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_parquet(path: Path) -> Iterator[Row]:
    """The rows of a Parquet file, a batch at a time."""

    def rows() -> Iterator[dict]:
        from pyarrow.parquet import ParquetFile

        with ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH):
                yield from batch.to_pylist()

    return _of_pyarrow(path, rows(), "Parquet")


def read_arrow(path: Path, as_stream: bool) -> Iterator[Row]:
    """The rows of an Arrow file, in its layout of files or of streams, as `datasets` keeps its own."""

    def rows() -> Iterator[dict]:
        import pyarrow

        with pyarrow.OSFile(str(path)) as file:
            table = pyarrow.ipc.open_stream(file) if as_stream else pyarrow.ipc.open_file(file)
            for batch in table if as_stream else map(table.get_batch, range(table.num_record_batches)):
                batch.validate(full=True)  # else a damaged file is read out of its bounds
                yield from batch.to_pylist()

    return _of_pyarrow(path, rows(), "Arrow")


def _of_pyarrow(path: Path, rows: Iterator[dict], name: str) -> Iterator[Row]:
    try:
        yield from numbered(str(path), rows)
    except ImportError:
        raise UserError(f'{path} is a file of {name}, which needs pyarrow: pip install "minigpt[data]".') from None
    except Exception as error:  # pyarrow's own, and whatever else a damaged file makes it raise
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is a file of {name} that is cut short or damaged ({reason[:200]}).") from None


def numbered(name: str, rows: Iterable[dict]) -> Iterator[Row]:
    """Rows without lines, by their number."""
    for number, row in enumerate(rows, start=1):
        yield Row(f"{name}, row {number}", json.dumps(row, ensure_ascii=False, default=str), row)
