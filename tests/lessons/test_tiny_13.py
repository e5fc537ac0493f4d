"""Lesson 13 on paper: " like" is the prompt's, " tea" and "." the response's; every number has two decimals.

The probabilities, the gradient of `ln_f.bias` with the mask and without it, and a step that goes elsewhere.
"""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lessons.tiny import IDS, TARGETS, E, paper_model
from minigpt.learn.loss import response_nll
from minigpt.learn.optimizer import SGD, Adam
from tests.lessons.test_tiny import stages, two_decimals

R = torch.tensor([False, True, True])
ALL = torch.tensor([True, True, True])
ONLY_THE_END = torch.tensor([False, False, True])  # the puzzle: the shift forgotten
GRADIENTS = [
    pytest.param(ALL, [0.12, 0.04, -0.08, -0.05], id="all"),
    pytest.param(R, [0.21, 0.01, 0.03, -0.18], id="masked"),
    pytest.param(ONLY_THE_END, [0.29, -0.29, -0.19, -0.09], id="shift forgotten"),
]
STEPS = [pytest.param(ALL, [0.35, 0.50, 0.52], id="all"), pytest.param(R, [0.42, 0.44, 0.50], id="masked")]


def of_the_bias(p: Tensor, chosen: Tensor, shown: Callable[[Tensor], Tensor]) -> Tensor:
    """As the lesson does it: p - onehot, added up over the chosen rows, times E, divided by their number."""
    rows = shown(p - torch.eye(4)[TARGETS])[chosen]
    return shown(shown(rows.sum(0)) @ torch.tensor(E) / int(chosen.sum()))


def losses(h: Tensor, bias: Tensor, shown: Callable[[Tensor], Tensor]) -> Tensor:
    logits = shown(shown(h + bias) @ torch.tensor(E).T)
    return shown(-shown(logits.softmax(-1))[range(3), TARGETS].log())


def mean(chosen: Tensor, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The package's mean loss over the chosen targets, and its gradient by `ln_f.bias`."""
    model = paper_model()
    if bias is not None:
        model.ln_f.bias.data += bias
    total, count = response_nll(model(torch.tensor([IDS]))[0], torch.tensor(TARGETS), chosen)
    return total / count, torch.autograd.grad(total / count, model.ln_f.bias)[0]


def test_the_response_s_losses_their_sum_and_their_mean() -> None:
    nll = two_decimals(stages(lambda x: x)["nll"])
    total, count = response_nll(paper_model()(torch.tensor([IDS]))[0], torch.tensor(TARGETS), R)
    assert [round(x, 2) for x in nll.tolist()] == [0.36, 0.52, 0.57]
    assert (round(total.item(), 2), count, round(total.item() / count, 2)) == (1.08, 2, 0.54)
    assert (stages(two_decimals)["nll"] - nll).abs().max() < 0.0101
    assert abs(nll[R].sum() - total) < 0.0101
    assert abs(nll[R].mean() - total / count) < 0.0101


@pytest.mark.parametrize(("chosen", "wanted"), GRADIENTS)
def test_the_gradient_of_the_bias_comes_out_on_paper(chosen: Tensor, wanted: list[float]) -> None:
    on_paper = of_the_bias(stages(two_decimals)["p"], chosen, two_decimals)
    exact = mean(chosen)[1]
    assert [round(x, 2) for x in exact.tolist()] == wanted
    assert (on_paper - exact).abs().max() < 0.0101
    assert torch.equal(on_paper.sign(), exact.sign()), "the signs are what Adam's first step takes"


@pytest.mark.parametrize(("chosen", "after"), STEPS)
def test_the_losses_after_a_step_of_gradient_descent(chosen: Tensor, after: list[float]) -> None:
    s = stages(two_decimals)
    step = -of_the_bias(s["p"], chosen, two_decimals)
    exact = losses(stages(lambda x: x)["h"], -mean(chosen)[1], lambda x: x)
    assert [round(x, 2) for x in exact.tolist()] == after
    assert (losses(s["h"], step, two_decimals) - exact).abs().max() < 0.0201  # three more tables, each rounded
    bias = paper_model().ln_f.bias
    bias.grad = mean(chosen)[1]
    SGD([bias], lr=1.0).step()
    torch.testing.assert_close(bias.detach(), -mean(chosen)[1])


def test_the_third_number_changes_its_sign_and_adam_goes_the_other_way() -> None:
    steps = []
    for chosen in (ALL, R):
        bias = paper_model().ln_f.bias
        bias.grad = mean(chosen)[1]
        Adam([bias], lr=0.1).step()
        steps.append(bias.detach())
    torch.testing.assert_close(steps[0], torch.tensor([-0.1, -0.1, 0.1, 0.1]))
    torch.testing.assert_close(steps[1], torch.tensor([-0.1, -0.1, -0.1, 0.1]))
    assert mean(R, -mean(R)[1])[0] < mean(R, -mean(ALL)[1])[0]
    assert mean(~R, -mean(R)[1])[0] > mean(~R)[0] > mean(~R, -mean(ALL)[1])[0]
