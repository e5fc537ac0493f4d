"""Wrong answers that mistakes.py does not have: none passes, and at least a third is named."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lessons.harness.grade import Lesson

Mask = Tensor | None


def causal(q: Tensor, k: Tensor) -> Tensor:
    return torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool).tril(k.shape[-2] - q.shape[-2])


def scores_of(q: Tensor, k: Tensor) -> Tensor:
    return q @ k.mT / math.sqrt(q.shape[-1])


def chosen(q: Tensor, k: Tensor, mask: Mask) -> Tensor:
    return causal(q, k) if mask is None else mask


def scores_cleared_by_multiplying(q: Tensor, k: Tensor, v: Tensor, mask: Mask = None, dropout: float = 0.0) -> Tensor:
    return (scores_of(q, k) * chosen(q, k, mask)).softmax(-1) @ v


def unscaled_and_masked_after(q: Tensor, k: Tensor, v: Tensor, mask: Mask = None, dropout: float = 0.0) -> Tensor:
    return ((q @ k.mT).softmax(-1) * chosen(q, k, mask)) @ v


def exponentials_of_unscaled_scores(q: Tensor, k: Tensor, v: Tensor, mask: Mask = None, dropout: float = 0.0) -> Tensor:
    return ((q @ k.mT).exp() * chosen(q, k, mask)) @ v


def mask_only_where_given(q: Tensor, k: Tensor, v: Tensor, mask: Mask = None, dropout: float = 0.0) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, mask)


def torch_s_own_causal_mask(q: Tensor, k: Tensor, v: Tensor, mask: Mask = None, dropout: float = 0.0) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, mask, is_causal=mask is None)


def a_small_negative_number_as_mask(q: Tensor, k: Tensor, v: Tensor, mask: Mask = None, dropout: float = 0.0) -> Tensor:
    return scores_of(q, k).masked_fill(~chosen(q, k, mask), -10.0).softmax(-1) @ v


def scaled_by_all_channels(q: Tensor, k: Tensor, v: Tensor, mask: Mask = None, dropout: float = 0.0) -> Tensor:
    scores = q @ k.mT / math.sqrt(q.shape[1] * q.shape[-1])
    return scores.masked_fill(~chosen(q, k, mask), -math.inf).softmax(-1) @ v


def heads_put_last(q: Tensor, k: Tensor, v: Tensor, mask: Mask = None, dropout: float = 0.0) -> Tensor:
    return (scores_of(q, k).masked_fill(~chosen(q, k, mask), -math.inf).softmax(-1) @ v).transpose(1, 2)


def in_float32(q: Tensor, k: Tensor, v: Tensor, mask: Mask = None, dropout: float = 0.0) -> Tensor:
    scores = scores_of(q, k).masked_fill(~chosen(q, k, mask), -math.inf)
    return scores.float().softmax(-1).double() @ v


def weights_without_a_gradient(q: Tensor, k: Tensor, v: Tensor, mask: Mask = None, dropout: float = 0.0) -> Tensor:
    return scores_of(q, k).masked_fill(~chosen(q, k, mask), -math.inf).softmax(-1).detach() @ v


def always_dropping(q: Tensor, k: Tensor, v: Tensor, mask: Mask = None, dropout: float = 0.0) -> Tensor:
    return F.dropout(scores_of(q, k).masked_fill(~chosen(q, k, mask), -math.inf).softmax(-1), 0.5) @ v


def query_scaled_in_place(q: Tensor, k: Tensor, v: Tensor, mask: Mask = None, dropout: float = 0.0) -> Tensor:
    q /= math.sqrt(q.shape[-1])
    return (q @ k.mT).masked_fill(~chosen(q, k, mask), -math.inf).softmax(-1) @ v


ATTEND: list[Callable] = [
    scores_cleared_by_multiplying, unscaled_and_masked_after, exponentials_of_unscaled_scores, mask_only_where_given,
    torch_s_own_causal_mask, a_small_negative_number_as_mask, scaled_by_all_channels, heads_put_last, in_float32,
    weights_without_a_gradient, always_dropping, query_scaled_in_place,
]  # fmt: skip


def nucleus(P: Tensor, p: float | None) -> Tensor:
    """Which tokens top-p keeps."""
    best, order = P.sort(dim=-1, descending=True)
    return torch.zeros_like(P, dtype=torch.bool).scatter(-1, order, best.cumsum(-1) - best < (2.0 if p is None else p))


def k_best(P: Tensor, k: int | None) -> Tensor:
    return P.topk(min(k or P.shape[-1], P.shape[-1])).values[:, -1:] <= P


def shared(P: Tensor, kept: Tensor) -> Tensor:
    return P * kept / (P * kept).sum(-1, keepdim=True)


def both_cuts_at_once(logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None):
    P = (logits.float() / temperature).softmax(-1)
    return shared(P, k_best(P, top_k) & nucleus(P, top_p))


def temperature_on_probabilities(
    logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    P = shared(P := logits.float().softmax(-1) / temperature, k_best(P, top_k))
    return shared(P, nucleus(P, top_p))


def cuts_then_temperature(
    logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    P = shared(P := logits.float().softmax(-1), k_best(P, top_k))
    return ((P * nucleus(P, top_p)).log() / temperature).softmax(-1)


def no_second_sum(logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None):
    P = (logits.float() / temperature).softmax(-1)
    P = P * k_best(P, top_k)
    return P * nucleus(P / P.sum(-1, keepdim=True), top_p)


def hot_for_cold_and_no_top_p(
    logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    P = (logits.float() * temperature).softmax(-1)
    return shared(P, k_best(P, top_k))


def one_cut_or_the_other(
    logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    P = (logits.float() / temperature).softmax(-1)
    return shared(P, k_best(P, top_k) if top_k else nucleus(P, top_p))


def one_past_p(logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None):
    P = (logits.float() / temperature).softmax(-1)
    P = shared(P, k_best(P, top_k))
    kept = nucleus(P, top_p)
    return shared(P, k_best(P, None) if top_p is None else P.masked_fill(kept, 0.0).amax(-1, keepdim=True) <= P)


def a_share_of_the_best(
    logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    P = (logits.float() / temperature).softmax(-1)
    P = shared(P, k_best(P, top_k))
    least = 0.0 if top_p is None else (1.0 - top_p) * P.amax(-1, keepdim=True)
    return shared(P, least <= P)


def best_first(logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None):
    P = (logits.float() / temperature).softmax(-1)
    P = shared(P, k_best(P, top_k))
    return shared(P, nucleus(P, top_p)).sort(dim=-1, descending=True).values


def dropped_to_a_hundredth(
    logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    P = (logits.float() / temperature).softmax(-1)
    P = shared(P, k_best(P, top_k))
    return shared(P, nucleus(P, top_p).float().clamp(min=0.01))


def sizes_as_powers_of_two(
    logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    P = shared(P := 2.0 ** (logits.float() / temperature), k_best(P, top_k))
    return shared(P, nucleus(P, top_p))


def divided_in_place(logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None):
    logits /= temperature
    return both_cuts_at_once(logits, 1.0, top_k, top_p)


SAMPLER: list[Callable] = [
    both_cuts_at_once, temperature_on_probabilities, cuts_then_temperature, no_second_sum, hot_for_cold_and_no_top_p,
    one_cut_or_the_other, one_past_p, a_share_of_the_best, best_first, dropped_to_a_hundredth, sizes_as_powers_of_two,
    divided_in_place,
]  # fmt: skip
ANSWERS = {("03_attention", "attend"): ATTEND, ("07_generation", "probabilities"): SAMPLER}


@pytest.mark.parametrize(("folder", "name"), ANSWERS)
def test_no_wrong_answer_passes_and_a_third_is_named(folder: str, name: str) -> None:
    lesson = Lesson(folder)
    exercise = lesson.graders[name]
    verdicts = {wrong.__name__: exercise.verdict(wrong, lesson) for wrong in ANSWERS[folder, name]}
    named = [wrong for wrong, said in verdicts.items() if said and said.split("\n")[0] in exercise.hints.values()]
    print(f"{len(named)} of {len(verdicts)} named", *verdicts.items(), sep="\n")
    assert [wrong for wrong, said in verdicts.items() if not said] == []
    assert 3 * len(named) >= len(verdicts) >= 10
