"""Lesson 08 can be followed on paper: each number of its text comes out of the rounded ones on the page."""

import math

import pytest
import torch

from lessons.tiny import TARGETS, E
from tests.lessons.test_tiny import stages, two_decimals

P = two_decimals(stages(lambda x: x)["p"])  # as the lesson shows it


def test_surprise_sum_mean_and_perplexity_of_the_rounded_probabilities() -> None:
    right = [P[t, i].item() for t, i in enumerate(TARGETS)]
    nll = [round(-math.log(p), 2) for p in right]
    assert nll == [0.36, 0.51, 0.56]
    assert round(sum(nll), 2) == round(-math.log(round(math.prod(right), 2)), 2) == 1.43
    assert round(sum(nll) / 3, 2) == 0.48
    assert (round(math.exp(0.48), 2), round(0.48 / 0.69, 2)) == (1.62, 0.70)
    exact = stages(lambda x: x)["nll"]
    assert exact.sum().item() == pytest.approx(1.44, abs=0.005)


def test_the_gradient_of_the_bias_out_of_the_rounded_probabilities() -> None:
    """(p - one-hot) / 3 to two decimals, its columns added up, times E: within 0.01 of the package's gradient."""
    d_logits = two_decimals((P - torch.eye(4)[TARGETS]) / 3)
    torch.testing.assert_close(d_logits, two_decimals(stages(lambda x: x)["d logits"]), rtol=0, atol=0.0101)
    columns = d_logits.sum(0)
    torch.testing.assert_close(columns, torch.tensor([0.15, -0.02, -0.02, -0.10]))
    by_hand = columns @ torch.tensor(E)
    torch.testing.assert_close(by_hand, torch.tensor([0.115, 0.035, -0.075, -0.05]))
    torch.testing.assert_close(by_hand, stages(lambda x: x)["d b_f"], rtol=0, atol=0.0051)


def test_the_puzzle_s_loss_and_its_floor() -> None:
    last = round((round(-math.log(P[2, 2].item()), 2) + 0.56) / 2, 3)
    assert round(last, 2) == 0.92
    assert round((0.36 + 0.51 + 0.92) / 3, 2) == 0.60
    assert (round(0.69 / 3, 2), round(math.exp(0.69 / 3), 2)) == (0.23, 1.26)
