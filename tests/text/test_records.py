"""Lesson 11: the four formats of a row, and a file's mistakes by line."""

import json
from pathlib import Path

import pytest

from minigpt.errors import UserError
from minigpt.text.records import read_conversations, read_row

GOOD = {"prompt": "hỏi", "completion": "đáp"}


def write(path: Path, *rows: object) -> Path:
    """A file with one row a line: text as it is, anything else as JSON."""
    lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def turn(user: str, assistant: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]


@pytest.mark.parametrize(
    ("row", "messages"),
    [
        ({"instruction": "I", "input": "X", "output": "Y"}, turn("I\n\nX", "Y")),
        ({"instruction": "I", "input": "", "output": "Y"}, turn("I", "Y")),
        ({"instruction": "I", "output": "Y"}, turn("I", "Y")),
        ({"prompt": "P", "completion": "C"}, turn("P", "C")),
        ({"question": "Q", "answer": "A #### 7"}, turn("Q", "A #### 7")),
        ({"messages": turn("u", "a") + turn("v", "b")}, turn("u", "a") + turn("v", "b")),
        (
            {"messages": [{"role": "system", "content": "s"}, *turn("u", "a")]},
            [{"role": "system", "content": "s"}, *turn("u", "a")],
        ),
        ({"messages": [{**message, "name": "x"} for message in turn("u", "a")], "id": 1}, turn("u", "a")),
    ],
)
def test_each_format_is_told_by_its_keys(row: dict, messages: list[dict[str, str]]) -> None:
    assert read_row(row) == messages


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ([1, 2], "is not a JSON object"),
        ("text", "is not a JSON object"),
        ({}, "has the keys of an empty object; expected are"),
        ({"text": "x"}, 'has the keys \'text\'; expected are "messages"; "instruction" and "output"'),
        ({"prompt": "P"}, "has the keys 'prompt'"),
        ({"prompt": 1, "completion": "C"}, '"prompt" is not text'),
        ({"question": "Q", "answer": None}, '"answer" is not text'),
        ({"instruction": "I", "input": 0, "output": "Y"}, '"input" is not text'),
        ({"instruction": "I", "input": ["X"], "output": "Y"}, '"input" is not text'),
        ({"prompt": "P", "completion": ""}, r"message 2 \(assistant\) is empty"),
        ({"instruction": "", "output": "Y"}, r"message 1 \(user\) is empty"),
        ({"messages": "hi"}, '"messages" must be a list'),
        ({"messages": ["hi"]}, '"messages" must be a list'),
        ({"messages": []}, "there is no user turn"),
        ({"messages": [{"from": "human", "value": "u"}]}, "message 1 has the role None"),
        ({"messages": [{"role": [], "content": "u"}]}, r"message 1 has the role \[\]"),
        ({"messages": [{"role": "user", "content": ["u"]}]}, r"message 1 \(user\) has no text as its content"),
        (
            {"messages": [*turn("u", "a"), {"role": "user", "content": "v"}]},
            "ends with a user turn; a training conversation must end with the assistant",
        ),
    ],
)
def test_a_row_that_is_none_is_refused_in_words(row: object, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        read_row(row)


def test_rows_keep_their_order_their_line_and_their_kind_over_several_files(tmp_path: Path) -> None:
    """The line counts the blank lines before it; rows without a kind are all of one."""
    first = write(tmp_path / "a.jsonl", "", GOOD, "  ", {**GOOD, "kind": "copy"})
    second = write(tmp_path / "b.jsonl", {"question": "Q", "answer": "A"})
    read = read_conversations([first, second])
    assert [(row.source, row.kind) for row in read] == [
        (f"{first}, line 2", "all"),
        (f"{first}, line 4", "copy"),
        (f"{second}, line 1", "all"),
    ]
    assert [row.messages for row in read] == [turn("hỏi", "đáp"), turn("hỏi", "đáp"), turn("Q", "A")]


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b""])
def test_a_byte_order_mark_and_any_line_ending_are_no_mistakes(tmp_path: Path, ending: bytes) -> None:
    path = tmp_path / "windows.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode() + ending)
    assert read_conversations([path])[0].messages == turn("hỏi", "đáp")


def test_only_a_line_feed_ends_a_row(tmp_path: Path) -> None:
    """U+2028 and U+0085 may stand inside JSON text; str.splitlines would cut the row there."""
    text = "a\u2028b\u0085c"
    read = read_conversations([write(tmp_path / "a.jsonl", {"prompt": text, "completion": text})])
    assert read[0].messages == turn(text, text)


@pytest.mark.parametrize("line", ['{"prompt": "P", "compl', "not json", "{'prompt': 'P'}", "[" * 100_000])
def test_a_broken_line_is_named_by_file_and_line(tmp_path: Path, line: str) -> None:
    path = write(tmp_path / "a.jsonl", GOOD, "", line)
    with pytest.raises(UserError, match=r"a\.jsonl, line 3: is not JSON"):
        read_conversations([path])


def test_bytes_that_are_no_text_are_named_by_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b'\n{"prompt": "\xe9", "completion": "e"}\n')
    with pytest.raises(UserError, match=r"latin\.jsonl, line 2: is not JSON"):
        read_conversations([path])


@pytest.mark.parametrize("n_bad", [1, 10, 11, 25])
def test_the_first_ten_mistakes_are_named_and_the_others_counted(tmp_path: Path, n_bad: int) -> None:
    path = write(tmp_path / "a.jsonl", GOOD, *[{"text": "x"}] * n_bad, GOOD)
    with pytest.raises(UserError) as caught:
        read_conversations([path])
    lines = str(caught.value).split("\n")
    named = min(n_bad, 10)
    assert [line.split(":")[0] for line in lines[:named]] == [f"{path}, line {i + 2}" for i in range(named)]
    assert lines[named:] == ([f"... and {n_bad - 10} more."] if n_bad > 10 else [])


def test_mistakes_of_several_files_are_told_together(tmp_path: Path) -> None:
    paths = [write(tmp_path / name, GOOD, {}) for name in ("a.jsonl", "b.jsonl")]
    with pytest.raises(UserError, match=r"(?s)a\.jsonl, line 2: .*b\.jsonl, line 2: "):
        read_conversations(paths)


def test_a_missing_file_and_a_folder_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.jsonl cannot be read: No such file or directory"):
        read_conversations([tmp_path / "absent.jsonl"])
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        read_conversations([tmp_path])


@pytest.mark.parametrize("content", ["", "\n \n\n"])
def test_a_file_without_a_row_is_refused_by_name(tmp_path: Path, content: str) -> None:
    """Also as the second file, where the first holds rows."""
    full, empty = write(tmp_path / "full.jsonl", GOOD), tmp_path / "empty.jsonl"
    empty.write_text(content)
    with pytest.raises(UserError, match=r"empty\.jsonl holds no row"):
        read_conversations([full, empty])
