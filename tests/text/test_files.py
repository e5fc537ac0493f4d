"""Lesson 11: rows of JSON Lines and of arrays, gzipped or not, each with the line where it begins."""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import pickle
import random
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt.errors import UserError
from minigpt.reading import sha256
from minigpt.text import json_values
from minigpt.text.files import Row, read_rows
from minigpt.text.records import BadRow, refuse

ROWS = [{"prompt": "hỏi 🙂", "completion": "a\u2028b\u0085c"}, {"n": [1, -2.5e3, None, True]}, "text", 7]
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def json_lines(rows: list, end: str = "\n") -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + end for row in rows).encode()


def array(rows: list, end: str = "\n") -> bytes:
    """One element a line, the first in the first line, so that it stands where it does in JSON Lines."""
    return ("[" + f",{end}".join(json.dumps(row, ensure_ascii=False) for row in rows) + f"]{end}").encode()


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def read(path: Path) -> list[tuple[str, object]]:
    """The line and the value of every row, none of which is broken."""
    rows = list(read_rows(path))
    assert not [row.error for row in rows if row.error]
    return [(row.source.removeprefix(f"{path}, "), row.value) for row in rows]


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("mark", [b"", BYTE_ORDER_MARK], ids=["", "BOM"])
@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("layout", [json_lines, array])
def test_every_way_to_write_the_same_rows_gives_the_same(
    tmp_path: Path, layout: type, zipped: bool, mark: bytes, end: str
) -> None:
    """The name tells nothing: each is called the same."""
    content = mark + layout(ROWS, end)
    path = write(tmp_path / "rows.txt", gzip.compress(content) if zipped else content)
    assert read(path) == [(f"line {i}", row) for i, row in enumerate(ROWS, start=1)]


def test_a_row_keeps_its_text_as_it_stands_in_the_file(tmp_path: Path) -> None:
    """Escapes, spaces and an element's own line breaks among it."""
    lines = write(tmp_path / "a.jsonl", BYTE_ORDER_MARK + b'{"a" :  "\\u00e9"}\r\n')
    assert [row.text for row in read_rows(lines)] == ['{"a" :  "\\u00e9"}']
    elements = write(tmp_path / "a.json", b'[ {"a" :\n "\\u00e9"} ,2]')
    assert [row.text for row in read_rows(elements)] == ['{"a" :\n "\\u00e9"}', "2"]


@pytest.mark.parametrize(
    "content", [b"", b"\n \r\n", BYTE_ORDER_MARK, b"[]", b"\n\n [ \n ]\n", gzip.compress(b"", mtime=0)]
)
def test_what_holds_no_row_gives_none(tmp_path: Path, content: bytes) -> None:
    assert read(write(tmp_path / "a", content)) == []


def test_blank_lines_before_an_array_are_counted_however_many(tmp_path: Path) -> None:
    path = write(tmp_path / "a", b" " * 2 * json_values.CHUNK + b"\n" * 3 + b"[\n1]")
    assert read(path) == [("line 5", 1)]


def test_gzip_files_laid_end_to_end_are_one_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.gz", gzip.compress(b'{"a": 1}\n{"a"') + gzip.compress(b": 2}\n", mtime=0))
    assert read(path) == [("line 1", {"a": 1}), ("line 2", {"a": 2})]


WHITE = st.text(alphabet=" \t\r\n", max_size=4)
TEXTS = st.text(alphabet=st.sampled_from('aệ🙂\u2028\u0085\ufeff\n"\\/[]{},:'), max_size=6) | st.text(max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@given(
    rows=st.lists(st.tuples(VALUES, WHITE, WHITE, st.sampled_from([None, 0, 1])), max_size=4),
    outside=st.tuples(WHITE, WHITE, WHITE),
    escaped=st.booleans(),
    mark=st.sampled_from([b"", BYTE_ORDER_MARK]),
    chunk=st.integers(4, 40),
)
@settings(max_examples=150)
def test_an_arrays_elements_and_their_lines_do_not_depend_on_where_it_is_white_or_how_it_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[object, str, str, int | None]],
    outside: tuple[str, str, str],
    escaped: bool,
    mark: bytes,
    chunk: int,
) -> None:
    """An element's line is where it begins; it may have line breaks of its own, and lie across any border."""
    text, expected = outside[0] + "[" + outside[1] * (not rows), []
    for i, (value, before, behind, indent) in enumerate(rows):
        text += "," * (i > 0) + before
        expected.append((f"line {text.count(chr(10)) + 1}", value))
        text += json.dumps(value, ensure_ascii=escaped, indent=indent) + behind
    path = tmp_path_factory.getbasetemp() / "elements.json"
    write(path, mark + (text + "]" + outside[2]).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_values, "CHUNK", chunk)
        assert read(path) == expected


@given(rows=st.lists(VALUES, max_size=5), blank=st.lists(WHITE.filter(lambda white: "\r" not in white), max_size=5))
@settings(max_examples=60)
def test_json_lines_are_the_values_of_their_lines(
    tmp_path_factory: pytest.TempPathFactory, rows: list[object], blank: list[str]
) -> None:
    """Whatever stands in a text, U+2028 too, and however many blank lines between; a list alone is no array of rows."""
    rows = [{"messages": value} for value in rows]
    text, expected = "", []
    for i, value in enumerate(rows):
        text += "".join(white + "\n" for white in blank[i : i + 1])
        expected.append((f"line {text.count(chr(10)) + 1}", value))
        text += json.dumps(value, ensure_ascii=False) + "\n"
    assert read(write(tmp_path_factory.getbasetemp() / "lines.jsonl", text.encode())) == expected


@pytest.mark.parametrize("number", ["12345", "-1.5", "1.25e-7", "2E+11", "-Infinity"])
def test_a_number_that_lies_across_the_border_of_two_reads_stays_whole(
    tmp_path: Path, number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1.2 is read as 1 where the reading ends behind the point, and as 12 where a 3 comes later."""
    path = write(tmp_path / "a.json", f"[{number}, {number}]".encode())
    for chunk in range(4, 20):
        monkeypatch.setattr(json_values, "CHUNK", chunk)
        assert [value for _, value in read(path)] == [float(number)] * 2


def test_an_element_of_many_reads_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_values, "CHUNK", 16)
    rows = [{"text": "ệ🙂" * 5_000}, {"text": "short"}, {"text": "[" * 5_000}]
    assert [value for _, value in read(write(tmp_path / "a.json", array(rows)))] == rows


@pytest.mark.parametrize("mark", [b"", BYTE_ORDER_MARK], ids=["", "BOM"])
@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("size", [101, 350])
def test_a_line_that_is_too_long_is_one_bad_row_and_the_next_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: bytes, at: int, size: int
) -> None:
    monkeypatch.setattr(json_values, "LONGEST", 100)
    monkeypatch.setattr(json_values, "CHUNK", 10)
    lines = [b'{"a": 1}', b'{"a": 2}']
    lines.insert(at, b'"' + b"x" * (size - 2) + b'"')
    path = write(tmp_path / "a.jsonl", mark + b"\n".join(lines) + b"\n")
    rows = list(read_rows(path))
    assert [row.source for row in rows] == [f"{path}, line {i}" for i in (1, 2, 3)]
    assert [row.error[:14] for row in rows] == ["is longer than" if i == at else "" for i in range(3)]
    assert [row.value for row in rows if not row.error] == [{"a": 1}, {"a": 2}]
    assert rows[at].text.startswith('"xxx')
    assert len(rows[at].text) <= 10


def test_a_long_last_line_without_its_end_is_one_bad_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_values, "LONGEST", 100)
    rows = list(read_rows(write(tmp_path / "a.jsonl", b"1\n" + b"2" * 1_000)))
    assert [(row.value, row.error[:14]) for row in rows] == [(1, ""), (None, "is longer than")]


@pytest.mark.parametrize("size", [110, 180, 5_000])
def test_an_element_that_is_too_long_is_refused_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Also one that is whole in what was read before its length was known."""
    monkeypatch.setattr(json_values, "LONGEST", 100)
    monkeypatch.setattr(json_values, "CHUNK", 10)
    path = write(tmp_path / "a.json", b'[{"a": 1},\n"' + b"x" * size + b'",\n' + b"1," * 10_000)
    reading = read_rows(path)
    assert next(reading) == Row(f"{path}, line 1", '{"a": 1}', {"a": 1})
    with pytest.raises(UserError, match=r"a\.json, line 2: .*an element is longer than"):
        next(reading)


def test_the_rest_of_an_element_that_is_too_long_is_left_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_values, "LONGEST", 100)
    monkeypatch.setattr(json_values, "CHUNK", 10)
    with pytest.raises(UserError, match=r"line 2: .*an element is longer than"):
        list(read_rows(write(tmp_path / "a", cut_short(b'[1,\n"'))))


@pytest.mark.parametrize("text", ["x" * 98, "ệ" * 32 + "xx"])
@pytest.mark.parametrize("layout", [json_lines, array])
def test_the_longest_row_is_as_long_in_either_layout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: type, text: str
) -> None:
    """In bytes: the first is of just as many as may be, the other of one more."""
    monkeypatch.setattr(json_values, "LONGEST", 100)
    monkeypatch.setattr(json_values, "CHUNK", 10)
    assert read(write(tmp_path / "a", layout([text, 1]))) == [("line 1", text), ("line 2", 1)]
    path = write(tmp_path / "b", layout([1, text + "x"]))
    with pytest.raises(UserError, match=r"b, line 2: .*is longer than"):
        refuse([BadRow(row.source, row.error, row.text) for row in read_rows(path) if row.error])


def cut_short(content: bytes) -> bytes:
    """A gzip file of this and much more that does not shrink, without its end: to read to it is a mistake."""
    return gzip.compress(content + random.Random(0).randbytes(2**16).hex().encode() + b'"]')[:-100]


@pytest.mark.parametrize("opening", [b'[{"a": 1},\n{"a": 2},\n"', b'{"a": 1}\n{"a": 2}\n'], ids=["array", "lines"])
def test_no_more_is_read_than_the_rows_that_were_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opening: bytes
) -> None:
    """The first rows of a file of any length come at once; that it is broken is reported only where it breaks."""
    monkeypatch.setattr(json_values, "CHUNK", 16)
    reading = read_rows(write(tmp_path / "a", cut_short(opening)))
    assert [next(reading).value, next(reading).value] == [{"a": 1}, {"a": 2}]
    with pytest.raises(UserError, match="cut short or damaged"):
        next(reading)


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        ('[{"a": 1},\n{"a": 2}', 2, "the file ends too early"),
        ('[{"a": 1},\n{"a": "b', 2, "Unterminated string"),
        ('[{"a": 1},\n{"a"', 2, "Expecting ':' delimiter"),
        ('[{"a": 1},\n', 2, "Expecting value"),
        ('[{"a": 1}\n\n{"a": 2}]', 3, "expected ']', found '{'"),
        ('[{"a": 1},\n{"a" 2}]', 2, "Expecting ':' delimiter"),
        ('[{"a": 1}]\n{"a": 2}', 2, "there is text after the array's end"),
        ('[{"a": 1},\n]', 2, "Expecting value"),
        ("[,1]", 1, "Expecting value"),
        ("[", 1, "Expecting value"),
        ("[1,\n" + "[" * 100_000, 2, "while decoding a JSON array"),
        ("[1,\n" + "9" * 5_000 + "]", 2, "4300"),
        ("[1,\n{'a': 2}]", 2, "Expecting property name"),
        ('[1,\n{"a":\n"x\ny"}]', 2, "Invalid control character"),
    ],
)
def test_a_broken_array_is_refused_by_file_and_line(tmp_path: Path, content: str, line: int, said: str) -> None:
    path = write(tmp_path / "a.json", content.encode())
    with pytest.raises(UserError, match=rf"a\.json, line {line}: the array is not JSON from here on") as caught:
        list(read_rows(path))
    assert said in str(caught.value)
    assert "char" not in str(caught.value).replace("control character", "")  # its place is one in what was read last
    assert "\n" not in str(caught.value)


def test_an_error_in_a_large_array_is_reported_as_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as an element too long, which is what it looks like to one who reads on for its end."""
    monkeypatch.setattr(json_values, "LONGEST", 300)
    monkeypatch.setattr(json_values, "CHUNK", 50)
    path = write(tmp_path / "a.json", b'[{"a": 1},\n{"a" 2},\n' + b'{"a": 3},\n' * 100 + b"{}]")
    with pytest.raises(UserError, match=r"a\.json, line 2: .*Expecting ':' delimiter"):
        list(read_rows(path))


def test_bytes_that_are_no_text_are_one_bad_line(tmp_path: Path) -> None:
    rows = list(read_rows(write(tmp_path / "a.jsonl", b'{"a": "\xe9"}\n{"a": 2}\n')))
    assert [(row.value, row.error[:11]) for row in rows] == [(None, "is not JSON"), ({"a": 2}, "")]
    assert rows[0].text == '{"a": "\ufffd"}'


@pytest.mark.parametrize("chunk", [16, 2**16])
def test_bytes_that_are_no_text_are_refused_by_the_line_of_their_element(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    """However far ahead of its rows a file is read, and whether or not they stand in a text."""
    monkeypatch.setattr(json_values, "CHUNK", chunk)
    for broken, line in ((b'{"a": "\xe9"}', 3), (b'"x"\xff', 3), (b"\xc3", 3)):
        path = write(tmp_path / "a.json", b'[{"a": 1},\n{"a": 2},\n' + broken + b',\n{"a": 3}]')
        with pytest.raises(UserError, match=rf"a\.json, line {line}: "):
            list(read_rows(path))


@pytest.mark.parametrize("layout", [json_lines, array])
def test_a_damaged_gzip_file_is_refused_by_name(tmp_path: Path, layout: type) -> None:
    """Cut anywhere, a byte flipped in its data or its checksum, or something else behind it."""
    whole = gzip.compress(layout([{"text": str(i) * 50} for i in range(200)]), mtime=0)
    broken = [whole[:n] for n in (2, 9, 30, len(whole) // 2, len(whole) - 1)]
    broken += [whole[:20] + bytes([whole[20] ^ 255]) + whole[21:], whole[:-5] + b"\0" + whole[-4:], whole + b"more"]
    broken += [whole[:2] + b"\x07" + whole[3:]]
    for content in broken:
        path = write(tmp_path / "a.gz", content)
        with pytest.raises(UserError, match=r"a\.gz is a gzip file that is cut short or damaged \(.+\)\.$"):
            list(read_rows(path))


def test_what_cannot_be_opened_is_refused_by_name(tmp_path: Path) -> None:
    for read_it in (lambda path: list(read_rows(path)), sha256):
        with pytest.raises(UserError, match=r"absent\.jsonl cannot be read: No such file or directory\."):
            read_it(tmp_path / "absent.jsonl")
        with pytest.raises(UserError, match=r"cannot be read: Is a directory\."):
            read_it(tmp_path)


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="no /dev/fd here")
def test_a_pipe_is_refused_with_the_reason(tmp_path: Path) -> None:
    """It cannot be read twice, and system calls do not give every error a text."""
    reader, writer = os.pipe()
    try:
        os.write(writer, b'{"a": 1}\n')
        with pytest.raises(UserError, match=rf"/dev/fd/{reader} cannot be read: .*seek"):
            list(read_rows(Path(f"/dev/fd/{reader}")))
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf{}\r\n", gzip.compress(b"{}", mtime=0)])
def test_the_checksum_is_of_the_bytes_as_they_are(tmp_path: Path, content: bytes) -> None:
    assert sha256(write(tmp_path / "a", content)) == hashlib.sha256(content).hexdigest()


COMPRESSIONS = {"plain": bytes, "gzip": gzip.compress, "xz": lzma.compress, "bzip2": bz2.compress}
TURNS = [{"role": "user", "content": "hỏi"}, {"role": "assistant", "content": "đáp"}]


@pytest.mark.parametrize("compress", COMPRESSIONS.values(), ids=COMPRESSIONS)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
@pytest.mark.parametrize("layout", [json_lines, array])
def test_a_text_is_read_in_any_encoding_of_unicode_however_compressed(
    tmp_path: Path, layout: type, encoding: str, compress: type
) -> None:
    """Windows' programs write UTF-16, with and without a mark; a name says nothing."""
    content = layout([{"a": "hỏi 🙂\u2028"}, {"b": "\u0a0a\u0d0a"}]).decode().encode(encoding)
    read_rows_of = read(write(tmp_path / "rows.bin", compress(content)))
    assert read_rows_of == [("line 1", {"a": "hỏi 🙂\u2028"}), ("line 2", {"b": "\u0a0a\u0d0a"})]


@pytest.mark.parametrize("compress", list(COMPRESSIONS.values())[1:], ids=list(COMPRESSIONS)[1:])
def test_a_damaged_compressed_file_is_refused_by_name(tmp_path: Path, compress: type) -> None:
    whole = compress(json_lines([{"text": str(i) * 50} for i in range(200)]))
    for content in (whole[:30], whole[: len(whole) // 2], whole[:40] + bytes([whole[40] ^ 255]) + whole[41:]):
        with pytest.raises(UserError, match=r"^\S*rows (is a \w+ file that is cut short|cannot be read: Invalid data)"):
            list(read_rows(write(tmp_path / "rows", content)))


def test_half_a_character_of_utf_16_is_refused_in_a_sentence(tmp_path: Path) -> None:
    for content in ('{"a": 1}\n{"a"'.encode("utf-16") + b"\x7b", b"\xff\xfe{\0\0\xd8}\0"):
        with pytest.raises(UserError, match=r"a is not the utf-16\S* text that it begins as|not JSON from here on"):
            list(read_rows(write(tmp_path / "a", content)))


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (json.dumps(ROWS[1], indent=2) + "\n\n" + json.dumps({"b": [{"c": 1}]}, indent=1), [(1, ROWS[1]), (10, None)]),
        (json.dumps(ROWS[1], indent=2), [(1, ROWS[1])]),
        ('{"a":\n1}{"a": 2}\n  {"a": 3}', [(1, {"a": 1}), (2, {"a": 2}), (3, {"a": 3})]),
        (json.dumps({"version": "1.0", "data": ROWS[:2], "n": [1]}), [(1, ROWS[0]), (1, ROWS[1])]),
        (json.dumps({"train": ROWS[:2]}, indent=0), [(3, ROWS[0]), (7, None)]),
        (json.dumps({"dialogues": [TURNS, TURNS]}), [(1, TURNS), (1, TURNS)]),
        (
            json.dumps({"data": ROWS[:1]}) + "\n" + json.dumps({"data": []}),
            [(1, {"data": ROWS[:1]}), (2, {"data": []})],
        ),
        (json.dumps({"messages": TURNS}), [(1, {"messages": TURNS})]),
        (json.dumps({"items": TURNS}), [(1, {"items": TURNS})]),
        (json.dumps({"sources": [{"a": 1}], "question": "q", "answer": "a"}), [(1, None)]),
        (json.dumps(TURNS), [(1, TURNS)]),
        (json.dumps(TURNS, indent=1), [(1, TURNS)]),
        (json.dumps(TURNS, indent=1) * 2, [(1, TURNS), (10, TURNS)]),
        (json.dumps(TURNS) + "\nno\n" + json.dumps(TURNS), [(1, TURNS), (2, None), (3, TURNS)]),
        (json.dumps([TURNS, TURNS]), [(1, TURNS), (1, TURNS)]),
        ('{"a": 1,\n{"a": 2}\n', [(1, None), (2, {"a": 2})]),
        ('{"a": "b\n{"a": 2}\n', [(1, None), (2, {"a": 2})]),
    ],
)
def test_a_layout_is_recognized_by_its_beginning(tmp_path: Path, content: str, rows: list[tuple[int, object]]) -> None:
    """Objects over many lines, one object around the rows, one conversation a line; a broken line is still a line."""
    path = write(tmp_path / "a.json", content.encode())
    found = [(row.source, row.value) for row in read_rows(path)]
    assert [source for source, _ in found] == [f"{path}, line {line}" for line, _ in rows]
    assert [value for (_, value), (_, known) in zip(found, rows, strict=True) if known] == [v for _, v in rows if v]


def test_objects_one_after_another_may_lie_across_any_border(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"text": "ệ🙂" * i, "n": [i, {}]} for i in range(20)]
    path = write(tmp_path / "a", "\n".join(json.dumps(row, indent=1) for row in rows).encode())
    monkeypatch.setattr(json_values, "CHUNK", 16)
    assert [value for _, value in read(path)] == rows
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"a, line 134: the file is not JSON from here on \(Expecting"):
        read(path)


def test_several_lists_of_rows_in_one_object_are_refused_by_their_names(tmp_path: Path) -> None:
    """Training on the test's rows in silence would be worse."""
    content = json.dumps({"train": ROWS[:1], "n": 1, "test": ROWS[1:2]})
    with pytest.raises(UserError, match=r"a holds several lists of rows: train, test\. Write each to a file"):
        read(write(tmp_path / "a", content.encode()))


@pytest.mark.parametrize("others", [{}, {"test": [{"a": 1}]}])
def test_an_object_around_the_rows_may_be_longer_than_any_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: dict
) -> None:
    monkeypatch.setattr(json_values, "LONGEST", 100)
    monkeypatch.setattr(json_values, "CHUNK", 10)
    rows = [{"text": "x" * 50, "i": i} for i in range(9)]
    path = write(tmp_path / "a", json.dumps({"version": {"x": 1}, "data": rows, **others}).encode())
    if others:
        with pytest.raises(UserError, match="several lists of rows: data, test"):
            read(path)
    else:
        assert [value for _, value in read(path)] == rows
    row = json.dumps({"prompt": "x" * 200, "data": [{}]})
    assert [row.error[:14] for row in read_rows(write(path, f"{row}\n{{}}".encode()))] == ["is longer than", ""]


@pytest.mark.parametrize("layout", [json_lines, array])
def test_a_key_that_is_given_twice_makes_a_bad_row(tmp_path: Path, layout: type) -> None:
    """Python keeps the last of them without a word."""
    content = layout([{"a": 1}, {"b": {"kk": 1, "k": 2}}, {"a": 3}]).replace(b'"kk"', b'"k"')
    rows = list(read_rows(write(tmp_path / "a", content)))
    assert [row.error for row in rows] == ["", "has the key 'k' twice.", ""]
    assert [row.source[-6:] for row in rows] == ["line 1", "line 2", "line 3"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{'prompt': 'P'}", "it looks like Python's repr: write rows with json.dumps"),
        (b"[{'role': 'user'}]", "it looks like Python's repr"),
        (b'{"a": 1},', "remove the comma at its end"),
        (b'{"a": "\xe9"}', "in another encoding, such as Latin-1, convert it: iconv -f LATIN1 -t UTF-8"),
        (b"a: 1", "CSV, TSV, Parquet or Arrow, or plain text if its name ends in .txt"),
        (b'{"a": \0}', "Expecting value"),
    ],
)
def test_a_broken_line_says_what_it_may_be_and_what_to_do(tmp_path: Path, line: bytes, said: str) -> None:
    rows = list(read_rows(write(tmp_path / "a.jsonl", b'{"a": 1}\n' + line + b'\n{"a": 2}\n')))
    assert [row.value for row in rows] == [{"a": 1}, None, {"a": 2}]
    assert said in rows[1].error


def archive(name: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr(name, "{}")
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x28\xb5\x2f\xfd1234", r"is compressed by Zstandard; decompress it first: zstd -d\.$"),
        (archive("a.jsonl"), r"is a ZIP archive \(a\.jsonl\); unpack it first"),
        (archive("xl/workbook.xml"), r"is an Excel workbook; save the sheet as CSV"),
        (archive("a.jsonl")[:30], r"is a ZIP archive \(damaged\)"),
        (b"\0" * 257 + b"ustar", "is a tar archive; unpack it first"),
        (gzip.compress(b"\0" * 257 + b"ustar"), "is a tar archive; unpack it first"),
        (gzip.compress(b"PAR1"), "is a Parquet or Arrow file compressed by gzip; decompress it first"),
        (pickle.dumps([1]), "is a pickle, which could run code"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "is a Git LFS pointer and not the data itself"),
        (b"<!doctype html><html>", "is HTML or XML; download the data itself"),
        (b"SQLite format 3\0", "is an SQLite database"),
        (b"%PDF-1.7", "is a PDF"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(99), "is a picture"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "is a picture"),
        (b"\x7fELF\x02\x01\x01" + bytes(99), "is a binary file of an unknown format; write its rows as JSON Lines"),
    ],
    ids=["zstd", "zip", "xlsx", "damaged-zip", "tar", "tar.gz", "parquet.gz", "pickle", "lfs", "html", "sqlite", "pdf"]
    + ["png", "jpeg", "elf"],
)
def test_a_format_that_cannot_be_read_is_named_with_what_to_do(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(UserError, match=rf"^{tmp_path}/a {said}"):
        list(read_rows(write(tmp_path / "a", content)))


def test_a_folder_is_refused_with_the_names_of_its_files(tmp_path: Path) -> None:
    write(tmp_path / "b.jsonl", b"{}")
    with pytest.raises(UserError, match=rf"cannot be read: Is a directory\. Name its files: {tmp_path}/b\.jsonl\.$"):
        list(read_rows(tmp_path))
