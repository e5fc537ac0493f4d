"""Lesson 15: DPO's loss of a pair, and that a step is a mean over pairs however it is split."""

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from minigpt import GPT, GPTConfig
from minigpt.preference.bradley_terry import preference_nll
from minigpt.preference.dpo import dpo_loss
from minigpt.preference.likelihood import log_likelihood
from tests.preference.test_likelihood import CONFIG, ragged_rows
from tests.reference.pair import make_pair

CHOSEN, REJECTED = ragged_rows(16, seed=1), ragged_rows(16, seed=2)
nats = st.lists(st.floats(-300, 0, width=32), min_size=4, max_size=4).map(lambda x: torch.tensor(x).view(4, 1))


@pytest.fixture(params=[True, False], ids=["explicit", "fast"])
def model(request: pytest.FixtureRequest) -> GPT:
    return make_pair(CONFIG, noise=0.1).ours.explicit(request.param)


@pytest.mark.parametrize("beta", [0.01, 0.1, 0.5, 5.0])
@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_the_first_loss_is_log_2(model: GPT, beta: float, dropout: float) -> None:
    """The margin is 0 and not nearly 0: the model and the reference run without dropout, in whatever mode they are."""
    learner = GPT(GPTConfig(**{**vars(CONFIG), "dropout": dropout})).explicit(model.is_explicit).train()
    learner.load_state_dict(model.state_dict())
    with torch.no_grad():
        reference = [log_likelihood(model, rows) for rows in (CHOSEN, REJECTED)]
    loss = dpo_loss(log_likelihood(learner, CHOSEN), log_likelihood(learner, REJECTED), *reference, beta)
    torch.testing.assert_close(loss, torch.full((16,), math.log(2)), rtol=0, atol=1e-7)


@given(x=nats, beta=st.floats(0.01, 2), e=st.floats(0, 0.49))
def test_it_is_the_formula_and_the_sides_swapped_turn_the_margins_sign(x: Tensor, beta: float, e: float) -> None:
    w, rejected, ref_w, ref_l = x
    margin = beta * ((w - ref_w) - (rejected - ref_l))
    swapped = dpo_loss(rejected, w, ref_l, ref_w, beta)
    torch.testing.assert_close(swapped - dpo_loss(w, rejected, ref_w, ref_l, beta), margin, rtol=1e-5, atol=1e-5)
    wide = margin.double()
    one = torch.zeros_like(wide)  # log 1: -log sigmoid(m) = log(1 + e^-m)
    expected = (1 - e) * torch.logaddexp(one, -wide) + e * torch.logaddexp(one, wide)
    found = dpo_loss(w, rejected, ref_w, ref_l, beta, e)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)


def test_what_is_added_to_both_sides_cancels() -> None:
    """As log Z does."""
    w, rejected, ref_w, ref_l = torch.randn(4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    loss = dpo_loss(w, rejected, ref_w, ref_l, 0.5)
    torch.testing.assert_close(dpo_loss(w + 7, rejected + 7, ref_w - 3, ref_l - 3, 0.5), loss)
    assert not torch.allclose(dpo_loss(w + 7, rejected, ref_w, ref_l, 0.5), loss)


@pytest.mark.parametrize("margin", [1e3, 1e6])
def test_a_margin_of_any_size_has_a_finite_loss(margin: float) -> None:
    found = preference_nll(torch.tensor([margin, -margin]))
    torch.testing.assert_close(found, torch.tensor([0.0, margin]))


@pytest.mark.parametrize("e", [0.01, 0.1, 0.3, 0.49])
def test_label_smoothing_puts_the_best_margin_where_the_odds_are(e: float) -> None:
    """At log((1 - e) / e): the model then holds a label to be right as often as it is. Without it, there is none."""
    best = torch.tensor([math.log((1 - e) / e)], dtype=torch.float64, requires_grad=True)
    loss = preference_nll(best, e).sum()
    loss.backward()
    assert abs(best.grad.item()) < 1e-12
    around = preference_nll(best.detach() + torch.tensor([-1.0, -0.01, 0.01, 1.0]), e)
    assert (around > loss).all()
    entropy = -e * math.log(e) - (1 - e) * math.log(1 - e)
    assert loss.item() == pytest.approx(entropy, rel=1e-12)


def step_gradient(model: GPT, order: list[int], size: int, mean_of_means: bool = False) -> Tensor:
    """Micro-batches of `size` pairs, each divided by the pairs of the whole step."""
    model = copy.deepcopy(model)
    for start in range(0, len(order), size):
        part = order[start : start + size]
        chosen, rejected = ([rows[i] for i in part] for rows in (CHOSEN, REJECTED))
        reference = torch.linspace(-40, -20, 16)[part]
        loss = dpo_loss(log_likelihood(model, chosen), log_likelihood(model, rejected), reference, reference, 0.1)
        divisor = len(part) * math.ceil(len(order) / size) if mean_of_means else len(order)
        (loss.sum() / divisor).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


@pytest.mark.parametrize("size", [16, 4, 1])
def test_a_steps_gradient_is_the_same_however_it_is_split(model: GPT, size: int) -> None:
    """And in whatever order the pairs come."""
    whole = step_gradient(model, list(range(16)), 16)
    found = step_gradient(model, list(reversed(range(16))), size)
    assert (found - whole).norm() < 1e-6 * whole.norm()


def test_a_mean_of_means_is_another_gradient(model: GPT) -> None:
    """Of 16 pairs in micro-batches of 5, the last has one, which would weigh five times as much."""
    order = list(range(16))
    whole = step_gradient(model, order, 16)
    assert (step_gradient(model, order, 5) - whole).norm() < 1e-6 * whole.norm()
    assert (step_gradient(model, order, 5, mean_of_means=True) - whole).norm() > 0.01 * whole.norm()
