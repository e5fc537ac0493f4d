"""Lesson 15: the layouts in which people publish pairs of answers, and their mistakes by line."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigpt.errors import UserError
from minigpt.text.pair_formats import read_pair
from minigpt.text.pairs import Pair, are_pairs, as_conversations, read_either, read_pairs
from minigpt.text.plain import is_plain_text
from minigpt.text.records import BUILTIN, BadRow, read_conversations
from minigpt.text.template import Message
from tests.text.test_records import write


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def said(text: str) -> Message:
    return {"role": "assistant", "content": text}


S: Message = {"role": "system", "content": "S."}
TEXT = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=8)
ANSWERS = st.lists(TEXT, min_size=2, max_size=2, unique=True)


@st.composite
def prompts(draw: st.DrawFn, system: bool = True) -> list[Message]:
    """Turns that end with the user, perhaps after a system message."""
    n = draw(st.integers(0, 2)) * 2 + 1
    turns = [(user, said)[i % 2](draw(TEXT)) for i in range(n)]
    return [S, *turns] if system and draw(st.booleans()) else turns


def sharegpt(messages: list[Message]) -> list[dict[str, str]]:
    names = {"user": "human", "assistant": "gpt", "system": "system"}
    return [{"from": names[message["role"]], "value": message["content"]} for message in messages]


@given(prompt=prompts(), answers=ANSWERS, as_list=st.booleans())
def test_an_explicit_prompt_of_messages_comes_back(prompt: list[Message], answers: list[str], as_list: bool) -> None:
    sides = [[said(text)] if as_list else said(text) for text in answers]
    assert read_pair({"prompt": prompt, "chosen": sides[0], "rejected": sides[1]}) == (prompt, *answers)


@given(prompt=TEXT, answers=ANSWERS)
def test_three_texts_come_back_as_they_are(prompt: str, answers: list[str]) -> None:
    row = {"prompt": prompt, "chosen": answers[0], "rejected": answers[1]}
    assert read_pair(row) == ([user(prompt)], *answers)


@given(prompt=prompts(), answers=ANSWERS, beside=st.sampled_from(["nothing", "first", "last", "messages"]))
def test_an_implicit_prompt_is_what_both_sides_have_in_front(
    prompt: list[Message], answers: list[str], beside: str
) -> None:
    """A prompt beside it is not put in front a second time."""
    row = {key: [*prompt, said(text)] for key, text in zip(("chosen", "rejected"), answers, strict=True)}
    turns = [message["content"] for message in prompt if message["role"] == "user"]
    given = {"first": turns[0], "last": turns[-1], "messages": prompt, "nothing": None}[beside]
    assert read_pair(row | {"prompt": given}) == (prompt, *answers)


@given(
    prompt=prompts(system=False).filter(lambda messages: not any("\n\n" in m["content"] for m in messages)),
    answers=ANSWERS.filter(lambda texts: not any("\n\n" in text for text in texts)),
)
def test_hh_is_split_at_the_last_answer_and_not_at_the_first(prompt: list[Message], answers: list[str]) -> None:
    names = {"user": "Human", "assistant": "Assistant"}
    texts = ["".join(f"\n\n{names[m['role']]}: {m['content']}" for m in [*prompt, said(text)]) for text in answers]
    assert read_pair({"chosen": texts[0], "rejected": texts[1]}) == (prompt, *answers)


@given(question=TEXT, answers=ANSWERS, system=st.sampled_from([None, "", "S."]))
def test_a_question_is_asked_after_its_system_message(question: str, answers: list[str], system: str | None) -> None:
    row = {"system": system, "question": question, "chosen": answers[0], "rejected": answers[1]}
    assert read_pair(row) == ([S, user(question)] if system else [user(question)], *answers)


@given(prompt=prompts(), answers=ANSWERS)
def test_sharegpts_turns_are_the_prompt(prompt: list[Message], answers: list[str]) -> None:
    chosen, rejected = (sharegpt([said(text)])[0] for text in answers)
    row = {"conversations": sharegpt(prompt), "chosen": chosen, "rejected": rejected}
    assert read_pair(row) == (prompt, *answers)


def test_what_begins_alike_in_both_answers_is_part_of_the_answers() -> None:
    row = {key: [user("Q?"), said(f"The answer is {text}")] for key, text in (("chosen", "4."), ("rejected", "5."))}
    assert read_pair(row) == ([user("Q?")], "The answer is 4.", "The answer is 5.")


@pytest.mark.parametrize("key", ["prompt", "question"])
def test_hhs_turns_in_a_text_of_another_layout_are_text(key: str) -> None:
    prompt, answer = "\n\nHuman: Q?\n\nAssistant: A.\n\nHuman: R?\n\nAssistant:", "\n\nHuman: x\n\nAssistant: y"
    assert read_pair({key: prompt, "chosen": answer, "rejected": "z"}) == ([user(prompt)], answer, "z")


def test_a_systems_column_is_the_system_message() -> None:
    row = {"prompt": "Q?", "chosen": "a", "rejected": "b", "system": "S."}
    assert read_pair(row) == ([S, user("Q?")], "a", "b")
    with pytest.raises(UserError, match='has "system" and another system message'):
        read_pair(row | {"prompt": [{**S, "content": "T."}, user("Q?")]})


def test_other_columns_are_about_the_row_and_the_kind_is_read(tmp_path: Path) -> None:
    """As ultrafeedback_binarized has them."""
    both = {"chosen": [user("Q?"), said("a")], "rejected": [user("Q?"), said("b")]}
    others = {"prompt": "Q?", "prompt_id": "0f", "messages": both["chosen"], "score_chosen": 8.5, "text": "Q? a"}
    path = write(tmp_path / "rows.jsonl", both | others | {"kind": "facts"}, both | others)
    pair = Pair([user("Q?")], "a", "b", f"{path}, line 1", "facts")
    assert read_pairs([path]) == [pair, Pair([user("Q?")], "a", "b", f"{path}, line 2", "all")]
    assert are_pairs(path)
    assert not is_plain_text(str(path))


ROW = {"prompt": [user("Q?")], "chosen": [said("a")], "rejected": [said("b")]}
WHOLE = {"chosen": [user("Q?"), said("a")], "rejected": [user("Q?"), said("b")]}


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (ROW | {"rejected": [said("a")]}, "chosen and rejected are the same; nothing can be learned from that."),
        (WHOLE | {"rejected": WHOLE["chosen"]}, "chosen and rejected are the same; nothing can be learned from that."),
        (ROW | {"chosen": ""}, '"chosen" is empty; an answer needs a text.'),
        (ROW | {"rejected": said("")}, '"rejected" is empty; an answer needs a text.'),
        (ROW | {"rejected": []}, '"rejected" is empty.'),
        (ROW | {"chosen": None}, '"chosen" is null.'),
        (ROW | {"chosen": 3}, '"chosen" must be a list of {"role", "content"}'),
        (ROW | {"prompt": 3}, '"prompt" must be a list of {"role", "content"}'),
        (ROW | {"chosen": [{**said("a"), "weight": 0}]}, '"chosen" has the weight 0; nothing is to be learned'),
        (
            ROW | {"chosen": [user("a")]},
            "\"chosen\" is a message of the role 'user'; an answer is one of the assistant.",
        ),
        (ROW | {"rejected": [said("b"), user("R?"), said("c")]}, '"rejected" continues beyond its first answer;'),
        (ROW | {"chosen": [said("b"), user("R?"), said("c")]}, '"chosen" continues beyond its first answer;'),
        (ROW | {"prompt": [user("Q?"), said("x")]}, '"prompt" ends with the assistant; a prompt must end with a user'),
        (ROW | {"prompt": [user("Q?"), user("R?")]}, "there are two consecutive user turns."),
        (ROW | {"prompt": [said("x"), user("Q?")]}, "the assistant speaks before the user."),
        (ROW | {"prompt": [user("Q?"), S, user("R?")]}, "message 2 is a system message; only the first message may"),
        (ROW | {"prompt": [{"role": "critic", "content": "Q?"}]}, "message 1 has the role 'critic'; the roles are"),
        (ROW | {"prompt": "\ud800"}, "message 1 (user) holds a lone surrogate, which is half of a character."),
        (ROW | {"prompt": None}, 'has no prompt: it is to be in "prompt", "question" or "conversations", or in front'),
        ({"chosen": "a", "rejected": "b"}, 'has no prompt: it is to be in "prompt", "question" or "conversations"'),
        ({"question": ["Q?"], "chosen": "a", "rejected": "b"}, '"question" is not text.'),
        ({"prompt": "Q?", "chosen": "a"}, "has the keys 'prompt', 'chosen'; a pair has \"chosen\" and \"rejected\""),
        ([user("Q?"), said("a")], "is not a JSON object."),
        (WHOLE | {"rejected": [user("R?"), said("b")]}, 'the prompts in "chosen" and "rejected" differ, first in mess'),
        (WHOLE | {"rejected": [S, *WHOLE["rejected"]]}, 'the prompts in "chosen" and "rejected" differ, first in mess'),
        (WHOLE | {"rejected": [*WHOLE["rejected"], user("R?"), said("c")]}, '"rejected" continues beyond its first'),
        (WHOLE | {"rejected": [*WHOLE["rejected"], user("R?")]}, '"rejected" continues beyond its first answer; only'),
        (WHOLE | {"chosen": [*WHOLE["chosen"], user("R?"), said("c")]}, '"chosen" continues beyond its first answer;'),
        (WHOLE | {"rejected": [user("Q?"), user("b")]}, '"rejected" ends with a user turn; it must end with the ans'),
        (WHOLE | {"rejected": "b"}, '"chosen" is a whole conversation and "rejected" is one answer; both must be the'),
        (WHOLE | {"prompt": "R?"}, '"prompt" is neither the first nor the last user turn of "chosen".'),
        (WHOLE | {"prompt": [S, user("Q?")]}, '"prompt" is not what "chosen" holds before its last answer.'),
        (
            {"chosen": "\n\nHuman: Q?\n\nAssistant: a", "rejected": "\n\nHuman: Q?\n\nHuman: R?"},
            '"rejected" ends with a user turn; it must end with the answer.',
        ),
        (
            {"chosen": "\n\nHuman: Q?\n\nAssistant: a", "rejected": "\n\nHuman: Q\n\nAssistant: a"},
            'the prompts in "chosen" and "rejected" differ, first in message 1.',
        ),
    ],
)
def test_a_bad_row_is_named_by_its_file_and_line(tmp_path: Path, row: object, sentence: str) -> None:
    path = write(tmp_path / "rows.jsonl", ROW, json.dumps(row))
    with pytest.raises(UserError) as caught:
        read_pairs([path])
    assert str(caught.value).startswith(f"{path}, line 2: {sentence}")
    bad: list[BadRow] = []
    assert read_pairs([path], bad) == [Pair([user("Q?")], "a", "b", f"{path}, line 1")]
    assert [(one.source, json.loads(one.text)) for one in bad] == [(f"{path}, line 2", row)]


def test_the_first_ten_bad_rows_are_named_and_the_others_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", *[ROW | {"rejected": "a"}] * 12)
    with pytest.raises(UserError) as caught:
        read_pairs([path])
    *named, more = str(caught.value).splitlines()
    assert [line.partition(":")[0] for line in named] == [f"{path}, line {i}" for i in range(1, 11)]
    assert more == "... and 2 more."


def test_lines_an_array_one_object_and_gzip_hold_the_same_pairs(tmp_path: Path) -> None:
    write(tmp_path / "lines.jsonl", ROW, WHOLE)
    (tmp_path / "array.json").write_text(json.dumps([ROW, WHOLE], indent=1))
    (tmp_path / "named.json").write_text(json.dumps({"version": 1, "data": [ROW, WHOLE]}))
    (tmp_path / "lines.jsonl.gz").write_bytes(gzip.compress((tmp_path / "lines.jsonl").read_bytes()))
    (tmp_path / "table.csv").write_text("prompt,chosen,rejected\nQ?,a,b\nQ?,a,b\n")
    for path in tmp_path.iterdir():
        found = [(pair.prompt, pair.chosen, pair.rejected) for pair in read_pairs([path])]
        assert found == [([user("Q?")], "a", "b")] * 2, path
        assert are_pairs(path)


def test_one_pair_that_is_a_whole_file_is_a_row_and_not_a_list_of_rows(tmp_path: Path) -> None:
    row = {key: [{"who": "x", "content": "a"}] for key in ("chosen", "rejected")}
    (tmp_path / "pair.json").write_text(json.dumps(row, indent=1))
    with pytest.raises(UserError, match=r'pair\.json, line 1: "chosen" ends'):
        read_pairs([tmp_path / "pair.json"])


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([ROW], True),
        ([WHOLE], True),
        (["{broken", ROW], True),
        ([{"prompt": "Q?", "completion": "A."}, ROW], False),
        ([{"prompt": "Q?", "chosen": "A."}], False),
        (["{broken"], False),
    ],
)
def test_a_name_holds_pairs_by_its_first_row(tmp_path: Path, rows: list, expected: bool) -> None:
    assert are_pairs(write(tmp_path / "rows.jsonl", *rows)) is expected


def test_the_built_in_names() -> None:
    assert [are_pairs(name) for name in ("builtin", "builtin-pairs")] == [False, True]
    assert are_pairs(BUILTIN / "pairs-test.jsonl")


def test_each_file_is_read_as_what_it_holds(tmp_path: Path) -> None:
    pairs = write(tmp_path / "pairs.jsonl", ROW)
    others = write(tmp_path / "others.jsonl", {"prompt": "Q?", "completion": "A."})
    assert read_either([pairs, others]) == [*read_pairs([pairs]), *read_conversations([others])]
    with pytest.raises(UserError, match="--data needs at least one file"):
        read_either([])


def test_of_a_pairs_conversation_only_its_own_answer_is_learned_from() -> None:
    pair = Pair([S, user("Q?"), said("A."), user("R?")], "a", "b", "d, line 1", "facts")
    (chosen,), (_, rejected) = as_conversations([pair]), as_conversations([pair], "both")
    assert (chosen.asked, chosen.answer) == ([S, user("Q?"), {**said("A."), "weight": 0}, user("R?")], "a")
    assert (rejected.asked, rejected.answer) == (chosen.asked, "b")
    assert (rejected.source, rejected.kind) == ("d, line 1", "facts")
