"""Lesson 11: what fits into T_max, what is cut so that it does, and what is refused."""

import json
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt.errors import UserError
from minigpt.text.examples import Example, encode_within, lengths
from minigpt.text.records import BadRow, Conversation
from minigpt.text.template import TEMPLATES, ChatML, Documents, Message, load_template
from minigpt.text.tokenizer import ByteTokenizer

DOCUMENTS = Documents(ByteTokenizer())
CHATML = ChatML(ByteTokenizer())
WORDS = st.text(alphabet="aệ ", min_size=1, max_size=12)


def conversation(*texts: str, system: str | None = None, source: str = "d.jsonl, line 1") -> Conversation:
    """Texts of the user and the assistant in turn."""
    messages: list[Message] = [] if system is None else [{"role": "system", "content": system}]
    messages += [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]
    return Conversation(messages, source)


def test_a_row_of_exactly_t_max_tokens_loses_nothing() -> None:
    row = conversation("abc", "xyz", "de", "uv")
    ids, supervised = DOCUMENTS.encode(row.messages)
    encoded = encode_within([row], DOCUMENTS, len(ids))
    assert encoded.examples == [Example(ids, supervised, row.source)]
    assert (encoded.turns_dropped, encoded.responses_cut, str(encoded)) == (0, 0, "all fit")


def test_whole_oldest_turns_go_first_and_only_as_many_as_must() -> None:
    row = conversation("abc", "xyz", "de", "uv", "f", "w")
    whole = len(DOCUMENTS.encode(row.messages)[0])
    two = DOCUMENTS.encode(row.messages[2:])
    one = DOCUMENTS.encode(row.messages[4:])
    for t_max, left, dropped in [(whole - 1, two, 1), (len(two[0]), two, 1), (len(two[0]) - 1, one, 2)]:
        encoded = encode_within([row], DOCUMENTS, t_max)
        assert [(row.ids, row.supervised) for row in encoded.examples] == [left]
        assert (encoded.turns_dropped, encoded.responses_cut) == (dropped, 0)


@pytest.mark.parametrize("template", [DOCUMENTS, CHATML], ids=lambda template: template.name)
def test_the_system_message_stays_when_turns_go(template: Documents | ChatML) -> None:
    row = conversation("abc", "xyz", "de", "uv", system="sys")
    left = template.encode(conversation("de", "uv", system="sys").messages)
    encoded = encode_within([row], template, len(left[0]))
    assert [(row.ids, row.supervised) for row in encoded.examples] == [left]


def test_the_last_response_is_cut_at_the_end_and_no_end_token_added() -> None:
    row = conversation("abc", "xyz")
    ids, _ = DOCUMENTS.encode(row.messages)
    for t_max in (8, 7, 6):
        encoded = encode_within([row], DOCUMENTS, t_max)
        assert encoded.examples[0].ids == ids[:t_max]
        assert encoded.examples[0].supervised == [False] * 5 + [True] * (t_max - 5)
        assert DOCUMENTS.end not in encoded.examples[0].ids[1:]
        assert str(encoded) == "0 oldest turns dropped, 1 responses cut at the end"


def test_losing_the_newline_after_the_end_token_cuts_no_response() -> None:
    row = conversation("abc", "xyz")
    ids, supervised = CHATML.encode(row.messages)
    encoded = encode_within([row], CHATML, len(ids) - 1)
    assert encoded.examples == [Example(ids[:-1], supervised[:-1], row.source)]
    assert encoded.responses_cut == 0


@pytest.mark.parametrize("supervise", ["response", "all"])
@pytest.mark.parametrize("t_max", [5, 4, 1])
def test_a_row_with_no_room_for_the_response_is_refused_by_its_line(
    t_max: int, supervise: Literal["response", "all"]
) -> None:
    """An instruction is never cut: [BOS, a, b, c, SEP] fills five places."""
    rows = [conversation("a", "b", source="d.jsonl, line 1"), conversation("abc", "xyz", source="d.jsonl, line 2")]
    with pytest.raises(
        UserError, match=rf"d\.jsonl, line 2: no token of the response fits into {t_max} tokens"
    ) as caught:
        encode_within(rows, DOCUMENTS, t_max, supervise)
    assert "Raise --max-length" in str(caught.value)


def test_the_first_ten_refused_rows_are_named_and_the_others_counted() -> None:
    rows = [conversation("abcdef", "x", source=f"d.jsonl, line {i}") for i in range(1, 13)]
    with pytest.raises(UserError) as caught:
        encode_within(rows, DOCUMENTS, 6)
    said = str(caught.value).split("\n")
    assert [line.split(":")[0] for line in said[:10]] == [f"d.jsonl, line {i}" for i in range(1, 11)]
    assert said[10] == "... and 2 more."


def test_a_text_that_cannot_be_encoded_is_refused_by_its_line() -> None:
    row = conversation("ab", "x\ud800", source="d.jsonl, line 7")
    with pytest.raises(UserError, match=r"d\.jsonl, line 7: message 2 \(assistant\) holds a lone surrogate"):
        encode_within([conversation("a", "b"), row], DOCUMENTS, 64)


def test_supervise_all_marks_every_token() -> None:
    row = conversation("abc", "xyz")
    encoded = encode_within([row], DOCUMENTS, 8, supervise="all")
    assert encoded.examples[0].ids == DOCUMENTS.encode(row.messages)[0][:8]
    assert encoded.examples[0].supervised == [True] * 8


def test_counts_add_up_over_the_rows() -> None:
    rows = [conversation("abc", "xyz", "de", "uv"), conversation("abc", "xyz"), conversation("a", "b")]
    encoded = encode_within(rows, DOCUMENTS, 8)
    assert (len(encoded.examples), encoded.turns_dropped, encoded.responses_cut) == (3, 1, 1)
    assert str(encoded) == "1 oldest turns dropped, 1 responses cut at the end"


@given(
    texts=st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=3),
    system=st.none() | WORDS,
    name=st.sampled_from(sorted(TEMPLATES)),
    t_max=st.integers(1, 160),
)
@settings(max_examples=150)
def test_what_is_left_is_the_most_recent_turns_that_fit(
    texts: list[tuple[str, str]], system: str | None, name: str, t_max: int
) -> None:
    """The rule in one line: the longest whole suffix of turns that fits, else the head of the last turn alone."""
    template = load_template(name, ByteTokenizer())
    suffixes = [
        template.encode(conversation(*(text for pair in texts[i:] for text in pair), system=system).messages)
        for i in range(len(texts))
    ]
    ids, supervised = next((one for one in suffixes if len(one[0]) <= t_max), suffixes[-1])
    row = conversation(*(text for pair in texts for text in pair), system=system)
    if not any(supervised[:t_max]):
        with pytest.raises(UserError, match="line 1: no token of the response fits"):
            encode_within([row], template, t_max)
        return
    encoded = encode_within([row], template, t_max)
    assert encoded.examples == [Example(ids[:t_max], supervised[:t_max], row.source)]
    assert encoded.responses_cut == any(supervised[t_max:])


def test_refused_rows_are_listed_with_their_reasons_and_the_others_kept() -> None:
    rows = [
        conversation("abc", "xyz", source="d.jsonl, line 1"),
        conversation("abcdef", "x", source="d.jsonl, line 2"),
        conversation("ab", "x\ud800", source="d.jsonl, line 3"),
        conversation("a", "b", source="d.jsonl, line 4"),
        conversation("a", "b", "cé", source="d.jsonl, line 5"),
    ]
    already = BadRow("before", "listed", "{}")
    bad = [already]
    encoded = encode_within(rows, DOCUMENTS, 8, bad=bad)
    assert [row.source for row in encoded.examples] == ["d.jsonl, line 1", "d.jsonl, line 4"]
    assert encoded.conversations == [rows[0], rows[3]]
    assert (encoded.turns_dropped, encoded.responses_cut) == (0, 1)
    assert bad[0] == already
    assert [(row.source, row.reason) for row in bad[1:]] == [
        ("d.jsonl, line 2", "no token of the response fits into 8 tokens."),
        ("d.jsonl, line 3", "message 2 (assistant) holds a lone surrogate, which is half of a character."),
        ("d.jsonl, line 5", "the conversation ends with a user turn; one to train on must end with the assistant."),
    ]
    assert [json.loads(row.text)["messages"] for row in bad[1:]] == [rows[i].messages for i in (1, 2, 4)]
    assert "é" in bad[3].text


def test_a_refused_row_leaves_no_trace_in_the_counts() -> None:
    """Its turns were dropped in vain: it is not among the rows whose loss they are."""
    bad: list[BadRow] = []
    encoded = encode_within([conversation("a", "b", "abcdefgh", "x")], DOCUMENTS, 8, bad=bad)
    assert (len(bad), len(encoded.examples), str(encoded)) == (1, 0, "all fit")


def test_lengths_are_of_the_texts_alone_row_by_row() -> None:
    """Q_i takes the system's words with the user's; no role's name, separator or end token is counted."""
    rows = [conversation("abc", "xy"), conversation("d", "uvw", "eệ", "z", system="sys")]
    counted = lengths(rows, ByteTokenizer())
    assert (counted.prompt, counted.response) == ([3, 3 + 1 + 4], [2, 3 + 1])
    assert counted.totals == (3 + 8, 2 + 4)
    assert lengths([], ByteTokenizer()).totals == (0, 0)


def weighted(*weights: int, texts: str = "abcdef") -> Conversation:
    """As many turns as weights, one letter a message."""
    row = conversation(*texts[: 2 * len(weights)])
    for i, weight in enumerate(weights):
        if not weight:
            row.messages[2 * i + 1]["weight"] = 0
    return row


@pytest.mark.parametrize("name", TEMPLATES)
def test_supervising_all_leaves_out_answers_of_weight_0(name: str) -> None:
    """They were marked as answers not to be learned, in pretraining either. Inputs stay where they are."""
    template, row, same = load_template(name, ByteTokenizer()), weighted(0, 1, 0), weighted(1, 1, 1)
    for messages in (row.messages, same.messages):
        messages[0] |= {"content": "I\n\nX", "input": "X"}
    _, supervised = template.encode(row.messages)
    _, responses = template.encode(same.messages)
    expected = [mine or not any_response for mine, any_response in zip(supervised, responses, strict=True)]
    encoded = encode_within([row], template, 999, supervise="all")
    assert encoded.examples[0].supervised == expected
    assert encode_within([row], template, 999).examples[0].supervise_all().supervised == expected
    assert expected.count(False) == responses.count(True) * 2 // 3


def test_turns_after_the_last_supervised_response_go_before_any_other() -> None:
    """They teach nothing; a turn that does may not be dropped for them."""
    row = weighted(1, 1, 0)
    whole = len(DOCUMENTS.encode(row.messages)[0])
    needed = len(DOCUMENTS.encode(row.messages[:4])[0])
    for t_max in range(needed, whole):
        encoded = encode_within([row], DOCUMENTS, t_max)
        assert encoded.examples[0].ids == DOCUMENTS.encode(row.messages[:4])[0]
        assert (encoded.conversations[0].messages, str(encoded)) == (row.messages[:4], "all fit")
    assert encode_within([row], DOCUMENTS, needed - 1).turns_dropped == 1


def test_the_only_answer_that_is_trained_on_is_cut_rather_than_dropped() -> None:
    row = weighted(1, 0, 0, texts=["a", "xyz", "c", "d", "e", "f"])
    encoded = encode_within([row], DOCUMENTS, 5)
    assert encoded.examples[0].ids == DOCUMENTS.encode(row.messages)[0][:5]
    assert encoded.examples[0].supervised == [False, False, False, True, True]
    assert str(encoded) == "0 oldest turns dropped, 1 responses cut at the end"


def test_answers_of_weight_0_at_the_end_stay_as_long_as_they_fit() -> None:
    row = weighted(1, 0)
    ids, _ = DOCUMENTS.encode(row.messages)
    assert encode_within([row], DOCUMENTS, len(ids)).examples[0].ids == ids
    assert len(encode_within([row], DOCUMENTS, len(ids) - 1).examples[0].ids) < len(ids) - 1
