"""Lesson 15's sums come out on paper: from two decimals, each stage as the lesson shows it."""

import math

import torch

from lessons.tiny import E, paper_model
from minigpt.preference.dpo import dpo_loss
from minigpt.preference.likelihood import continued, log_likelihood

BETTER = [[-0.21, -0.70, 0.94, -0.04], [-0.08, -0.03, -0.49, 0.61]]
WORSE = [[-0.21, 0.30, -0.06, -0.04], [-0.12, -0.21, 0.40, -0.08], [-0.13, -0.02, -0.28, 0.43]]
ROWS = [continued([0], [2, 3]), continued([0], [1, 2, 3])]


def rounded(numbers: list[float]) -> list[float]:
    return [round(x, 2) for x in numbers]


def test_the_log_likelihoods_of_the_pair() -> None:
    on_paper = [-2.86 - 0.94, -0.36 - 0.52 - 0.57]
    found = log_likelihood(paper_model(), ROWS).tolist()
    assert rounded(on_paper) == [-3.80, -1.45]
    assert all(abs(a - b) < 0.011 for a, b in zip(on_paper, found, strict=True))


def test_the_gradient_from_sums_of_onehot_less_p() -> None:
    sums = [rounded([sum(column) for column in zip(*rows, strict=True)]) for rows in (BETTER, WORSE)]
    assert sums == [[-0.29, -0.73, 0.45, 0.57], [-0.46, 0.07, 0.06, 0.31]]
    difference = rounded([a - b for a, b in zip(*sums, strict=True)])
    assert difference == [0.17, -0.80, 0.39, 0.26]
    times_E = [sum(d * row[c] for d, row in zip(difference, E, strict=True)) for c in range(4)]
    assert [round(x, 3) for x in times_E] == [-0.445, 0.02, -0.68, 0.725]
    model = paper_model()
    chosen, rejected = log_likelihood(model, ROWS)[:, None]
    loss = dpo_loss(chosen, rejected, chosen.detach(), rejected.detach(), 1.0)[0]
    assert round(loss.item(), 2) == round(math.log(2), 2) == 0.69
    (gradient,) = torch.autograd.grad(loss, [model.ln_f.bias])
    assert all(abs(-x / 2 - g) < 0.01 for x, g in zip(times_E, gradient.tolist(), strict=True))


def test_the_margin_and_the_loss_after_the_step() -> None:
    margin = round((-3.22 + 3.80) - (-1.49 + 1.44), 2)
    assert (margin, round(math.log(1 + math.exp(-margin)), 2)) == (0.63, 0.43)


def test_the_puzzles_beta() -> None:
    odds = round(0.13 / 0.87, 2)
    factor = round(0.75 / 0.25 / odds)
    assert (odds, factor, round(math.log(factor), 2), round(1 / 3.00, 2)) == (0.15, 20, 3.00, 0.33)
