"""Lesson 15: where training ends is known before it starts. RLOO and DPO land on pi*, the reward model on r."""

from functools import cache
from typing import NamedTuple

import jaxtyping
import pytest
import torch
from torch import Tensor

from minigpt import GPT
from minigpt.learn.optimizer import Adam
from minigpt.preference.bradley_terry import preference_nll
from minigpt.preference.dpo import dpo_loss
from minigpt.preference.likelihood import continued, log_likelihood
from minigpt.preference.optimum import optimum
from minigpt.preference.policy import draw_answers, leave_one_out, penalised, policy_loss
from minigpt.preference.reward import RewardModel
from tests.preference.enumeration import (
    END,
    INDEX,
    LENGTHS,
    LONGEST,
    PROMPTS,
    ROWS,
    N,
    expectation,
    log_probabilities,
    micro,
    micro_rewards,
    total_variation,
)

REWARDS = micro_rewards()
LR = 3e-3
W, L = torch.triu_indices(N, N, 1)  # the 3,570 pairs of answers to a prompt
LABELS = torch.sigmoid(REWARDS[:, W] - REWARDS[:, L])  # how often the first of the two is preferred
FLOOR = -(LABELS * LABELS.log() + (1 - LABELS) * (1 - LABELS).log())  # the loss at which nothing is left to learn


@pytest.fixture(autouse=True)
def without_checks_of_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests have them; here they would take three quarters of thousands of small steps."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


class Landing(NamedTuple):
    variation: float  # between pi and pi*, the mean of the two prompts
    J: float
    best_J: float
    kl: float
    reward: float
    best_kl: float
    best_reward: float


@cache
def reference() -> Tensor:
    with torch.no_grad():
        return log_probabilities(micro(0))


def landing(model: GPT, beta: float) -> Landing:
    with torch.no_grad():
        log_pi = log_probabilities(model)
    log_ref, best = reference(), optimum(reference(), REWARDS, beta)

    def J(log_P: Tensor) -> float:
        return expectation(log_P, penalised(REWARDS, log_P, log_ref, beta)).item()

    def kl(log_P: Tensor) -> float:
        return expectation(log_P, log_P - log_ref).item()

    return Landing(
        total_variation(log_pi, best).mean().item(), J(log_pi), J(best),
        kl(log_pi), expectation(log_pi, REWARDS).item(), kl(best), expectation(best, REWARDS).item(),
    )  # fmt: skip


def descend(model: torch.nn.Module, steps: int, loss) -> list[float]:
    """Steps of the hand-written Adam, the last two thirds decaying to 0."""
    optimizer, losses = Adam(model.parameters(), LR), []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = LR * min(1.0, 1.5 * (1 - step / steps))
        now = loss(step)
        optimizer.zero_grad()
        now.backward()
        optimizer.step()
        losses.append(now.item())
    return losses


def rloo(beta: float, steps: int, K: int = 32) -> Landing:
    model, log_ref = micro(0), reference()

    def loss(step: int) -> Tensor:
        draws = draw_answers(model, PROMPTS, K, END, LONGEST, seed=step)
        log_pi = log_likelihood(model, [continued(draw.prompt, draw.answer) for draw in draws]).view(-1, K)
        which = torch.tensor([INDEX[tuple(draw.answer)] for draw in draws]).view(-1, K)
        R = penalised(REWARDS.gather(1, which), log_pi.detach(), log_ref.gather(1, which), beta)
        return policy_loss(leave_one_out(R), log_pi)

    descend(model, steps, loss)
    return landing(model, beta)


def dpo(beta: float, steps: int, weights: Tensor, by_length: bool = False) -> tuple[Landing, float]:
    """On all pairs, in either order as often as Bradley and Terry say; and how far the loss ends above its floor."""
    model, log_ref = micro(0), reference()
    divisor = LENGTHS if by_length else 1

    def loss(step: int) -> Tensor:
        log_pi = log_probabilities(model) / divisor
        sides = [(x[:, W].flatten(), x[:, L].flatten()) for x in (log_pi, log_ref / divisor)]
        (w, lost), (ref_w, ref_lost) = sides
        first, second = dpo_loss(w, lost, ref_w, ref_lost, beta), dpo_loss(lost, w, ref_lost, ref_w, beta)
        labels = LABELS.flatten()
        return (weights.flatten() * (labels * first + (1 - labels) * second)).sum()

    losses = descend(model, steps, loss)
    return landing(model, beta), losses[-1] - (weights * FLOOR).sum().item()


def reward_model(steps: int) -> tuple[Tensor, float]:
    model = RewardModel(micro(0))

    def loss(step: int) -> Tensor:
        r = model(ROWS, len(ROWS)).double().view(REWARDS.shape)
        margin = r[:, W] - r[:, L]
        return (LABELS * preference_nll(margin) + (1 - LABELS) * preference_nll(-margin)).mean()

    losses = descend(model, steps, loss)
    with torch.no_grad():
        return model(ROWS, len(ROWS)).double().view(REWARDS.shape), losses[-1] - FLOOR.mean().item()


def weighted(how: str) -> Tensor:
    """Of each pair: all alike, or as often as the reference draws it."""
    if how == "even":
        return torch.full_like(LABELS, 1 / LABELS.numel())
    drawn = (reference()[:, W] + reference()[:, L]).exp()
    return drawn / drawn.sum(-1, keepdim=True) / len(PROMPTS)


def test_rloo_lands_on_the_optimum() -> None:
    found = rloo(beta=0.5, steps=600)
    print(found)
    assert found.variation < 0.06
    assert abs(found.J - found.best_J) < 0.02
    assert abs(found.kl - found.best_kl) < 0.05
    assert abs(found.reward - found.best_reward) < 0.05


@pytest.mark.parametrize(("how", "steps"), [("even", 250), ("as the reference draws", 350)])
def test_dpo_lands_on_the_optimum_of_the_reward_that_it_never_sees(how: str, steps: int) -> None:
    """Whichever pairs are asked about more often; the loss ends at the labels' entropy."""
    found, above_the_floor = dpo(0.5, steps, weighted(how))
    print(found, above_the_floor)
    assert found.variation < 0.01
    assert above_the_floor < {"even": 1e-5}.get(how, 5e-4)


def test_dpo_with_means_of_log_probabilities_lands_elsewhere() -> None:
    """A near miss: its loss is at the same floor, and its model is not pi*."""
    found, above_the_floor = dpo(0.5, 120, weighted("even"), by_length=True)
    print(found, above_the_floor)
    assert above_the_floor < 2e-3
    assert found.variation > 0.1


def test_the_reward_model_finds_the_reward_but_for_a_constant() -> None:
    found, above_the_floor = reward_model(250)
    rms = [(r - r.mean(1, keepdim=True)) for r in (found, REWARDS)]
    missed = (rms[0] - rms[1]).square().mean().sqrt().item()
    print(f"rms {missed:.5f} of {rms[1].square().mean().sqrt():.3f}, loss {above_the_floor:.1e} above its floor")
    assert missed < 0.01
    assert above_the_floor < 1e-5
