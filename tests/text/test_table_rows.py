"""Lesson 11: rows of CSV, TSV, Parquet and Arrow."""

import csv
import io
import sys
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt.errors import UserError
from minigpt.text import json_values
from minigpt.text.files import read_rows
from minigpt.text.records import BadRow, data_sha256, read_conversations

CELLS = ["hỏi 🙂\u2028", 'a "quoted", one', "two\nlines\r\nand a\ttab", "NA", "None", "007", " spaced "]
TURNS = [{"role": "user", "content": "hỏi"}, {"role": "assistant", "content": "đáp"}]


def table(rows: list[list[str]], delimiter: str, header: tuple[str, ...] = ("prompt", "completion", "id")) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows([header, *rows])
    return text.getvalue().encode()


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def texts(path: Path, bad: list[BadRow] | None = None) -> list[tuple[str, str, str]]:
    """Where each conversation is, its question and its answer."""
    return [
        (row.source.removeprefix(f"{path}, "), row.messages[0]["content"], row.messages[1]["content"])
        for row in read_conversations([path], bad)
    ]


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
@pytest.mark.parametrize("name", ["rows.csv", "rows"])
def test_a_table_of_text_is_read_cell_by_cell_as_it_is(tmp_path: Path, name: str, delimiter: str) -> None:
    """A word such as NA is no missing value, a number keeps its zeros, a cell may have lines of its own."""
    path = write(tmp_path / name, table([[cell, cell, str(i)] for i, cell in enumerate(CELLS)], delimiter))
    expected, line = [], 2
    for cell in CELLS:
        expected.append((f"line {line}", cell, cell))
        line += 1 + 2 * cell.count("\n")
    assert texts(path) == expected


@given(rows=st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=3, max_size=3)))
@settings(max_examples=60)
def test_any_text_comes_back_from_a_table(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]) -> None:
    path = write(tmp_path_factory.getbasetemp() / "any.csv", table(rows, ","))
    assert [list(row.value.values()) for row in read_rows(path)] == rows


def test_columns_are_known_in_any_case_and_an_empty_cell_is_null(tmp_path: Path) -> None:
    """So a union of two formats, too, is what is in it."""
    header = ("Instruction", " Input", "OUTPUT", "question", "answer", "")
    rows = [["I", "", "O", "", "", "0"], ["", "", "", "Q", "A", "1"], ["I", "X", "O", "", "", "2"]]
    path = write(tmp_path / "a.csv", b"\xef\xbb\xbf" + table(rows, ",", header))
    assert texts(path) == [("line 2", "I", "O"), ("line 3", "Q", "A"), ("line 4", "I\n\nX", "O")]


def test_messages_may_be_json_in_a_cell(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.csv",
        table([['[{"role":"user","content":"hỏi"},{"from":"gpt","value":"đáp"}]', "1"]], ",", ("messages", "id")),
    )
    assert read_conversations([path])[0].messages == TURNS


def test_a_bad_row_of_a_table_is_named_by_its_line_and_the_next_is_read(tmp_path: Path) -> None:
    content = b'prompt,completion\n"a"b,c\nd,e\n\nf\ng,h,i\nj,\n\xe9,x\nk,l\n"m,n\n'
    bad: list[BadRow] = []
    assert texts(write(tmp_path / "a.csv", content), bad) == [("line 3", "d", "e"), ("line 9", "k", "l")]
    assert [(row.source[-7:].strip(), row.reason[:30]) for row in bad] == [
        ("line 2", "is not CSV (',' expected after"),
        ("line 5", "has 1 cells, and the first lin"),
        ("line 6", "has 3 cells, and the first lin"),
        ("line 7", '"completion" is not text.'),
        ("line 8", "is not in UTF-8; if the file i"),
        ("line 10", "is not CSV (unexpected end of "),
    ]


def test_a_column_that_changes_the_meaning_is_refused_in_a_table_too(tmp_path: Path) -> None:
    rows = [["a", "b", "1"], ["a", "b", "0"]]
    bad: list[BadRow] = []
    assert len(texts(write(tmp_path / "a.csv", table(rows, ",", ("prompt", "completion", "weight"))), bad)) == 1
    assert bad[0].reason.startswith('has "weight", which would change')


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"prompt,Prompt,completion\na,b,c\n", "a.csv has the column 'prompt' twice"),
        (b"name,age\na,1\n", "a.csv, line 2: has the keys 'name', 'age'; expected are"),
        (b"prompt,completion\n", "a.csv has no rows"),
        (b"prompt,completion\n" + b"x" * 200 + b",y\n", "a.csv: a line is longer than"),
    ],
)
def test_a_table_that_holds_no_conversations_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, said: str
) -> None:
    monkeypatch.setattr(json_values, "LONGEST", 100)
    with pytest.raises(UserError) as caught:
        read_conversations([write(tmp_path / "a.csv", content)])
    assert said in str(caught.value)


def arrow(rows: list[dict], layout: str) -> bytes:
    """Rows as a file of pyarrow's, several batches in one."""
    sink, whole = pyarrow.BufferOutputStream(), pyarrow.Table.from_pylist(rows)
    if layout == "parquet":
        pyarrow.parquet.write_table(whole, sink, row_group_size=2)
    else:
        with getattr(pyarrow.ipc, f"new_{layout}")(sink, whole.schema) as writer:
            writer.write_table(whole, max_chunksize=2)
    return sink.getvalue().to_pybytes()


ROWS = [
    {"messages": TURNS, "prompt": None, "completion": None, "kind": None, "raw": b"\xff"},
    {"messages": None, "prompt": "P", "completion": "C", "kind": "sums", "raw": None},
    {"messages": None, "prompt": "P", "completion": None, "kind": None, "raw": None},
    {"messages": [{**TURNS[0]}, {**TURNS[1], "weight": 1}], "prompt": None, "completion": None, "kind": None},
]


@pytest.mark.parametrize("layout", ["parquet", "file", "stream"])
def test_rows_of_parquet_and_arrow_are_conversations_by_number(tmp_path: Path, layout: str) -> None:
    """Every row has every column, those of the other formats null; and every message every key."""
    path = write(tmp_path / "rows", arrow(ROWS, layout))
    bad: list[BadRow] = []
    read = read_conversations([path], bad)
    assert [(row.source, row.kind) for row in read] == [
        (f"{path}, row 1", "all"),
        (f"{path}, row 2", "sums"),
        (f"{path}, row 4", "all"),
    ]
    assert [row.messages[0]["content"] for row in read] == ["hỏi", "P", "hỏi"]
    assert [(row.source, row.reason) for row in bad] == [(f"{path}, row 3", '"completion" is not text.')]
    assert len(data_sha256(path)) == 64


@pytest.mark.parametrize("layout", ["parquet", "file", "stream"])
def test_a_damaged_file_of_pyarrows_is_refused_by_its_format(tmp_path: Path, layout: str) -> None:
    whole = arrow(ROWS, layout)
    for content in (whole[:40], whole[: len(whole) // 2], whole[:300] + b"\xff" * (len(whole) - 300)):
        with pytest.raises(UserError, match=r"rows is a file of \w+ that is cut short or damaged \(.+\)\.$") as caught:
            list(read_rows(write(tmp_path / "rows", content)))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("layout", ["parquet", "file"])
def test_without_the_library_the_error_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    path = write(tmp_path / "rows", arrow(ROWS, layout))
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=r'a file of \w+, which needs pyarrow: pip install "minigpt\[data\]"\.$'):
        list(read_rows(path))
