"""Lesson 15: what holds on average over draws, summed over all answers; nothing here is an estimate but the last."""

from collections.abc import Iterator
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from minigpt import GPT
from minigpt.measure.divergence import divergence
from minigpt.preference.dpo import dpo_loss
from minigpt.preference.likelihood import log_likelihood
from minigpt.preference.optimum import optimum
from minigpt.preference.policy import draw_answers, leave_one_out, penalised, policy_loss
from minigpt.sample.generation import draw_batch
from minigpt.sample.sampling import Sampling
from tests.preference.enumeration import (
    ANSWERS,
    END,
    INDEX,
    LENGTHS,
    LONGEST,
    PROMPTS,
    ROWS,
    N,
    cosine,
    expectation,
    gradient,
    log_probabilities,
    micro,
    micro_rewards,
    relative,
)

BETA = 0.5
REWARDS = micro_rewards()


@pytest.fixture(scope="module")
def policy() -> GPT:
    return micro(0)


@pytest.fixture(scope="module")
def log_pi(policy: GPT) -> Tensor:
    return log_probabilities(policy)


@pytest.fixture(scope="module")
def log_ref() -> Tensor:
    """A reference that is another model: at the reference itself KL has no gradient."""
    with torch.no_grad():
        return log_probabilities(micro(4))


@pytest.fixture(scope="module")
def exact(policy: GPT, log_pi: Tensor, log_ref: Tensor) -> Tensor:
    """The gradient of 15.2, E[r] - beta KL(pi, ref), through the probabilities of all answers."""
    return gradient(expectation(log_pi, penalised(REWARDS, log_pi, log_ref, BETA)), policy)


def test_the_probabilities_of_all_answers_sum_to_1(log_pi: Tensor) -> None:
    """Only with the end token in, where it was drawn, and none behind an answer that is cut off."""
    assert (log_pi.exp().sum(-1) - 1).abs().max() < 1e-6


def test_over_all_rows_of_the_vocabulary_they_do_not(policy: GPT) -> None:
    wide = micro(0)
    wide.load_state_dict(policy.state_dict())
    wide.config = type(wide.config)(**{**vars(wide.config), "n_padding_rows": 0})
    assert (log_probabilities(wide).exp().sum(-1) < 0.9).all()


def groups(K: int) -> Tensor:
    """All ordered groups of K answers, (N^K, K)."""
    return torch.cartesian_prod(*[torch.arange(N)] * K).view(-1, K)


def expected(advantages, log_pi: Tensor, log_ref: Tensor, K: int, learned: Tensor | None = None) -> Tensor:
    """-E[policy_loss] over K independent draws to each prompt: all groups, each with its probability."""
    chosen, total = groups(K), torch.zeros((), dtype=torch.float64)
    R = penalised(REWARDS, log_pi, log_ref, BETA).detach()
    for prompt in range(len(PROMPTS)):
        drawn = log_pi[prompt].detach()[chosen]
        weight = drawn.sum(1, keepdim=True).exp() * len(chosen)  # policy_loss is a mean over groups
        scores = (log_pi if learned is None else learned)[prompt][chosen]
        total = total - policy_loss(weight * advantages(R[prompt][chosen]), scores) / len(PROMPTS)
    return total


@pytest.mark.parametrize("K", [2, 3])
def test_the_expected_gradient_of_rloo_is_that_of_the_objective(
    policy: GPT, log_pi: Tensor, log_ref: Tensor, exact: Tensor, K: int
) -> None:
    """Over all 85^K ordered groups of draws: 15.6 with 15.7 is unbiased."""
    difference = relative(gradient(expected(leave_one_out, log_pi, log_ref, K), policy), exact)
    print(f"relative difference {difference:.1e}")
    assert difference < 2e-6


@pytest.mark.parametrize("K", [2, 3])
def test_a_baseline_with_the_draw_itself_in_it_shrinks_the_gradient(
    policy: GPT, log_pi: Tensor, log_ref: Tensor, exact: Tensor, K: int
) -> None:
    """By (K - 1) / K: the group's mean takes a K-th of each return away from itself."""
    found = gradient(expected(lambda R: R - R.mean(1, keepdim=True), log_pi, log_ref, K), policy)
    print(f"{(found @ exact / (exact @ exact)).item():.8f} of it")
    assert relative(found, exact * (K - 1) / K) < 2e-6


def over_the_standard_deviation(R: Tensor) -> Tensor:
    """GRPO's advantages (Shao et al., 2024), with the 1e-4 that TRL adds."""
    return (R - R.mean(1, keepdim=True)) / (R.std(1, keepdim=True) + 1e-4)


@pytest.mark.parametrize("how", ["the standard deviation", "the length"])
def test_dividing_by_the_spread_or_the_length_is_another_direction(
    policy: GPT, log_pi: Tensor, log_ref: Tensor, exact: Tensor, how: str
) -> None:
    advantages = over_the_standard_deviation if how == "the standard deviation" else leave_one_out
    learned = log_pi / LENGTHS if how == "the length" else None
    direction = cosine(gradient(expected(advantages, log_pi, log_ref, 2, learned), policy), exact)
    print(f"{how}: cosine {direction:.4f}")
    assert direction < 0.999


def test_of_the_three_estimates_of_kl_as_losses_only_half_the_square_has_its_gradient(
    policy: GPT, log_pi: Tensor, log_ref: Tensor
) -> None:
    """k1, k2 and k3 of Schulman ("Approximating KL divergence", 2020), differentiated straight through the draws."""
    log_ratio = log_pi - log_ref
    kl = gradient(expectation(log_pi, log_ratio), policy)
    losses = {"k1": log_ratio, "k2": log_ratio**2 / 2, "k3": log_ratio + torch.expm1(-log_ratio)}
    found = {name: gradient(expectation(log_pi.detach(), loss), policy) for name, loss in losses.items()}
    for name, g in found.items():
        print(f"{name}: {(g.norm() / kl.norm()).item():.6f} as long as KL's gradient, cosine {cosine(g, kl):.4f}")
    assert found["k1"].norm() < 1e-5 * kl.norm()
    assert relative(found["k2"], kl) < 1e-5
    assert cosine(found["k3"], kl) < 0.9


def test_divergence_is_kl_on_average_and_varies_less_than_the_draws_log_ratio(
    policy: GPT, log_pi: Tensor, log_ref: Tensor
) -> None:
    """The chain rule; also that no single answer's is below 0."""
    log_pi, d = log_pi.detach(), divergence(policy, micro(4), ROWS).double().view(log_pi.shape)
    log_ratio = log_pi - log_ref
    kl = expectation(log_pi, log_ratio)
    estimates = {"divergence": d, "k1": log_ratio, "k3": log_ratio + torch.expm1(-log_ratio)}
    for values in estimates.values():
        torch.testing.assert_close(expectation(log_pi, values), kl, rtol=0, atol=2e-6)
    assert (d >= 0).all()
    assert (log_ratio < -1).any(), "the log-ratio of a draw may be anything"
    spread = {name: expectation(log_pi, (values - kl) ** 2).sqrt().item() for name, values in estimates.items()}
    print(f"KL {kl:.4f}, spread {spread}")
    assert spread["divergence"] < 0.6 * spread["k1"] < 0.6 * spread["k3"]


@pytest.mark.parametrize("scale", [0.0, 1e-7, 1e-5, 1e-3])
def test_divergence_is_never_below_0_however_near_the_two_are(policy: GPT, scale: float) -> None:
    other, generator = micro(0), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in other.parameters():
            p.mul_(1 + scale * torch.randn(p.shape, generator=generator))
    d = divergence(policy, other, ROWS)
    assert (d >= 0).all(), d.min()
    assert (d == 0).all() or scale


def chi_square(counts: Tensor, log_P: Tensor) -> float:
    """sum (seen - expected)^2 / expected over its degrees of freedom: near 1. Answers that fewer than five draws are
    expected of count as one."""
    expected = log_P.exp() * counts.sum()
    rare = expected < 5
    seen, expected = ([*x[~rare], x[rare].sum()] for x in (counts, expected))
    terms = [(o - e) ** 2 / e for o, e in zip(seen, expected, strict=True) if e]
    return float(sum(terms)) / (len(terms) - 1)


def count(answers: Iterator[list[int]]) -> Tensor:
    indices = torch.tensor([INDEX[tuple(answer)] for answer in answers])
    return torch.bincount(indices, minlength=N).double()


def test_answers_are_drawn_as_often_as_log_likelihood_says(policy: GPT, log_pi: Tensor) -> None:
    """20,000 to each prompt. A temperature that the loss does not know, or a nucleus, would show."""
    n, log_pi = 20_000, log_pi.detach()
    draws = draw_answers(policy, PROMPTS, n, END, LONGEST, seed=0)
    assert {len(draw.answer) for draw in draws} == {1, 2, 3}
    off = {"temperature 1.1": Sampling(1.1), "top-p 0.95": Sampling(1.0, top_p=0.95)}
    for i, prompt in enumerate(PROMPTS):
        mine = draws[i * n : (i + 1) * n]
        assert all(draw.prompt == prompt for draw in mine)
        fit = chi_square(count(draw.answer for draw in mine), log_pi[i])
        print(f"chi-square {fit:.2f} of a degree of freedom")
        assert fit < 1.6
    for name, sampling in off.items():
        fit = chi_square(count(draw_batch(policy, PROMPTS[:1], LONGEST, sampling, (END,), 0, n)), log_pi[0])
        print(f"{name}: {fit:.1f}")
        assert fit > 3


def test_dpo_pulls_the_two_answers_apart_by_what_the_margin_lacks(policy: GPT, log_pi: Tensor, log_ref: Tensor) -> None:
    """Its gradient is -beta sigmoid(-margin) (grad log pi(y_w) - grad log pi(y_l)) (Rafailov et al., 2023, 4)."""
    chosen = [3, 40, 84, 0, 100, 169]
    log_P = log_likelihood(policy, [ROWS[i] for i in chosen])
    (w, lost), (ref_w, ref_l) = (x.view(2, 3) for x in (log_P, log_ref.flatten()[chosen].float()))
    margin = BETA * ((w - ref_w) - (lost - ref_l))
    found = gradient(dpo_loss(w, lost, ref_w, ref_l, BETA).sum(), policy)
    expected = sum(
        -BETA * torch.sigmoid(-margin[i].detach()) * (gradient(w[i], policy) - gradient(lost[i], policy))
        for i in range(3)
    )
    assert relative(found, expected) < 2e-6


@pytest.mark.parametrize("beta", [0.1, 0.5, 1.0, 4.0])
def test_the_objective_at_the_optimum_is_beta_log_z(log_ref: Tensor, beta: float) -> None:
    best = optimum(log_ref, REWARDS, beta)
    log_Z = (log_ref + REWARDS / beta).logsumexp(-1)
    J = expectation(best, penalised(REWARDS, best, log_ref, beta))
    torch.testing.assert_close(J, beta * log_Z.mean(), rtol=0, atol=1e-9 + 2e-7 * beta)
    around = [(best + 0.1 * torch.randn_like(best)).log_softmax(-1) for _ in range(20)]
    assert all(expectation(other, penalised(REWARDS, other, log_ref, beta)) < J for other in around)


def test_the_optimum_wants_of_any_two_answers_what_bradley_and_terry_say(log_ref: Tensor) -> None:
    """15.8 solved for r: beta (log pi*/ref of one less that of the other) is r less r, and log Z is gone."""
    best = optimum(log_ref, REWARDS, BETA)
    implied = BETA * (best - log_ref)
    differences = implied[:, :, None] - implied[:, None, :]
    torch.testing.assert_close(differences, REWARDS[:, :, None] - REWARDS[:, None, :], rtol=0, atol=1e-12)


returns = st.tuples(st.integers(1, 5), st.integers(2, 9), st.integers(0, 2**32)).map(
    lambda size: torch.randn(size[:2], generator=torch.Generator().manual_seed(size[2]))
)


@given(R=returns, constant=st.floats(-100, 100))
def test_leave_one_out_sums_to_0_and_knows_no_constant(R: Tensor, constant: float) -> None:
    A, K = leave_one_out(R), R.shape[1]
    close = partial(torch.testing.assert_close, rtol=0)
    close(A.sum(1), torch.zeros(len(R)), atol=1e-5)
    close(leave_one_out(R.double() + constant), A.double(), atol=1e-5)
    close(A, (R - R.mean(1, keepdim=True)) * K / (K - 1), atol=1e-5)


@given(R=returns, other=st.floats(-100, 100))
def test_a_draws_baseline_does_not_depend_on_the_draw(R: Tensor, other: float) -> None:
    """Nor on another prompt's."""
    b = R.double() - leave_one_out(R.double())
    R = R.double()
    R[0, 0] = other
    changed = R - leave_one_out(R)
    torch.testing.assert_close(changed[0, 0], b[0, 0], rtol=0, atol=1e-12)
    torch.testing.assert_close(changed[1:], b[1:], rtol=0, atol=0)


def test_equal_returns_teach_nothing(policy: GPT) -> None:
    """No standard deviation is divided by, so that answers which are all alike give 0 and not millions."""
    R = torch.full((2, 4), 0.1) + 1e-8 * torch.randn(2, 4)
    assert leave_one_out(R).abs().max() < 1e-6


@pytest.mark.parametrize("clip", [0.1, 0.2])
def test_at_ratio_1_the_clipped_gradient_of_ppo_and_grpo_is_reinforces(
    policy: GPT, log_pi: Tensor, log_ref: Tensor, clip: float
) -> None:
    """One step for each batch of draws: the model that drew is the one that learns, and nothing is ever clipped."""
    drawn = torch.randint(N, (2, 8), generator=torch.Generator().manual_seed(0))
    log_P = log_pi.gather(1, drawn)
    A = leave_one_out(penalised(REWARDS, log_pi, log_ref, BETA).gather(1, drawn)).detach()
    ratio = (log_P - log_P.detach()).exp()
    clipped = -torch.minimum(ratio * A, ratio.clamp(1 - clip, 1 + clip) * A).mean()
    assert (ratio == 1).all()
    assert torch.equal(gradient(clipped, policy), gradient(policy_loss(A, log_P), policy))


def test_kl_in_the_reward_is_a_constant_to_the_gradient(policy: GPT, log_pi: Tensor, log_ref: Tensor) -> None:
    """Whoever forgets to detach the returns gets the same gradient: `policy_loss` does it."""
    R = penalised(REWARDS, log_pi, log_ref, BETA)
    with_graph, without = (gradient(policy_loss(leave_one_out(x), log_pi), policy) for x in (R, R.detach()))
    assert torch.equal(with_graph, without)


def test_micro_answers_are_all_there_are() -> None:
    assert (N, len(INDEX), len(ROWS)) == (85, 85, 170)
    assert all(END not in answer[:-1] and (answer[-1] == END or len(answer) == LONGEST) for answer in ANSWERS)
