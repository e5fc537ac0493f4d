"""Lesson 14: what raters said, added up; against counts by hand, and against ratings drawn from known chances."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt.measure.interval import wilson
from minigpt.measure.ratings import agreement, items_needed, mean_rating, sign_test
from minigpt.rating.files import Judgment, Rater
from minigpt.rating.key import BOTH_BAD, CANNOT_JUDGE, CRITERIA, EQUAL, Key
from minigpt.rating.pairs import preference_rows
from minigpt.rating.summary import CHOICES, SPLIT, Summary, share
from minigpt.text.pairs import read_pairs
from tests.rating.raters import key_of

VOTES = st.sampled_from([0, 1, EQUAL, BOTH_BAD, CANNOT_JUDGE, None])
NAN = float("nan")


def voted(*of_raters: list, key: Key | None = None) -> Summary:
    """A summary of these votes, a list a rater, with no ratings."""
    key = key or key_of([(f"a{i}", f"b{i}") for i in range(len(of_raters[0]))])
    raters = [
        Rater(f"rater {j}", {item.id: Judgment(vote, {}) for item, vote in zip(key.items, votes, strict=True)})
        for j, votes in enumerate(of_raters)
    ]
    return Summary(key, raters)


def test_votes_are_counted_item_by_item_and_who_cannot_judge_does_not_count():
    found = voted([0, 0, EQUAL, 1], [0, 1, EQUAL, CANNOT_JUDGE], [0, BOTH_BAD, 0, None])
    # Of the items' votes these shares are for the first model: 3/3, 1/3, 1/3, 0/1.
    assert found.shares[0][0] == pytest.approx((1 + 1 / 3 + 1 / 3 + 0) / 4)
    assert found.shares[1][0] == pytest.approx((0 + 1 / 3 + 0 + 1) / 4)
    assert found.shares[EQUAL][0] == pytest.approx((2 / 3) / 4)
    assert found.shares[BOTH_BAD][0] == pytest.approx((1 / 3) / 4)
    assert found.score[0] == pytest.approx((1 + 1 / 2 + 2 / 3 + 0) / 4)
    assert list(found.majorities.values()) == [0, SPLIT, EQUAL, 1]
    assert found.won == (1, 1)
    assert found.p == sign_test(1, 1) == 1
    assert found.judged == [4, 4, 3]


@given(st.lists(st.lists(VOTES, min_size=3, max_size=3), min_size=1, max_size=5))
@settings(max_examples=15)
def test_shares_add_up_and_the_other_model_has_the_rest_of_the_score(of_raters: list[list]):
    found = voted(*of_raters)
    said = [vote for votes in of_raters for vote in votes if vote in CHOICES]
    if not said:
        assert found.score is None
        assert set(found.shares.values()) == {None}
        return
    shares = {choice: figure[0] for choice, figure in found.shares.items()}
    assert sum(shares.values()) == pytest.approx(1)
    assert found.score[0] == pytest.approx(shares[0] + (shares[EQUAL] + shares[BOTH_BAD]) / 2)
    swap = {0: 1, 1: 0}
    other = voted(*([swap.get(vote, vote) for vote in votes] for votes in of_raters))
    assert other.score[0] == pytest.approx(1 - found.score[0])
    assert (other.won, other.p) == (found.won[::-1], found.p)
    again = voted(*of_raters[::-1])
    assert (again.majorities, again.score) == (found.majorities, pytest.approx(found.score))
    for one in (other, again):
        assert one.agreement["preference"] == pytest.approx(found.agreement["preference"])


@given(st.lists(VOTES, min_size=1, max_size=7))
def test_a_majority_is_more_than_half_of_those_who_judged(votes: list):
    counts = Counter(vote for vote in votes if vote in CHOICES)
    [found] = voted(*([vote] for vote in votes)).majorities.values()
    most = [choice for choice in CHOICES if 2 * counts[choice] > counts.total()]
    assert found == (most[0] if most else SPLIT if counts else None)


def test_the_same_vote_throughout_has_wilsons_interval_not_a_point():
    found = voted([0] * 8, [0] * 8)
    assert found.shares[0] == found.score == (1.0, *wilson(8, 8))
    assert found.shares[1] == (0.0, *wilson(0, 8))


def test_ratings_are_those_of_the_model_whatever_side_it_was_on():
    key = key_of([(f"a{i}", f"b{i}") for i in range(12)])
    assert len({item.sides[0].model for item in key.items}) == 2
    raters = [
        Rater(
            f"rater {j}",
            {
                item.id: Judgment(0, {(0, "accuracy"): 4 + j, (1, "accuracy"): 2, (1, "reasoning"): 1 + (i + j) % 2})
                for i, item in enumerate(key.items)
            },
        )
        for j in range(2)
    ]
    found = Summary(key, raters)
    assert found.ratings[0, "accuracy"][0] == 4.5
    assert found.ratings[1, "accuracy"] == (2, 2, 2)
    assert found.ratings[0, "naturalness"] is None
    assert found.ratings[1, "reasoning"][0] == 1.5
    (gap, low, high), needed = found.differences["accuracy"]
    assert gap == 2.5
    assert (low, high) == mean_rating(np.array([[2.0, 3.0]] * 12))[1:]
    assert needed == items_needed(np.array([2.5] * 12))
    assert found.differences["reasoning"] == (None, None)
    left, of = found.on_the_left
    assert (left, of) == (2 * sum(item.sides[0].model == 0 for item in key.items), 24)


def test_how_many_items_a_lead_needs_and_how_often_the_left_one_was_chosen():
    found = voted([0, 0, 0, 1, EQUAL, CANNOT_JUDGE], [0, 1, 0, 1, BOTH_BAD, None])
    leads = [0.5, 0.0, 0.5, -0.5, 0.0]  # half of +1 for the first model, -1 for the second, on the items with a vote
    assert found.needed == items_needed(np.array(leads))
    votes = [(item.sides[0].model, vote) for i, item in enumerate(found.key.items) for vote in VOTED[i]]
    assert found.on_the_left == (sum(left == vote for left, vote in votes), 8)
    assert voted([EQUAL, BOTH_BAD]).needed is None


VOTED = ((0, 0), (0, 1), (0, 0), (1, 1), (), ())


def test_agreement_of_ratings_counts_how_far_they_are_apart():
    key = key_of([(f"a{i}", f"b{i}") for i in range(4)])
    tables = {1: ([1, 2, 5, 4], [2, 1, 4, 5]), 0: ([3, 3, 1, 5], [3, 4, 2, 5])}
    raters = [
        Rater(
            f"rater {j}",
            {
                item.id: Judgment(None, {(model, "reasoning"): tables[model][j][i] for model in tables})
                for i, item in enumerate(key.items)
            },
        )
        for j in range(2)
    ]
    every = np.array([[*tables[0][0], *tables[1][0]], [*tables[0][1], *tables[1][1]]], dtype=float).T
    found = Summary(key, raters).agreement["reasoning"]
    assert found == agreement(every, "ordinal")
    assert found > agreement(every, "nominal") + 0.3


def test_agreement_is_of_all_answers_and_unknown_from_one_rater():
    same = voted([0, 1, EQUAL], [0, 1, EQUAL])
    assert same.agreement == {"preference": 1.0, "accuracy": None, "naturalness": None, "reasoning": None}
    assert voted([0, 1, EQUAL]).agreement["preference"] is None
    assert voted([0, 1, 0, 1], [1, 0, 1, 0]).agreement["preference"] < 0


def test_the_items_in_dispute_come_first_and_undisputed_ones_not_at_all():
    found = voted([0, 0, 0, 0], [0, 1, 0, 1], [0, 0, 0, EQUAL])
    assert [found.key.items.index(item) for item in found.most_disputed(5)] == [3, 1]
    assert len(found.most_disputed(1)) == 1


def test_among_items_of_equal_votes_those_come_first_whose_ratings_are_farthest_apart():
    key, apart = key_of([("a", "b")] * 4), (1, 0, 3, 2)
    raters = [
        Rater(f"{j}", {item.id: Judgment(0, {(1, "reasoning"): 1 + j * apart[i]}) for i, item in enumerate(key.items)})
        for j in range(2)
    ]
    assert [key.items.index(item) for item in Summary(key, raters).most_disputed(4)] == [2, 3, 0]


def test_a_rating_without_a_choice_is_a_judgment_too_and_a_remark_alone_is_none():
    key = key_of([("a", "b")] * 3)
    said = (Judgment(None, {(0, "accuracy"): 5}), Judgment(CANNOT_JUDGE, {}), Judgment(None, {}, "hm"))
    judgments = {item.id: one for item, one in zip(key.items, said, strict=True)}
    assert Summary(key, [Rater("Anna", judgments), Rater("Bao", {})]).judged == [2, 0]


def test_the_pairs_of_a_majority_are_read_back_as_pairs(tmp_path: Path):
    key = key_of([("good", "bad"), ("worse", "better"), ("x", "y"), ("u", "v"), ("", "said"), ("</s>\u2028", "\x00")])
    found = voted([0, 1, EQUAL, 0, 1, 0], [0, 1, EQUAL, 1, 1, 0], [1, EQUAL, 0, None, 1, 0], key=key)
    rows = preference_rows(found)
    assert [(row["chosen"], row["rejected"]) for row in rows] == [
        ("good", "bad"),
        ("better", "worse"),
        ("</s>\u2028", "\x00"),
    ]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pairs = read_pairs([tmp_path / "pairs.jsonl"])
    assert [(p.prompt, p.chosen, p.rejected) for p in pairs] == [
        (r["prompt"], r["chosen"], r["rejected"]) for r in rows
    ]


def test_ratings_drawn_from_a_known_model_have_its_win_rate_in_their_interval_95_times_of_100():
    """500 pages of 30 items and three raters. An item's chances are drawn around the model's, so that items differ as
    they do; votes for neither are among them."""
    draw, items, raters, runs = np.random.default_rng(0), 30, 3, 500
    chances = np.array([0.5, 0.25, 0.15, 0.1])  # of CHOICES
    true = {"score": chances[0] + chances[2:].sum() / 2, "wins": chances[0]}
    held = Counter()
    for _ in range(runs):
        of_item = draw.dirichlet(3 * chances, size=(items, 1))
        drawn = (draw.random((items, raters, 1)) > of_item.cumsum(axis=-1)).sum(axis=-1).clip(0, 3)
        found = voted(*([CHOICES[c] for c in column] for column in drawn.T), key=PAGE)
        intervals = {"score": found.score, "wins": share(found.votes(lambda vote: float(vote == 0)))}
        held.update(name for name, (_, low, high) in intervals.items() if low <= true[name] <= high)
    print({name: f"{count / runs:.1%}" for name, count in held.items()})
    for name in true:
        assert 0.93 <= held[name] / runs <= 0.99, name  # 0.95 and two standard errors of 500 draws, or a little more


PAGE = key_of([("a", "b")] * 30)


def test_the_criteria_are_document_a_s():
    assert CRITERIA == ("accuracy", "naturalness", "reasoning")
