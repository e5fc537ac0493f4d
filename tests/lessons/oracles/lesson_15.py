"""Oracles of lesson 15: torch's own cross-entropies, all answers of a small language, baselines by plain loops."""

from collections.abc import Callable

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from minigpt.preference import bradley_terry, dpo, likelihood, policy
from tests.preference.enumeration import PROMPTS, ROWS, N, micro


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def logistic_regression() -> None:
    """-log sigmoid of a margin is the cross-entropy of a label 1; a smoothed label is 1 - e."""
    margin = 4.0 * random(3, 5)
    for e in (0.0, 0.1, 0.3):
        wanted = binary_cross_entropy_with_logits(margin, torch.full_like(margin, 1 - e), reduction="none")
        torch.testing.assert_close(bradley_terry.preference_nll(margin, e), wanted)
    assert bradley_terry.preference_nll(torch.tensor(-1000.0)).item() == 1000


def all_answers_have_probability_1() -> None:
    """And single ones that of torch's cross-entropy, without dropout."""
    model = micro(1).train()
    found = likelihood.log_likelihood(model, ROWS).view(len(PROMPTS), N)
    torch.testing.assert_close(found.double().exp().sum(1), torch.ones(len(PROMPTS)).double(), atol=1e-5, rtol=0)
    model.eval()
    for i in (0, 7, 84, 120):
        row = ROWS[i]
        logits = model(torch.tensor([row.ids[:-1]]))[0, :, : model.config.tokens]
        targets = torch.tensor(row.ids[1:]).masked_fill(~torch.tensor(row.supervised[1:]), -100)
        torch.testing.assert_close(found.flatten()[i], -cross_entropy(logits, targets, reduction="sum"))


def baselines_by_loops() -> None:
    R = random(3, 5)
    wanted = [[R[p, i] - sum(R[p, j] for j in range(5) if j != i) / 4 for i in range(5)] for p in range(3)]
    torch.testing.assert_close(policy.leave_one_out(R), torch.tensor(wanted))


def logistic_regression_on_log_ratios() -> None:
    chosen, rejected, ref_chosen, ref_rejected = (-5.0 - random(6, seed=seed).abs() for seed in range(4))
    for beta, e in ((0.1, 0.0), (2.0, 0.0), (0.5, 0.2)):
        logits = beta * torch.log((chosen - ref_chosen).exp() / (rejected - ref_rejected).exp())
        wanted = binary_cross_entropy_with_logits(logits, torch.full_like(logits, 1 - e), reduction="none")
        torch.testing.assert_close(dpo.dpo_loss(chosen, rejected, ref_chosen, ref_rejected, beta, e), wanted)


ORACLES: dict[str, Callable[[], None]] = {
    "minigpt.preference.bradley_terry.preference_nll": logistic_regression,
    "minigpt.preference.likelihood.log_likelihood": all_answers_have_probability_1,
    "minigpt.preference.policy.leave_one_out": baselines_by_loops,
    "minigpt.preference.dpo.dpo_loss": logistic_regression_on_log_ratios,
}
