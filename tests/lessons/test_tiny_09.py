"""Lesson 09's pencil: each step of the paper model's bias from numbers of two decimals."""

import math

import pytest
import torch

from lessons.tiny import E, paper_model
from minigpt.learn.optimizer import SGD, Adam
from tests.lessons.test_tiny import mean_nll, stages, two_decimals

ON_PAPER = torch.tensor([0.12, 0.04, -0.08, -0.05])


def moved(make) -> torch.Tensor:
    model = paper_model()
    mean_nll(model).backward()
    make([model.ln_f.bias]).step()
    return model.ln_f.bias.detach()


def test_a_step_of_descent_and_of_adam_come_out_of_the_rounded_gradient() -> None:
    assert torch.equal(two_decimals(stages(lambda x: x)["d b_f"]), ON_PAPER)
    torch.testing.assert_close(two_decimals(moved(lambda p: SGD(p, lr=1.0))), -ON_PAPER)
    m, v = 0.1 * ON_PAPER, 0.001 * ON_PAPER**2
    for bias_correction, step in ((True, 0.1 * (m / 0.1) / (v / 0.001).sqrt()), (False, 0.1 * m / v.sqrt())):
        found = moved(lambda p, corrected=bias_correction: Adam(p, lr=0.1, bias_correction=corrected))
        torch.testing.assert_close(found, -step, rtol=1e-4, atol=0)
        torch.testing.assert_close(step.abs(), torch.full((4,), 0.1 if bias_correction else 0.316), rtol=0, atol=5e-4)


def test_the_probabilities_after_adam_s_step_can_be_computed_from_those_before() -> None:
    """Each logit moves by its row of E times the bias, so each probability is multiplied by e to that power."""
    bias = torch.tensor([-0.1, -0.1, 0.1, 0.1])
    added = torch.tensor(E) @ bias
    torch.testing.assert_close(added, torch.tensor([-0.15, -0.05, 0.05, 0.05]))
    exact = stages(lambda x: x)
    sizes = two_decimals(two_decimals(exact["p"][-1]) * two_decimals(added.exp()))
    assert sizes.tolist() == pytest.approx([0.11, 0.02, 0.29, 0.60])
    wanted = (exact["logits"][-1] + added).softmax(-1)
    assert (round((sizes[3] / sizes.sum()).item(), 2), round(wanted[3].item(), 2)) == (0.59, 0.58)


def test_the_puzzle_s_two_steps_are_those_of_adam() -> None:
    m = 0.9 * 0.012 - 0.1 * 0.12
    assert m == pytest.approx(-0.0012)
    assert round(m / 0.19, 4) == -0.0063
    assert math.sqrt((0.999 * 0.001 + 0.001) * 0.12**2 / (1 - 0.999**2)) == pytest.approx(0.12)
    theta = torch.zeros(1)
    optimizer = Adam([theta], lr=0.1)
    for slope in (0.12, -0.12):
        theta.grad = torch.tensor([slope])
        optimizer.step()
    assert theta.item() == pytest.approx(-0.1 + 0.1 * 0.0063 / 0.12, abs=1e-3)


@pytest.mark.parametrize(("eta", "smooth"), [(0.03, True), (0.1, False)])
def test_the_rates_that_the_lesson_calls_smooth_are(eta: float, smooth: bool) -> None:
    model = paper_model().double()
    optimizer, losses = Adam(model.parameters(), lr=eta), []
    for _ in range(7):
        loss = mean_nll(model)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (losses == sorted(losses, reverse=True)) == smooth
