"""Lesson 11: rows as other programs write them: whatever changes their meaning is used or refused."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt.errors import UserError
from minigpt.text.formats import FORMATS, read_row

Q, A = {"role": "user", "content": "Q?"}, {"role": "assistant", "content": "A."}
S = {"role": "system", "content": "S."}
TWO = [Q, A, {"role": "user", "content": "R?"}, {"role": "assistant", "content": "B."}]


def first_answer(**keys: object) -> dict:
    """Two turns, with these keys in the first answer."""
    return {"messages": [Q, {**A, **keys}, *TWO[2:]]}


def last_answer(**keys: object) -> dict:
    return {"messages": [Q, {**A, **keys}]}


def refused(row: object) -> str:
    with pytest.raises(UserError) as caught:
        read_row(row)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("key", ["weight", "train", "training", "loss", "loss_mask"])
@pytest.mark.parametrize("off", [0, 0.0, False])
def test_an_answer_of_weight_0_keeps_it_under_every_name_that_programs_give_it(key: str, off: float) -> None:
    assert read_row(first_answer(**{key: off})) == [Q, {**A, "weight": 0}, *TWO[2:]]
    sharegpt = [{"from": "human", "value": "Q?"}, {"from": "gpt", "value": "A.", key: off}]
    more = [{"from": "human", "value": "R?"}, {"from": "gpt", "value": "B."}]
    assert read_row({"conversations": sharegpt + more}) == [Q, {**A, "weight": 0}, *TWO[2:]]


@pytest.mark.parametrize("on", [1, 1.0, True, None])
def test_an_answer_of_weight_1_is_like_one_without(on: float | None) -> None:
    assert read_row(first_answer(weight=on)) == TWO


def test_a_weight_of_0_beside_a_message_that_is_never_trained_on_says_nothing_new() -> None:
    assert read_row({"messages": [{**S, "weight": 0}, {**Q, "weight": 0}, {**A, "weight": 1}]}) == [S, Q, A]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (last_answer(weight=0.5), 'message 2 (assistant) has "weight" 0.5; it can be 0 (not trained on) or 1.'),
        (last_answer(weight=2), 'message 2 (assistant) has "weight" 2; it can be'),
        (last_answer(weight="0"), "message 2 (assistant) has \"weight\" '0'; it can be"),
        (last_answer(weight=[0]), 'message 2 (assistant) has "weight" [0]; it can be'),
        (last_answer(weight=1, train=False), "message 2 (assistant) has 'weight' and 'train', which contradict"),
        ({"messages": [{**Q, "weight": 1}, A]}, 'message 1 (user) has "weight" 1, but only the assistant'),
        (last_answer(weight=0), "has nothing to train on: every assistant message has the weight 0."),
        ({"messages": [Q, {**A, "weight": 0}, Q, {**A, "train": False}]}, "has nothing to train on"),
    ],
)
def test_a_weight_that_cannot_be_followed_is_refused(row: dict, sentence: str) -> None:
    assert refused(row).startswith(sentence)


@pytest.mark.parametrize(
    "keys",
    [
        {"tool_calls": [{"id": "1", "function": {"name": "f"}}]},
        {"tool_calls": [{"id": "1"}], "content": None},
        {"function_call": {"name": "f", "arguments": "{}"}, "content": None},
        {"reasoning_content": "Hm."},
        {"thinking": "Hm."},
        {"train_detail": [{"begin_offset": 0, "end_offset": 3, "train": False}]},
        {"mask": True},
        {"images": ["a.png"]},
        {"audio": {"id": "x"}},
        {"refusal": "No."},
    ],
)
def test_what_a_message_says_in_a_key_that_is_not_read_is_refused_by_its_name(keys: dict) -> None:
    assert refused(last_answer(**keys)).startswith(f'message 2 (assistant) has "{next(iter(keys))}"')


def test_a_messages_empty_keys_and_those_about_it_are_allowed() -> None:
    keys = {"tool_calls": None, "function_call": None, "refusal": None, "annotations": [], "audio": None, "images": []}
    assert read_row(last_answer(**keys, name="pat", id="m1", timestamp=3.5, model_name="x")) == [Q, A]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tools", '[{"name": "f"}]'),
        ("functions", [{"name": "f"}]),
        ("context", "Mira bought pears."),
        ("input", "pears"),
        ("instruction", "Be brief."),
        ("instructions", "Be brief."),
        ("prompt", "another question"),
        ("history", [["a", "b"]]),
        ("chat_history", "a\nb"),
        ("text", "a passage"),
        ("persona", ["I am a pirate."]),
        ("retrievedDocuments", ["one"]),
        ("images", ["a.png"]),
        ("image_path", "a.png"),
        ("video", b"\0"),
        ("choices", ["a", "b"]),
        ("weight", 0),
        ("weight", 0.5),
        ("sample_weight", 3),
        ("train", False),
        ("train_on_input", [1]),
        ("loss_mask", [0, 1]),
        ("label", False),
    ],
)
def test_a_column_that_would_change_the_meaning_is_refused_by_its_name(key: str, value: object) -> None:
    assert refused({"messages": [Q, A], key: value}).startswith(f'has "{key}", which would change what is said')


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *((key, "x") for key in ("id", "source", "category", "kind", "topic", "full_topic", "url", "lang", "dataset")),
        *((key, "x") for key in ("prompt_id", "conversation_hash", "system_fingerprint", "train_split", "tool_name")),
        *((key, 3) for key in ("score", "num_turns", "context_length", "prompt_tokens", "input_length", "turns")),
        ("original_question", "Q??"),
        ("loss", 2.31),
        ("weight", 1),
        ("train", True),
        ("label", True),
        ("label", 0),
        ("score_chosen", 8.5),
        ("chosen", [Q, A]),
        ("rejected", [Q, {**A, "content": "C."}]),
        *((key, None) for key in ("system", "tools", "history", "context", "images", "weight", "prompt", "completion")),
        *((key, "") for key in ("system", "tools", "context", "prompt")),
        ("tools", "[]"),
        ("tools", []),
        ("history", [[]]),
        ("context", float("nan")),
        ("", "x"),
    ],
)
def test_a_column_about_the_row_or_without_a_value_is_allowed(key: str, value: object) -> None:
    assert read_row({"messages": [Q, A], key: value}) == [Q, A]


@pytest.mark.parametrize(
    ("row", "messages"),
    [
        ({"messages": TWO, "prompt": "Q?"}, TWO),
        ({"messages": TWO, "prompt": [Q]}, TWO),
        ({"messages": TWO, "conversations": [{"from": "human", "value": "Q?"}, {"from": "gpt", "value": "A."}]}, TWO),
        ({"messages": [Q, A], "prompt": "Q?", "completion": "A."}, [Q, A]),
        ({"messages": [Q, A], "text": "<user>Q?<assistant>A.<end>"}, [Q, A]),
        ({"prompt": "Q?", "completion": "It is 42.", "answer": "42"}, [Q, {**A, "content": "It is 42."}]),
    ],
)
def test_a_column_that_repeats_the_conversation_is_allowed(row: dict, messages: list) -> None:
    """Many data sets keep a copy of the first question, or the row laid out for another program."""
    assert read_row(row) == messages


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"prompt": "Q?", "completion": "A.", "response": "C."}, 'has both "completion" and "response", which differ'),
        ({"question": "Q?", "answer": "A.", "output": "C."}, 'has both "answer" and "output", which differ'),
        ({"messages": [Q, A], "answer": "C."}, 'has both "messages" and "answer", which differ'),
        ({"messages": [Q, A], "conversations": [{"from": "human", "value": "x"}]}, 'has "conversations"'),
        ({"messages": [S, Q, A], "system": "T."}, 'has "system" and another system message'),
        ({"system": "S.", "system_prompt": "T.", "messages": [Q, A]}, 'has "system_prompt" and another system'),
        ({"instruction": "I", "input": "X", "context": "C", "output": "O"}, 'has both "input" and "context"'),
        ({"question": "Q?", "answer": "A.", "context": ["C"]}, '"context" is not text'),
        ({"system": 3, "messages": [Q, A]}, '"system" is not text'),
        ({"instruction": "I", "output": "O", "history": [["a"]]}, '"history" must be a list of [question, answer]'),
        ({"instruction": "I", "output": "O", "history": "a"}, '"history" must be a list of [question, answer]'),
        ({"instruction": "I", "output": "O", "history": [["a", None]]}, "message 2 (assistant) has content that is"),
        ({"prompt": "P", "chosen": "a", "rejected": "b"}, "has the keys 'prompt', 'chosen', 'rejected'; expected"),
        ({f"k{i}": i for i in range(1000)}, "has the keys 'k0', "),
        ({"messages": None}, 'holds no conversation: "messages" is null.'),
        (
            {"messages": None, "prompt": None, "completion": None},
            'holds no conversation: "messages", "prompt", "completion" are null.',
        ),
        ({"messages": None, "prompt": "P", "completion": ""}, "message 2 (assistant) is empty"),
        ({"instruction": "", "input": " \n", "output": "O"}, "message 1 (user) is empty"),
        ({"conversations": [Q, A, Q]}, '"conversations" ends with a user turn; a training conversation must end with'),
        ([Q, A, Q], '"messages" ends with a user turn'),
        ({"messages": '["u"]'}, '"messages" must be a list of'),
        ({"messages": {"role": ["user"], "content": "Q?"}}, '"messages" must be a list of'),
        ({"messages": [{"role": "user", "from": "gpt", "content": "x"}, A]}, "message 1 has the roles 'user' and"),
        ({"messages": [{**Q, "value": "other"}, A]}, "message 1 (user) has two different texts"),
    ],
)
def test_what_contradicts_itself_or_is_no_conversation_is_refused_in_words(row: object, sentence: str) -> None:
    assert refused(row).startswith(sentence)
    assert len(refused(row)) < 600


def test_preferences_among_conversations_are_refused_with_the_way_to_train_on_them() -> None:
    said = refused({"chosen": [Q, A], "rejected": [Q, A]})
    assert said.endswith("minigpt.train learns from the chosen answers of a file whose rows all are pairs.")


@pytest.mark.parametrize("key", ["system", "system_prompt"])
@pytest.mark.parametrize(
    "row",
    [
        {"messages": [Q, A]},
        {"conversations": [{"from": "human", "value": "Q?"}, {"from": "gpt", "value": "A."}]},
        {"prompt": "Q?", "completion": "A."},
        {"prompt": [Q], "completion": [A]},
        {"instruction": "Q?", "output": "A."},
        {"question": "Q?", "response": "A."},
        {"messages": [S, Q, A]},
    ],
)
def test_a_systems_column_is_the_system_message_whatever_the_format(row: dict, key: str) -> None:
    assert read_row({**row, key: "S."}) == [S, Q, A]


@pytest.mark.parametrize("ask", sorted({keys[0] for keys in FORMATS if len(keys) == 2} - {"input"}))
@pytest.mark.parametrize("key", ["input", "context"])
def test_an_input_or_a_context_follows_the_question(ask: str, key: str) -> None:
    answer = next(keys[1] for keys in FORMATS if keys[0] == ask)
    row = {ask: "Q?", key: "X", answer: "A."}
    assert read_row(row) == [{**Q, "content": "Q?\n\nX", "input": "X"}, A]
    assert read_row({**row, key: " \n"}) == [Q, A]


def test_a_row_with_an_input_alone_asks_the_input() -> None:
    """Without blank lines before it; with an empty instruction it remains an input for the template that has one."""
    for instruction in ("", None):
        row = {"instruction": instruction, "input": "X", "output": "A."}
        assert read_row(row) == [{"role": "user", "content": "X", "input": "X"}, A]
    assert read_row({"input": "X", "output": "A."}) == [{"role": "user", "content": "X"}, A]


def test_earlier_turns_come_first_and_are_trained_on() -> None:
    row = {"instruction": "R?", "output": "B.", "history": [["Q?", "A."]], "system": "S."}
    assert read_row(row) == [S, *TWO]


@pytest.mark.parametrize("format_", FORMATS)
def test_every_known_key_may_be_null_beside_a_good_format(format_: tuple[str, ...]) -> None:
    """As rows of several sources have it once a table holds them."""
    row: dict[str, object] = {key: None for keys in FORMATS for key in keys}
    row |= dict.fromkeys(("system", "history", "context", "input", "tools", "weight"))
    row |= {format_[0]: [Q, A]} if len(format_) == 1 else {format_[0]: "Q?", format_[1]: "A."}
    (*_, user, answer) = read_row(row)
    assert (user["content"], answer) == ("Q?", A)
    empty = {key: float("nan") if value is None else value for key, value in row.items()}
    assert read_row(empty) == read_row({**row, **{key: [] for key, value in row.items() if value is None}})


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "human", "content": "Q?"}, {"role": "gpt", "content": "A."}],
        [{"from": "user", "value": "Q?"}, {"from": "assistant", "value": "A."}],
        [{"from": "human", "content": "Q?"}, {"role": "chatgpt", "value": "A."}],
        [{"speaker": "Human", "text": "Q?"}, {"speaker": "bing", "text": "A."}],
        [{"user": "human", "text": "Q?"}, {"user": "GPT", "text": "A."}],
        [{"role": "user", "from": None, "content": "Q?", "value": None}, {"from": "gpt", "role": None, "value": "A."}],
        [{"role": "user", "user": "pat", "content": "Q?"}, A],
        [{"role": "user", "content": [{"type": "text", "text": "Q"}, {"type": "text", "text": "?"}]}, A],
        [{"role": "user", "content": [{"type": "text", "text": "Q?", "image_url": None}]}, A],
        {"role": ["user", "assistant"], "content": ["Q?", "A."]},
        json.dumps([Q, A]),
    ],
)
@pytest.mark.parametrize("key", ["messages", "conversations", "conversation"])
def test_roles_and_texts_are_read_under_any_of_their_names(key: str, messages: object) -> None:
    assert read_row({key: messages}) == [Q, A]


def test_a_list_of_messages_is_a_row_and_a_developer_is_the_system() -> None:
    assert read_row([{**S, "role": "developer"}, Q, A]) == [S, Q, A]


@pytest.mark.parametrize("kind", ["image_url", "input_audio", "tool_use"])
def test_a_part_that_is_not_text_is_refused_by_its_type(kind: str) -> None:
    parts = [{"type": "text", "text": "Q?"}, {"type": kind, kind: {"url": "x"}}]
    assert refused({"messages": [{"role": "user", "content": parts}, A]}).startswith(
        f"message 1 (user) has a part of the type '{kind}'"
    )


WORDS = st.text(alphabet="aệ .\n", min_size=1, max_size=5).filter(str.strip)


@given(
    instruction=WORDS, context=st.none() | st.text(alphabet="xệ \n", max_size=4), weights=st.lists(st.integers(0, 1))
)
@settings(max_examples=60)
def test_a_conversation_that_is_written_as_messages_reads_as_itself(
    instruction: str, context: str | None, weights: list[int]
) -> None:
    """So do the rows that --skip-bad lists and those that evaluate writes: the weights and the input stay."""
    once = read_row({"instruction": instruction, "input": context, "output": "A."})
    for weight in weights:
        once += read_row({"messages": [Q, {**A, "weight": weight}, *TWO[2:]]})
    assert read_row(json.loads(json.dumps({"messages": once}))) == once
