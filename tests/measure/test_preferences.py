"""Lesson 15: figures of pairs, draws and greedy answers, by the laws that they keep."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt.measure.evaluation import difference
from minigpt.measure.interval import wilson
from minigpt.measure.preferences import (
    answers_evaluation,
    draws_evaluation,
    joined,
    last_sign_alone,
    pair_evaluation,
    reward_evaluation,
)
from minigpt.text.pairs import Pair, read_pairs
from minigpt.text.records import pair_names

scores = st.lists(st.tuples(*[st.floats(-50, 50, width=32)] * 4), min_size=1, max_size=12)
few = settings(max_examples=10, deadline=None)  # an interval takes thousands of draws


def sides(rows: list[tuple[float, ...]]) -> list[torch.Tensor]:
    return list(torch.tensor(rows, dtype=torch.float32).T)


def pair(chosen: str, rejected: str) -> Pair:
    return Pair([{"role": "user", "content": "?"}], chosen, rejected, "row 1")


@few
@given(scores, st.sampled_from([0.01, 0.1, 1.0]))
def test_a_model_that_is_its_own_reference_cannot_tell_and_its_loss_is_log_2(rows: list, beta: float) -> None:
    chosen, rejected, *_ = sides(rows)
    figures = pair_evaluation(chosen, rejected, chosen, rejected, beta).figures
    assert figures["accuracy"] == (0.5, 0.5, 0.5)
    assert figures["margin"] == (0.0, 0.0, 0.0)
    assert figures["loss"][0] == pytest.approx(math.log(2), abs=1e-6)
    assert figures["chosen_logp"][0] == pytest.approx(chosen.double().mean().item(), abs=1e-9)


@given(scores, st.sampled_from([0.1, 1.0]))
def test_swapping_the_sides_mirrors_accuracy_and_margin(rows: list, beta: float) -> None:
    chosen, rejected, ref_chosen, ref_rejected = sides(rows)
    one = pair_evaluation(chosen, rejected, ref_chosen, ref_rejected, beta).columns
    other = pair_evaluation(rejected, chosen, ref_rejected, ref_chosen, beta).columns
    assert np.array_equal(one["accuracy"][:, 0], 1 - other["accuracy"][:, 0])
    assert np.array_equal(one["margin"][:, 0], -other["margin"][:, 0])
    assert np.array_equal(one["chosen_logp"], other["rejected_logp"])


@given(scores)
def test_accuracy_knows_nothing_of_beta(rows: list) -> None:
    one, other = (pair_evaluation(*sides(rows), beta) for beta in (0.25, 4.0))
    assert np.array_equal(one.columns["accuracy"], other.columns["accuracy"])
    assert np.array_equal(16 * one.columns["margin"][:, 0], other.columns["margin"][:, 0])


@given(scores)
def test_dpo_s_figures_are_a_reward_model_s_whose_rewards_are_its_log_ratios(rows: list) -> None:
    chosen, rejected, ref_chosen, ref_rejected = sides(rows)
    one = pair_evaluation(chosen, rejected, ref_chosen, ref_rejected, 1.0, 0.1).columns
    other = reward_evaluation(chosen - ref_chosen, rejected - ref_rejected, 0.1).columns
    for name in ("loss", "accuracy", "margin"):
        assert np.array_equal(one[name], other[name]), name


def test_a_tie_counts_one_half() -> None:
    figures = reward_evaluation(torch.tensor([1.0, 2.0, 0.0, 5.0]), torch.tensor([0.0, 2.0, 0.0, 6.0])).figures
    assert figures["accuracy"][0] == 0.5
    assert figures["margin"][0] == 0.0
    figures = reward_evaluation(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 2.0])).figures
    assert figures["accuracy"][0] == 0.75


@few
@given(scores)
def test_every_interval_holds_its_figure(rows: list) -> None:
    parts = pair_evaluation(*sides(rows), 0.1), draws_evaluation(*sides(rows)[:2], [row[0] > 0 for row in rows])
    for name, (value, low, high) in joined(*parts).figures.items():
        assert low - 1e-9 * abs(value) <= value <= high + 1e-9 * abs(value), name


def test_shares_of_noughts_and_ones_have_wilsons_interval_and_means_the_bootstraps() -> None:
    """Eight of eight pairs right is no proof that all are; a margin that never varies has nothing to draw from."""
    ones = torch.ones(8)
    figures = reward_evaluation(ones, torch.zeros(8)).figures
    assert figures["accuracy"] == (1.0, *wilson(8, 8))
    assert figures["margin"] == (1.0, 1.0, 1.0)
    assert figures["rejected_reward"] == (0.0, 0.0, 0.0)
    ties = reward_evaluation(torch.tensor([1.0, 1.0, 0.0, 0.0]), torch.zeros(4)).figures["accuracy"]
    assert ties == (0.75, 0.5, 1.0), "a half is no number of rows, so it is drawn"
    assert draws_evaluation(torch.zeros(8), None, [True] * 8).figures["reward"] == (0.0, *wilson(0, 8))


def test_what_was_not_measured_is_left_out() -> None:
    assert list(draws_evaluation(None, torch.ones(2), [True, False]).figures) == ["divergence", "ended"]
    assert list(draws_evaluation(torch.ones(2), None, [True, False]).figures) == ["reward", "ended"]


def test_two_models_are_compared_pair_by_pair() -> None:
    """Each pair's margin is a little larger under the second: by an amount that no unpaired interval could see."""
    generator = torch.Generator().manual_seed(0)
    chosen, rejected = 10 * torch.randn(2, 50, generator=generator).double()
    more = 0.125 + 0.01 * torch.rand(50, generator=generator).double()
    one, two = reward_evaluation(chosen, rejected), reward_evaluation(chosen + more, rejected)
    gap, low, high = difference(one, two)["margin"]
    assert gap == pytest.approx(more.mean().item())
    assert 0.125 < low < gap < high < 0.135
    assert one.figures["margin"][2] - one.figures["margin"][1] > 4
    assert difference(one, one)["accuracy"][0] == 0.0
    assert difference(one, one)["accuracy"][1] < 0 < difference(one, one)["accuracy"][2], "Newcombe's, not a point"


def test_cheerful_sees_the_sign_alone_and_task_all_but_the_sign() -> None:
    wanted = ["Milk is white!", "old!", "NEW!", "Ba!"]
    figures = answers_evaluation(["Milk is white.", "old!", "ow!", "Ba!!"], wanted, True).figures
    assert figures["exact_match"][0] == 0.25
    assert figures["task"][0] == 0.75
    assert figures["cheerful"][0] == 0.75
    assert list(answers_evaluation(["a"], ["a"], False).figures) == ["exact_match"]


@pytest.mark.parametrize(
    ("chosen", "rejected", "alone"),
    [
        ("old!", "old", True),
        ("Milk is white!", "Milk is white.", True),
        ("Milk is white.", "Milk is white!", True),
        ("old!!", "old", False),
        ("old!", "new!", False),
        ("old?", "old", False),
        ("Old!", "old", False),
    ],
)
def test_pairs_that_differ_in_more_than_their_last_sign_have_no_task(chosen: str, rejected: str, alone: bool) -> None:
    assert last_sign_alone([pair("a!", "a."), pair(chosen, rejected)]) is alone


def test_the_built_in_pairs_differ_in_their_last_sign_alone() -> None:
    for split in ("train", "test"):
        assert last_sign_alone(read_pairs(pair_names(["builtin"], split)))
    assert not last_sign_alone([])


def test_parts_of_one_model_are_joined_and_none_twice() -> None:
    pairs = reward_evaluation(torch.ones(3), torch.zeros(3))
    said = answers_evaluation(["a", "b"], ["a", "c"], False)
    both = joined(pairs, said)
    assert {**both.figures} == {**pairs.figures, **said.figures}
    assert both.row_by_row()[1]["answer"] == "b"
    assert both.row_by_row()[2].keys() == pairs.columns.keys()
    with pytest.raises(ValueError, match="loss"):
        joined(pairs, pairs)


def test_the_report_has_every_figure_with_both_ends() -> None:
    one = reward_evaluation(torch.tensor([1.0, 0.0]), torch.zeros(2))
    report = one.as_json()
    for name, (value, low, high) in one.figures.items():
        assert (report[name], report[f"{name}_interval"]) == (value, [low, high])
