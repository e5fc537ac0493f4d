"""Lesson 14: answers to a data set, and how many of them are right to the letter."""

import pytest

from minigpt import GPT, generate
from minigpt.errors import UserError
from minigpt.measure.accuracy import Accuracy, answer, exact_match, wanted
from minigpt.sample.sampling import Sampling
from minigpt.text.records import Conversation
from minigpt.text.template import Documents, Message
from minigpt.text.tokenizer import ByteTokenizer

TEMPLATE = Documents(ByteTokenizer())


def asked(text: str) -> list[Message]:
    return [{"role": "user", "content": text}]


def answered(text: str, answer: str, kind: str = "all") -> Conversation:
    return Conversation([*asked(text), {"role": "assistant", "content": answer}], "d.jsonl, line 1", kind)


QUESTIONS = ["Việt Nam?", "a", "what is it", "b?", "abc", "một hai ba", "x y z"]


@pytest.fixture
def model(small_model: GPT) -> GPT:
    """One that ends some of its answers: the end token scores as its favourite does, and a little more."""
    small_model.wte.weight.data[TEMPLATE.end] = 1.05 * small_model.wte.weight.data[2]
    return small_model


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_each_question_gets_its_own_greedy_answer_whatever_the_batch(model: GPT, batch_size: int) -> None:
    """In the order of the questions, though the batches are made of questions of similar length."""
    prompts = [TEMPLATE.prompt(asked(text)) for text in QUESTIONS]
    alone = [generate(model, prompt, 20, temperature=0.0, stop=(TEMPLATE.end,)) for prompt in prompts]
    assert min(map(len, alone)) < 20, "some answers end"
    assert len(set(map(tuple, alone))) > 1, "answers differ"
    heard: list[int] = []
    found = answer(model, TEMPLATE, [asked(text) for text in QUESTIONS], 20, batch_size, progress=heard.append)
    assert found == [TEMPLATE.tokenizer.decode(ids) for ids in alone]
    assert sum(heard) == len(QUESTIONS)


def test_drawn_answers_are_those_of_the_seed_and_every_batch_has_draws_of_its_own(model: GPT) -> None:
    same = [asked("a")] * 6
    drawn = [answer(model, TEMPLATE, same, 20, 2, sampling=Sampling(1.0), seed=seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len({*drawn[0]}) == 6, "the same prompt in three batches"


def test_a_prompt_that_ends_with_the_assistant_is_refused(model: GPT) -> None:
    with pytest.raises(UserError, match="a prompt must end with a user turn"):
        answer(model, TEMPLATE, [answered("a", "b").messages], 5)


def test_only_the_same_letters_are_right() -> None:
    rows = [answered("q", "Hà Nội") for _ in range(5)]
    found = exact_match(rows, ["Hà Nội", "Hà Nội ", "hà nội", "", "Ha Noi"])
    assert (found.right, found.total, found.overall) == ({"all": 1}, {"all": 5}, 0.2)


def test_the_last_answer_of_a_conversation_counts() -> None:
    row = Conversation(answered("a", "first").messages + answered("b", "second").messages, "d.jsonl, line 1")
    assert exact_match([row], ["second"]).overall == 1.0
    assert exact_match([row], ["first"]).overall == 0.0


def test_the_reference_is_the_last_answer_that_is_trained_on() -> None:
    row = answered("q", "right")
    later = [{"role": "user", "content": "sure?"}, {"role": "assistant", "content": "no", "weight": 0}]
    row = Conversation([*row.messages, *later], "row 1")
    assert wanted(row) == "right"
    assert exact_match([row], ["right"]).overall == 1.0


def test_kinds_are_counted_each_and_together() -> None:
    """The total weighs rows, not kinds."""
    rows = [answered("q", "1", "sum"), answered("q", "2", "sum"), answered("q", "3", "sum"), answered("q", "x", "copy")]
    found = exact_match(rows, ["1", "2", "wrong", "wrong"])
    assert found.by_kind == {"copy": 0.0, "sum": 2 / 3}
    assert found.overall == 0.5


def test_the_table_names_every_kind_and_the_total() -> None:
    table = str(Accuracy({"copy": 0, "sum": 2}, {"copy": 1, "sum": 3})).split("\n")
    assert [line.split() for line in table] == [
        ["copy", "0.0%", "of", "1"],
        ["sum", "66.7%", "of", "3"],
        ["all", "50.0%", "of", "4"],
    ]
    assert "\n" not in str(Accuracy({"all": 1}, {"all": 2})), "one kind is its own total"


def test_a_missing_answer_is_an_error_and_no_wrong_one() -> None:
    with pytest.raises(ValueError, match="shorter"):
        exact_match([answered("q", "1"), answered("q", "2")], ["1"])


def test_nothing_asked_is_nothing_right() -> None:
    assert exact_match([], []).overall == 0.0
