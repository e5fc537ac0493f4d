"""Reading plain text: what counts as one, its documents, and pieces whose tokens are those of the whole."""

import bz2
import gzip
import json
import lzma
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigpt.errors import UserError
from minigpt.text import plain
from minigpt.text.plain import documents, is_plain_text, pieces, text_sha256
from minigpt.text.tokenizer import Tokenizer

WORDS = st.text(alphabet="ab\u00e9'\u1ec7 \n\t\u00a0\u3000.1\U0001f642", max_size=60)


def texts(name: object, **more: list) -> list[str]:
    return ["".join(document) for document in documents(str(name), **more)]


@given(st.lists(WORDS, max_size=6))
def test_the_tokens_of_the_pieces_are_those_of_the_whole_text_however_it_is_read(
    gpt2_tokenizer: Tokenizer, parts: list[str]
) -> None:
    whole = "".join(parts)
    cut = list(pieces(iter(parts)))
    assert "".join(cut) == whole
    assert [i for piece in cut for i in gpt2_tokenizer.encode(piece)] == gpt2_tokenizer.encode(whole)


def test_a_text_is_not_held_back_whole_until_its_end() -> None:
    def endless():
        while True:
            yield "one word more "

    reader = pieces(endless())
    assert len(next(reader) + next(reader)) < 100


def test_a_word_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "LONGEST_WORD", 10)
    assert max(map(len, pieces(iter("a" * 35)))) <= 11


def test_a_file_is_one_document_and_a_folder_one_for_each_text_file_by_name(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_bytes(b"second\r\n")
    (tmp_path / "a.TXT.gz").write_bytes(gzip.compress("first é".encode()))
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "c.md").write_text("third")
    (tmp_path / "notes.json").write_text("[]")
    assert texts(tmp_path / "b.txt") == ["second\r\n"], "bytes as they are, line ends included"
    assert texts(tmp_path) == ["first é", "second\r\n", "third"]


@pytest.mark.parametrize(("suffix", "compress"), [("gz", gzip.compress), ("xz", lzma.compress), ("bz2", bz2.compress)])
def test_a_compressed_text_is_read(tmp_path: Path, suffix: str, compress: Callable[[bytes], bytes]) -> None:
    path = tmp_path / f"a.txt.{suffix}"
    path.write_bytes(compress("Việt\n".encode()))
    assert is_plain_text(str(path))
    assert texts(path) == ["Việt\n"]


def test_an_archive_under_the_name_of_a_text_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.txt", "w") as archive:
        archive.writestr("inside.txt", "text")
    with pytest.raises(UserError, match="is a ZIP archive"):
        texts(tmp_path / "a.txt")


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_tells_the_encoding_and_is_not_text(tmp_path: Path, codec: str) -> None:
    (tmp_path / "a.txt").write_bytes("Việt\n".encode(codec))
    assert texts(tmp_path / "a.txt") == ["Việt\n"]


@pytest.mark.parametrize("text", ["\0A text with a NUL first", "A\0 text in another place", "A\0\0\0 text, three"])
def test_a_text_with_a_nul_among_its_first_characters_is_utf8(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    assert texts(tmp_path / "a.txt") == [text]


@pytest.mark.parametrize("text", ["A text", "{" + 300 * "\u4e2d\u6587"])
@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_another_encoding_is_known_without_its_mark(tmp_path: Path, text: str, codec: str) -> None:
    (tmp_path / "a.txt").write_bytes(text.encode(codec))
    assert texts(tmp_path / "a.txt") == [text]


def test_a_character_that_two_reads_share_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "CHUNK", 3)
    (tmp_path / "a.txt").write_text("aéé\U0001f642 việt")
    assert texts(tmp_path / "a.txt") == ["aéé\U0001f642 việt"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", "caf\xe9 au lait".encode("latin-1"), "not UTF-8 text (near byte 3"),
        ("a.txt.gz", gzip.compress(b"abc" * 100, mtime=0)[:-12], "cut short or damaged"),
        ("a.txt", None, "cannot be read"),
    ],
)
def test_a_file_that_is_not_text_is_refused_in_a_sentence(
    tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as error:
        texts(tmp_path / name)
    assert words in str(error.value)


def test_a_folder_without_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"without a \.txt file"):
        texts(tmp_path)


def test_rows_with_text_are_documents_and_empty_ones_are_none(tmp_path: Path) -> None:
    rows = [{"text": "one", "id": 1}, {"text": ""}, {"text": None}, {"text": "two\n", "id": 2}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert texts(tmp_path / "rows.jsonl") == ["one", "two\n"]


def test_a_row_without_text_is_named_or_listed(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "one"}\n{"txt": "two"}\nbroken\n{"text": "three"}\n')
    with pytest.raises(UserError, match=r"line 2: is no row of plain text"):
        texts(path)
    bad: list = []
    assert texts(path, bad=bad) == ["one", "three"]
    assert [row.source.rsplit(", ")[-1] for row in bad] == ["line 2", "line 3"]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("book.txt", "{}", True),
        ("BOOK.Text", "x", True),
        ("book.md.gz", "x", True),
        ("rows.jsonl", '{"text": "a"}', True),
        ("rows.jsonl", '{"text": null, "messages": null}', True),
        ("rows.jsonl", '{"text": "a", "question": "b", "answer": "c"}', False),
        ("rows.jsonl", '{"messages": []}', False),
        ("rows.jsonl", "not JSON", False),
        ("rows.jsonl", "", False),
        ("rows.jsonl", '{"text": broken\n{"text": "a"}\n{"messages": []}', True),
        ("rows.jsonl", '{"text": broken\n{"messages": []}\n{"text": "a"}', False),
        ("rows.jsonl", '{"prompt": "a"}\n{"text": "a"}', False),
        ("bad_rows.jsonl", '{"source": "a, line 1", "reason": "b", "text": "{}"}', False),
        ("rows.txt", '{"messages": []}', False),
        ("rows.txt", "prompt,completion\na,b\n", False),
        ("book.txt", "[Illustration]\nText", True),
        ("book.txt", '{"id": 1}', True),
    ],
)
def test_plain_text_is_told_by_the_name_or_the_first_row(
    tmp_path: Path, name: str, content: str, expected: bool
) -> None:
    (tmp_path / name).write_text(content)
    assert is_plain_text(str(tmp_path / name)) is expected
    assert is_plain_text(str(tmp_path)) is True


def test_rows_under_the_name_of_a_text_are_read_as_rows(tmp_path: Path) -> None:
    (tmp_path / "rows.txt").write_text('{"text": "one"}\n{"text": "two"}\n')
    assert is_plain_text(str(tmp_path / "rows.txt"))
    assert texts(tmp_path / "rows.txt") == ["one", "two"]


def test_half_of_a_character_is_named_with_its_row_or_left_out(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "one"}\n{"text": "a\\ud800 b"}\n{"text": "three"}\n')
    with pytest.raises(UserError, match=r"line 2: .*lone surrogate \(U\+D800\)"):
        texts(path)
    bad: list = []
    assert texts(path, bad=bad) == ["one", "three"]
    assert [row.source for row in bad] == [f"{path}, line 2"]


def test_hidden_and_empty_files_of_a_folder_are_not_documents(tmp_path: Path) -> None:
    copies = tmp_path / ".ipynb_checkpoints"
    copies.mkdir()
    for path in (tmp_path / "a.txt", copies / "a-checkpoint.txt", tmp_path / "._a.txt"):
        path.write_text("one")
    (tmp_path / "empty.txt").write_text("")
    assert texts(tmp_path) == ["one"]
    assert texts(copies) == ["one"], "a hidden folder that was named itself is read"


def test_a_folder_is_read_through_links_and_links_that_lead_back_are_not_followed(tmp_path: Path) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    for folder in (here, elsewhere):
        folder.mkdir()
        (folder / "a.txt").write_text(folder.name)
    (here / "more").symlink_to(elsewhere)
    (here / "self").symlink_to(here)
    (here / "up").symlink_to(tmp_path)
    (here / "gone.txt").symlink_to("nowhere.txt")
    assert texts(here) == ["here", "elsewhere"]


def test_a_folder_within_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(UserError, match=f"{tmp_path} cannot be read: Permission denied"):
        texts(tmp_path)


def test_a_text_that_is_not_there_is_no_plain_text(tmp_path: Path) -> None:
    """Else a mistyped name beside a file of conversations is said to be a text among them."""
    with pytest.raises(UserError, match=r"gone\.txt cannot be read"):
        is_plain_text(str(tmp_path / "gone.txt"))


def test_a_folder_may_hold_a_text_whose_name_is_not_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"b\xfe.txt")
    try:
        (tmp_path / name).write_text("one")
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    before = text_sha256(str(tmp_path))
    (tmp_path / name).write_text("two")
    assert text_sha256(str(tmp_path)) != before


def test_the_checksum_of_a_folder_changes_with_any_of_its_texts_and_their_names(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    seen = {text_sha256(str(tmp_path))}
    (tmp_path / "a.txt").write_text("two")
    seen.add(text_sha256(str(tmp_path)))
    (tmp_path / "a.txt").rename(tmp_path / "b.txt")
    seen.add(text_sha256(str(tmp_path)))
    (tmp_path / "unread.json").write_text("{}")
    assert len({*seen, text_sha256(str(tmp_path))}) == 3
