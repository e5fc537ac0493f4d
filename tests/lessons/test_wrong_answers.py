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
ANSWERS = {("03_attention", "attend"): ATTEND}


def of_answer(logits: Tensor, ids: Tensor, n_given: int, axis: int = -1) -> Tensor:
    return logits.log_softmax(axis)[range(n_given - 1, len(ids) - 1), ids[n_given:]]


LOG_PROBABILITY: dict[str, Callable[[Tensor, Tensor, int], Tensor | float]] = {
    "perplexity": lambda z, ids, n: (-of_answer(z, ids, n).mean()).exp(),
    "mean surprise": lambda z, ids, n: -of_answer(z, ids, n).mean(),
    "sum of probabilities": lambda z, ids, n: of_answer(z, ids, n).exp().sum(),
    "logarithm of that sum": lambda z, ids, n: of_answer(z, ids, n).logsumexp(0),
    "whole text, per token": lambda z, ids, n: of_answer(z, ids, 1).mean(),
    "whole text, in bits": lambda z, ids, n: of_answer(z, ids, 1).sum() / math.log(2),
    "probability of the whole text": lambda z, ids, n: of_answer(z, ids, 1).sum().exp(),
    "logits of the same place": lambda z, ids, n: z[range(n, len(ids)), ids[n:]].sum(),
    "best tokens": lambda z, ids, n: z[n - 1 : -1].log_softmax(-1).amax(-1).sum(),
    "two places off": lambda z, ids, n: z.log_softmax(-1)[range(n - 2, len(ids) - 2), ids[n:]].sum(),
    "decimal logarithm": lambda z, ids, n: of_answer(z, ids, n).sum() / math.log(10),
    "a number": lambda z, ids, n: of_answer(z, ids, n).sum().item(),
    "no gradient": lambda z, ids, n: of_answer(z.detach(), ids, n).sum(),
    "in float32": lambda z, ids, n: of_answer(z.float(), ids, n).sum().double(),
    "softmax over the answer's places": lambda z, ids, n: z[n - 1 : -1].log_softmax(0).gather(-1, ids[n:, None]).sum(),
}
for wrong_name, wrong_answer in LOG_PROBABILITY.items():
    wrong_answer.__name__ = wrong_name
ANSWERS["06_gpt2", "log_probability"] = [*LOG_PROBABILITY.values()]


@pytest.mark.parametrize(("folder", "name"), ANSWERS)
def test_no_wrong_answer_passes_and_a_third_is_named(folder: str, name: str) -> None:
    lesson = Lesson(folder)
    exercise = lesson.graders[name]
    verdicts = {wrong.__name__: exercise.verdict(wrong, lesson) for wrong in ANSWERS[folder, name]}
    named = [wrong for wrong, said in verdicts.items() if said and said.split("\n")[0] in exercise.hints.values()]
    print(f"{len(named)} of {len(verdicts)} named", *verdicts.items(), sep="\n")
    assert [wrong for wrong, said in verdicts.items() if not said] == []
    assert 3 * len(named) >= len(verdicts) >= 10
