"""Lesson 11: the five formats of a row, and a file's mistakes by line."""

import gzip
import json
from pathlib import Path

import pytest

from minigpt.errors import UserError
from minigpt.text.records import (
    BUILTIN,
    BadRow,
    Conversation,
    data_names,
    data_sha256,
    read_conversations,
    read_row,
    refuse,
    repeated,
)

GOOD = {"prompt": "hỏi", "completion": "đáp"}


def write(path: Path, *rows: object) -> Path:
    """A file with one row a line: text as it is, anything else as JSON."""
    lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def turn(user: str, assistant: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]


def with_input(user: str, context: str, assistant: str) -> list[dict[str, str]]:
    """A turn whose user's text ends with the instruction's input."""
    first, second = turn(user, assistant)
    return [{**first, "input": context}, second]


def system(text: str) -> dict[str, str]:
    return {"role": "system", "content": text}


def shared(*said: tuple[object, object]) -> dict[str, list]:
    """A row as ShareGPT has it."""
    return {"conversations": [{"from": who, "value": text} for who, text in said]}


@pytest.mark.parametrize(
    ("row", "messages"),
    [
        ({"instruction": "I", "input": "X", "output": "Y"}, with_input("I\n\nX", "X", "Y")),
        ({"instruction": "I", "input": "", "output": "Y"}, turn("I", "Y")),
        ({"instruction": "I", "output": "Y"}, turn("I", "Y")),
        ({"prompt": "P", "completion": "C"}, turn("P", "C")),
        ({"question": "Q", "answer": "A #### 7"}, turn("Q", "A #### 7")),
        ({"messages": turn("u", "a") + turn("v", "b")}, turn("u", "a") + turn("v", "b")),
        ({"messages": [system("s"), *turn("u", "a")]}, [system("s"), *turn("u", "a")]),
        ({"messages": [{**message, "name": "x"} for message in turn("u", "a")], "id": 1}, turn("u", "a")),
        (shared(("human", "u"), ("gpt", "a"), ("human", "v"), ("gpt", "b")), turn("u", "a") + turn("v", "b")),
        (shared(("system", "s"), ("human", "u"), ("gpt", "a")), [system("s"), *turn("u", "a")]),
        (shared(("user", "u"), ("assistant", "a")), turn("u", "a")),
        ({**shared(("human", "u"), ("gpt", "a")), "id": "x", "source": "y"}, turn("u", "a")),
        ({"prompt": turn("u", "a")[:1], "completion": turn("u", "a")[1:]}, turn("u", "a")),
        (
            {"prompt": [system("s"), *turn("u", "a"), *turn("v", "b")[:1]], "completion": turn("v", "b")[1:]},
            [system("s"), *turn("u", "a"), *turn("v", "b")],
        ),
        (
            {"prompt": turn("u", "a")[:1], "completion": turn("v", "a")[1:] + turn("w", "b")},
            turn("u", "a") + turn("w", "b"),
        ),
    ],
)
def test_each_format_is_recognized_by_its_keys(row: dict, messages: list[dict[str, str]]) -> None:
    assert read_row(row) == messages


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ([1, 2], "is not a JSON object"),
        ("text", "is not a JSON object"),
        ({}, "has the keys of an empty object; expected are"),
        (
            {"text": "x"},
            'has the keys \'text\'; expected are "messages"; "conversations"; "instruction" and "output"; ',
        ),
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
        ({"messages": [{"who": "human", "value": "u"}]}, "message 1 has the role None"),
        ({"messages": [{"role": [], "content": "u"}]}, r"message 1 has the role \[\]"),
        ({"messages": [{"role": "user", "content": ["u"]}]}, r"message 1 \(user\) has content that is not text"),
        (
            {"messages": [*turn("u", "a"), {"role": "user", "content": "v"}]},
            "ends with a user turn; a training conversation must end with the assistant",
        ),
        (
            {"messages": [*turn("u", "a"), system("s"), *turn("v", "b")]},
            "message 3 is a system message; only the first",
        ),
        ({"messages": [*turn("u", "a")[:1], *turn("v", "b")]}, "there are two consecutive user turns"),
        ({"messages": [*turn("u", "a"), *turn("v", "b")[1:]]}, "there are two consecutive assistant turns"),
        ({"messages": turn("u", "a")[1:]}, "the assistant speaks before the user"),
        ({"messages": [system("s")]}, "there is no user turn"),
        (shared(("human", "u"), ("tool", "x"), ("gpt", "a")), "message 2 has the role 'tool'; the roles are"),
        (shared(("human", "u"), (["gpt"], "a")), r"message 2 has the role \['gpt'\]; the roles are"),
        (shared(("human", "u"), (None, "a")), "message 2 has the role None; the roles are"),
        (shared((1, "u"), ("gpt", "a")), "message 1 has the role 1; the roles are"),
        (shared(("human", "u"), ("gpt", None)), r"message 2 \(assistant\) has content that is not text"),
        (shared(("human", "u"), ("gpt", "a"), ("human", "v")), "ends with a user turn"),
        (shared(("human", "u"), ("system", "s"), ("gpt", "a")), "message 2 is a system message"),
        (shared(), "there is no user turn"),
        ({"conversations": "hi"}, r'"conversations" must be a list of \{"role", "content"\}'),
        ({"conversations": [{"text": "u"}]}, "message 1 has the role None"),
        ({"prompt": turn("u", "a")[:1], "completion": "a"}, '"completion" must be a list'),
        ({"prompt": "u", "completion": turn("u", "a")[1:]}, '"completion" is not text'),
        ({"prompt": turn("u", "a"), "completion": turn("v", "b")[:1]}, "ends with a user turn"),
        ({"prompt": turn("u", "a")[:1], "completion": []}, "ends with a user turn"),
        ({"prompt": "\ud800", "completion": "C"}, r"message 1 \(user\) holds a lone surrogate"),
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


def test_errors_of_several_files_are_reported_together(tmp_path: Path) -> None:
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
    with pytest.raises(UserError, match=r"empty\.jsonl has no rows"):
        read_conversations([full, empty])


BAD = [
    ('{"prompt": "P", "compl', "is not JSON ("),
    ('{"text":  "\\u00e9"}', "has the keys 'text'; expected are"),
    ('{"prompt": "P", "completion": "\\ud800"}', "message 2 (assistant) holds a lone surrogate"),
    ("[]", "is not a JSON object."),
]


def test_bad_rows_are_listed_as_they_stand_and_the_others_kept_in_order(tmp_path: Path) -> None:
    rows = [{**GOOD, "kind": str(i)} for i in range(len(BAD) + 1)]
    mixed = [line for row, (bad, _) in zip(rows, BAD, strict=False) for line in (row, bad)]
    first, second = write(tmp_path / "a.jsonl", *mixed, rows[-1]), write(tmp_path / "b.jsonl", BAD[1][0], GOOD)
    already = BadRow("before", "listed", "{}")
    bad = [already]
    read = read_conversations([first, second], bad)
    assert [(row.source, row.kind) for row in read] == [
        *((f"{first}, line {2 * i + 1}", str(i)) for i in range(len(rows))),
        (f"{second}, line 2", "all"),
    ]
    assert bad[0] == already
    assert [(row.source, row.text) for row in bad[1:]] == [
        *((f"{first}, line {2 * i + 2}", text) for i, (text, _) in enumerate(BAD)),
        (f"{second}, line 1", BAD[1][0]),
    ]
    for row, (_, reason) in zip(bad[1:], BAD, strict=False):
        assert row.reason.startswith(reason)


@pytest.mark.parametrize(("text", "reason"), BAD)
def test_a_bad_row_is_refused_by_its_line_where_there_is_no_list(tmp_path: Path, text: str, reason: str) -> None:
    path = write(tmp_path / "a.jsonl", GOOD, text)
    with pytest.raises(UserError) as caught:
        read_conversations([path])
    assert str(caught.value).startswith(f"{path}, line 2: {reason}")


def test_a_file_of_bad_rows_alone_gives_none_and_lists_all(tmp_path: Path) -> None:
    """It has rows, so that is no error yet; the caller that needs usable rows reports that none are left."""
    bad: list[BadRow] = []
    assert read_conversations([write(tmp_path / "a.jsonl", *[{}] * 25)], bad) == []
    assert len(bad) == 25


def test_a_file_that_cannot_be_read_is_refused_even_where_bad_rows_are_listed(tmp_path: Path) -> None:
    for content, said in (("", "has no rows"), ('[{"a"', "is not JSON from here on")):
        (tmp_path / "a.json").write_text(content)
        with pytest.raises(UserError, match=rf"a\.json.* {said}"):
            read_conversations([tmp_path / "a.json"], [])


def test_advice_follows_the_errors_and_nothing_is_raised_without_any() -> None:
    refuse([], "Do this.")
    with pytest.raises(UserError, match=r"^line 1: is bad\.\nDo this\.$"):
        refuse([BadRow("line 1", "is bad.", "")], "Do this.")


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("indent", [None, 2])
def test_alpaca_comes_as_an_array_too(tmp_path: Path, indent: int | None, zipped: bool) -> None:
    """The official file is one array; the bad element is named by its line, with its text as it stands there."""
    rows = [{"instruction": f"I{i}", "input": "X" * i, "output": "đáp\u2028"} for i in range(3)]
    rows.insert(1, {"instruction": "I", "output": ""})
    content = json.dumps(rows, indent=indent, ensure_ascii=False).encode()
    path = tmp_path / "alpaca.json"
    path.write_bytes(gzip.compress(content) if zipped else content)
    bad: list[BadRow] = []
    read = read_conversations([path], bad)
    lines = [2, 7, 11, 16] if indent else [1, 1, 1, 1]
    assert [row.messages for row in read] == [
        turn("I0", "đáp\u2028"),
        with_input("I1\n\nX", "X", "đáp\u2028"),
        with_input("I2\n\nXX", "XX", "đáp\u2028"),
    ]
    assert [row.source for row in read] == [f"{path}, line {lines[i]}" for i in (0, 2, 3)]
    assert [(row.source, row.reason) for row in bad] == [
        (f"{path}, line {lines[1]}", "message 2 (assistant) is empty.")
    ]
    assert json.loads(bad[0].text) == rows[1]
    assert bad[0].text in content.decode()


@pytest.mark.parametrize("value", [None, 3, ["x"]])
def test_a_kind_that_is_no_text_is_one_all_the_same(tmp_path: Path, value: object) -> None:
    """Kinds are sorted and printed beside one another."""
    read = read_conversations([write(tmp_path / "a.jsonl", {**GOOD, "kind": value})])
    assert read[0].kind == ("all" if value is None else str(value))


def test_repeated_rows_are_those_with_every_word_the_same() -> None:
    """Of the first list, in its order, each time they stand there; wherever they come from, and of whatever kind."""
    known = [Conversation(turn("u", "a"), "t, line 1", "x"), Conversation(turn("v", "b") + turn("w", "c"), "t, line 2")]
    rows = [
        Conversation(turn("v", "b") + turn("w", "c"), "h, line 1"),
        Conversation(turn("v", "b"), "h, line 2"),
        Conversation(turn("u", "a "), "h, line 3"),
        Conversation([system("u"), *turn("u", "a")], "h, line 4"),
        Conversation(turn("u", "a"), "h, line 5"),
        Conversation(turn("u", "a"), "h, line 6"),
    ]
    assert [row.source for row in repeated(rows, iter(known))] == ["h, line 1", "h, line 5", "h, line 6"]
    assert repeated(known, []) == []


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_builtin_stands_for_the_file_of_the_split(split: str) -> None:
    names = data_names(["a.jsonl", "builtin", "hf:owner/name"], split)
    assert names == ["a.jsonl", str(BUILTIN / f"{split}.jsonl"), "hf:owner/name"]
    assert Path(names[1]).is_file()


def test_a_files_checksum_changes_with_a_byte(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", GOOD)
    before = data_sha256(path)
    assert data_sha256(str(path)) == before
    write(path, {**GOOD, "kind": "x"})
    assert data_sha256(path) != before


def test_what_is_asked_and_wanted_is_the_last_answer_that_is_trained_on() -> None:
    """One of weight 0 is no reference; what comes before it stays."""
    first, second = turn("u", "a"), turn("v", "b")
    off = [second[0], {**second[1], "weight": 0}]
    for messages, asked, answer in (
        (first + second, [*first, second[0]], "b"),
        (first + off, first[:1], "a"),
        (off + first, [*off, first[0]], "a"),
        ([system("s"), *off, *first, *off], [system("s"), *off, first[0]], "a"),
    ):
        row = Conversation(messages, "t, line 1")
        assert (row.asked, row.answer) == (asked, answer)


def test_a_row_that_is_nested_too_deeply_is_a_bad_one(tmp_path: Path) -> None:
    deep = "[" * 900 + "]" * 900
    rows = [f'{{"prompt": "P", "completion": "C", "{key}": {deep}}}' for key in ("history", "kind")]
    bad: list[BadRow] = []
    assert len(read_conversations([write(tmp_path / "a.jsonl", *rows, GOOD)], bad)) == 1
    assert [row.reason for row in bad] == ["is nested too deeply."] * 2


def test_a_kind_that_cannot_be_printed_is_made_printable(tmp_path: Path) -> None:
    read = read_conversations([write(tmp_path / "a.jsonl", '{"prompt": "P", "completion": "C", "kind": "a\\ud800"}')])
    assert read[0].kind == "a?"
