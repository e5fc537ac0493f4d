"""Lesson 15: the curve of the optimum from draws of the reference, against enumeration and its own laws."""

import json
import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from minigpt.measure.frontier import Point, at, curve

K = 32
BETAS = (20.0, 2.0, 0.5, 0.1, 0.02)


def drawn(prompts: int, seed: int = 0) -> Tensor:
    return torch.randn(prompts, K, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def two_valued(*rewarded: int) -> Tensor:
    """The rewards 0 and 1 of K draws to each prompt, so many of them 1."""
    return torch.tensor([[1.0] * n + [0.0] * (K - n) for n in rewarded])


@pytest.mark.parametrize("beta", BETAS)
def test_of_two_values_it_is_the_formula_for_the_share_that_is_rewarded(beta: float) -> None:
    """pi*(1) = p e^(1 / beta) / (p e^(1 / beta) + 1 - p), and KL that of two coins; at p = 0 and 1 nothing can move."""
    rewarded = (0, 1, 8, 20, 32)
    odds = [math.exp(1 / beta) * n / (K - n) if n < K else math.inf for n in rewarded]
    q = [1 - 1 / (1 + o) for o in odds]
    kl = [
        sum(a * math.log(a / b) for a, b in ((s, n / K), (1 - s, 1 - n / K)) if a > 0)
        for s, n in zip(q, rewarded, strict=True)
    ]
    point = at(two_valued(*rewarded), beta)
    assert point.reward == pytest.approx(sum(q) / len(q), abs=1e-12)
    assert point.divergence == pytest.approx(sum(kl) / len(kl), abs=1e-12)


def test_of_answers_that_are_not_equally_likely_it_is_their_optimum() -> None:
    """Four answers of probabilities 16, 8, 4 and 4 in 32, each drawn as often as that."""
    times, values, beta = [16, 8, 4, 4], [0.0, 1.0, -1.0, 3.0], 0.7
    draws = torch.tensor([[value for value, n in zip(values, times, strict=True) for _ in range(n)]])
    weights = [n / K * math.exp(value / beta) for value, n in zip(values, times, strict=True)]
    best = [weight / sum(weights) for weight in weights]
    point = at(draws, beta)
    assert point.reward == pytest.approx(sum(p * value for p, value in zip(best, values, strict=True)))
    assert point.divergence == pytest.approx(
        sum(p * math.log(p / (n / K)) for p, n in zip(best, times, strict=True)), abs=1e-12
    )


@given(st.lists(st.lists(st.floats(-3, 3), min_size=5, max_size=5), min_size=1, max_size=3), st.sampled_from(BETAS))
@settings(max_examples=50)
def test_the_maximum_is_beta_times_the_mean_of_log_z(rows: list[list[float]], beta: float) -> None:
    """E[r] - beta KL = beta E_x[log mean exp(r / beta)], 15.8's second half; no other point has more."""
    rewards = torch.tensor(rows, dtype=torch.float64)
    point = at(rewards, beta)
    log_z = (rewards / beta).logsumexp(-1) - math.log(5)
    assert point.reward - beta * point.divergence == pytest.approx(beta * log_z.mean().item(), abs=1e-9)
    for other in (at(rewards, b) for b in BETAS):
        assert other.reward - beta * other.divergence <= point.reward - beta * point.divergence + 1e-9


def test_along_the_curve_reward_and_divergence_grow_and_the_draws_that_count_become_fewer() -> None:
    points = curve(drawn(20))
    for before, after in pairwise(points):
        assert after.beta < before.beta
        assert after.reward > before.reward
        assert after.divergence > before.divergence
        assert after.effective_draws < before.effective_draws
    assert all(1 <= point.effective_draws <= K for point in points)
    assert points[-1].divergence <= math.log(K)


def test_it_begins_near_the_reference_and_ends_near_the_best_draws() -> None:
    rewards = drawn(20)
    points = curve(rewards)
    first, last = rewards.mean().item(), rewards.amax(1).mean().item()
    assert first < points[0].reward < first + 0.05 * (last - first)
    assert points[0].divergence < 0.002
    assert points[0].effective_draws > 31
    assert last - 0.001 * (last - first) <= points[-1].reward < last
    ratios = [before.beta / after.beta for before, after in pairwise(points)]
    assert ratios == pytest.approx([ratios[0]] * len(ratios)), "a logarithmic grid"


def test_at_an_infinite_beta_the_optimum_is_the_reference() -> None:
    rewards = drawn(20)
    point = at(rewards, math.inf)
    assert point.reward == pytest.approx(rewards.mean().item(), abs=1e-12)
    assert point.divergence == pytest.approx(0, abs=1e-12)
    assert point.effective_draws == pytest.approx(K)


def test_a_single_best_draw_ends_at_log_k() -> None:
    point = at(two_valued(1), 1e-3)
    assert (point.reward, point.divergence) == pytest.approx((1.0, math.log(K)))
    assert point.effective_draws == pytest.approx(1)
    assert at(two_valued(8), 1e-3).divergence == pytest.approx(math.log(K / 8))


def test_a_constant_changes_the_reward_only_and_a_factor_is_one_of_beta() -> None:
    rewards = drawn(20)
    shift = torch.arange(20.0, dtype=torch.float64)[:, None] - 3  # another for each prompt
    for plain, moved, scaled in zip(curve(rewards), curve(rewards + shift), curve(5 * rewards), strict=True):
        assert moved.reward == pytest.approx(plain.reward + 6.5)
        assert scaled.reward == pytest.approx(5 * plain.reward)
        assert scaled.beta == pytest.approx(5 * plain.beta)
        for point in (moved, scaled):
            assert point.divergence == pytest.approx(plain.divergence)
            assert point.effective_draws == pytest.approx(plain.effective_draws)


def test_figures_are_means_over_prompts_and_a_prompt_without_a_reward_does_not_move() -> None:
    one, both = at(two_valued(4), 0.2), at(two_valued(4, 0), 0.2)
    assert both.reward == pytest.approx(one.reward / 2)
    assert both.divergence == pytest.approx(one.divergence / 2)
    assert both.effective_draws == pytest.approx((one.effective_draws + K) / 2)


@pytest.mark.parametrize("rewards", [torch.full((3, K), 0.1), torch.arange(3.0)[:, None].expand(3, K), drawn(4)[:, :1]])
def test_rewards_that_are_alike_in_each_prompt_give_one_point(rewards: Tensor) -> None:
    [point] = curve(rewards)
    assert point.reward == pytest.approx(rewards.mean().item())
    assert (point.divergence, point.effective_draws) == (0, pytest.approx(rewards.shape[1]))


@pytest.mark.parametrize(("value", "other"), [(1e8, 1e8 + 2e-8), (1e30, -1e30), (0.0, 5e-324), (1e-30, 1e30)])
def test_it_ends_for_any_two_rewards_however_near_or_far(value: float, other: float) -> None:
    rewards = torch.full((50, K), value, dtype=torch.float64)
    rewards[0, 0] = other
    points = curve(rewards)
    assert len(points) <= 200
    assert all(math.isfinite(point.reward) and 0 <= point.divergence <= math.log(K) for point in points)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_reward_that_is_no_number_is_an_error(value: float) -> None:
    rewards = drawn(3)
    rewards[1, 1] = value
    with pytest.raises(ValueError, match="NaN or infinite"):
        curve(rewards)


def test_a_point_is_written_as_json_and_read_again() -> None:
    point = at(two_valued(3, 5), 0.5)
    written = json.loads(json.dumps(point.as_json()))
    assert list(written) == ["beta", "reward", "divergence", "effective_draws"]
    assert Point(**written) == point
