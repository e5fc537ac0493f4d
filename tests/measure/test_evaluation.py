"""Lesson 14: figures from rows: GSM8K's rule, the trivial baseline, intervals and pairs."""

import math

import pytest

from minigpt import load_template, load_tokenizer
from minigpt.measure import evaluation
from minigpt.measure.accuracy import gsm8k_number
from minigpt.measure.evaluation import Evaluation, difference, evaluate, most_frequent_answer
from minigpt.text.examples import encode_within
from minigpt.text.records import Conversation


def rows(*answers: str) -> list[Conversation]:
    return [
        Conversation([{"role": "user", "content": "?"}, {"role": "assistant", "content": answer}], f"row {i}")
        for i, answer in enumerate(answers)
    ]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("so 3+4=<<3+4=7>>7\n#### 7", "7"),
        ("#### 1,234,567", "1234567"),
        ("#### -5", "-5"),
        ("#### 0.50", "0.50"),
        ("#### 7\n#### 8", "7"),
        ("#### 42. Done", "42."),
        ("#### 12 apples", "12"),
        ("#### 3-4", "3"),
        ("#### about\n#### 7", "7"),
        ("####7", None),
        ("#### $7", None),
        ("#### seven", None),
        ("7", None),
        ("", None),
    ],
)
def test_the_number_is_what_the_official_rule_finds(text: str, number: str | None) -> None:
    """The first match of its pattern, commas removed, nothing else mended."""
    assert gsm8k_number(text) == number


def test_numbers_are_equal_as_text_alone() -> None:
    """7.0 is not 7, and a full stop spoils a number: the rule is strict, and figures elsewhere were made by it."""
    one = Evaluation(
        rows("#### 7", "#### 7", "#### 7", "#### 1,000"), answers=["#### 7.0", "#### 7.", "7", "#### 1000"]
    )
    assert one.figures["gsm8k_accuracy"][0] == 0.25
    assert one.figures["gsm8k_format"][0] == 0.75
    assert one.figures["accuracy"][0] == 0


def test_gsm8ks_rule_is_left_out_where_a_right_answer_has_no_such_number() -> None:
    one = Evaluation(rows("#### 7", "seven"), answers=["#### 7", "seven"])
    assert list(one.figures) == ["accuracy"]


def test_perplexity_is_of_the_totals_and_its_interval_that_of_the_loss() -> None:
    """Two rows of unlike length: the mean of the rows' means would be 1.5."""
    one = Evaluation(rows("a", "b"), losses=[(2.0, 1), (9.0, 9)])
    loss, low, high = one.figures["loss"]
    assert loss == pytest.approx(1.1)
    assert one.figures["perplexity"] == pytest.approx((math.exp(1.1), math.exp(low), math.exp(high)))
    assert (low, high) == (1.0, 2.0)


def test_the_trivial_answer_is_the_most_frequent_one() -> None:
    trivial = most_frequent_answer(rows("yes", "no", "yes", "yes", "perhaps"))
    assert set(trivial.answers) == {"yes"}
    assert trivial.figures["accuracy"][0] == 0.6


def test_by_gsm8ks_rule_the_trivial_answer_is_the_most_frequent_number() -> None:
    """Whatever the working: no two whole answers here are the same."""
    trivial = most_frequent_answer(rows("a\n#### 1,000", "b\n#### 2", "c\n#### 1000"))
    assert set(trivial.answers) == {"#### 1000"}
    assert trivial.figures["gsm8k_accuracy"][0] == pytest.approx(2 / 3)


def test_a_pair_differs_by_its_figures_and_varies_less_than_either() -> None:
    """Rows of very unlike difficulty, of which the second model finds each a little harder."""
    losses = [(float(i * i), 4) for i in range(40)]
    one, two = (Evaluation(rows(*["x"] * 40), losses=[(nll + more, n) for nll, n in losses]) for more in (0, 1))
    gap, low, high = difference(one, two)["loss"]
    assert (gap, low, high) == (pytest.approx(0.25), pytest.approx(0.25), pytest.approx(0.25))
    assert one.figures["loss"][2] - one.figures["loss"][1] > 50


def test_only_figures_that_both_have_are_compared() -> None:
    one, two = Evaluation(rows("x"), losses=[(1.0, 1)], answers=["x"]), Evaluation(rows("x"), answers=["y"])
    assert list(difference(one, two)) == ["accuracy"]


def test_none_of_eight_right_is_no_proof_that_none_ever_is() -> None:
    """Nor are two models equal because neither has a row right that the other has not."""
    one = Evaluation(rows(*"abcdefgh"), answers=["?"] * 8)
    assert one.figures["accuracy"] == (0.0, 0.0, pytest.approx(0.3244, abs=1e-4))
    assert difference(one, one)["accuracy"] == (0.0, pytest.approx(-0.3244, abs=1e-4), pytest.approx(0.3244, abs=1e-4))
    every = Evaluation(rows(*"abcdefgh"), answers=[*"abcdefgh"])
    gap, low, high = difference(one, every)["accuracy"]
    assert (gap, high) == (1.0, 1.0)
    assert 0.5 < low < 0.6


def test_a_difference_with_some_variation_has_the_bootstraps_interval() -> None:
    one = Evaluation(rows(*"abcdefgh"), answers=[*"abcd????"])
    two = Evaluation(rows(*"abcdefgh"), answers=[*"abcdef??"])
    gap, low, high = difference(one, two)["accuracy"]
    assert (gap, low) == (0.25, 0.0)
    assert high in (0.5, 0.625)


def test_each_row_says_what_was_made_of_it() -> None:
    one = Evaluation(rows("#### 7", "#### 8"), losses=[(1.5, 3), (2.5, 4)], answers=["#### 7", "x #### 8"])
    assert one.row_by_row() == [
        {"nll": 1.5, "supervised_tokens": 3, "answer": "#### 7", "accuracy": True, "gsm8k_accuracy": True,
         "gsm8k_format": True},
        {"nll": 2.5, "supervised_tokens": 4, "answer": "x #### 8", "accuracy": False, "gsm8k_accuracy": True,
         "gsm8k_format": True},
    ]  # fmt: skip
    assert Evaluation(rows("a")).row_by_row() == [{}]


def test_an_answer_may_be_one_token_longer_than_the_longest_right_one(
    small_model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that one which runs on is seen to, and is not cut to a right one: the model says ever more of "blue!!!"."""
    template = load_template("chatml", load_tokenizer("bytes"))
    conversations = rows("a", "blue", "red")
    monkeypatch.setattr(evaluation, "row_losses", lambda *args, **more: [(1.0, 1)] * 3)
    monkeypatch.setattr(
        evaluation, "answer", lambda model, template, asked, most, *more: ["blue!!!"[:most] for _ in asked]
    )
    found = evaluate(
        small_model, template, conversations, encode_within(conversations, template, 64), 2, answering=True
    )
    assert found.answers == ["blue!"] * 3
    assert found.figures["accuracy"][0] == 0.0


def test_the_figures_for_a_file_hold_the_accuracy_of_each_kind() -> None:
    kinds = [Conversation(row.messages, row.source, kind) for row, kind in zip(rows("a", "b", "c"), "xxy", strict=True)]
    assert Evaluation(kinds, answers=["a", "?", "c"]).as_json()["accuracy_by_kind"] == {"x": 0.5, "y": 1.0}
