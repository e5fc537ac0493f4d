"""Which token comes next. Read with lesson 07."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from minigpt.errors import UserError


def check_sampling(temperature: float, top_k: int | None, top_p: float | None) -> None:
    """UserError for a setting that has no meaning."""
    if not 0.0 <= temperature < float("inf"):
        raise UserError(f"The temperature is {temperature}; it must be 0 (greedy) or above.")
    if top_k is not None and top_k < 1:
        raise UserError(f"top-k is {top_k}; it must be at least 1.")
    if top_p is not None and not 0.0 < top_p <= 1.0:
        raise UserError(f"top-p is {top_p}; it must be above 0 and at most 1.")


def keep_top_k(logits: Float[Tensor, "B V"], k: int) -> Float[Tensor, "B V"]:
    """Minus infinity for all that score below the k-th best; above V, k is V. Equals to the k-th best stay."""
    kth = logits.topk(min(k, logits.shape[-1])).values[:, -1:]
    return logits.masked_fill(logits < kth, float("-inf"))


def keep_top_p(logits: Float[Tensor, "B V"], p: float) -> Float[Tensor, "B V"]:
    """Minus infinity for the improbable tail: the smallest set of best tokens whose probability reaches p stays."""
    scores, order = logits.sort(dim=-1)
    tail = scores.softmax(-1).cumsum(-1) <= 1.0 - p
    tail[:, -1] = False  # the best one always stays
    return logits.masked_fill(tail.scatter(-1, order, tail), float("-inf"))


def choose(
    logits: Float[Tensor, "B V"],
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> Int[Tensor, " B"]:
    """x_t drawn from P(. | x_<t) after temperature, top-k and top-p, in that order; temperature 0 takes the best."""
    if temperature == 0.0:
        return logits.argmax(-1)
    logits = logits.float() / temperature
    if top_k is not None:
        logits = keep_top_k(logits, top_k)
    if top_p is not None:
        logits = keep_top_p(logits, top_p)
    return torch.multinomial(logits.softmax(-1), 1, generator=generator).squeeze(-1)  # eq 7.1
