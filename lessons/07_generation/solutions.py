"""One answer to each exercise of lesson 07."""

from collections.abc import Callable, Collection

import torch
from torch import Tensor

NEVER = float("-inf")


def at_temperature(logits: Tensor, temperature: float) -> Tensor:
    return (logits / temperature).softmax(-1)


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    kth_best = logits.topk(min(k, logits.shape[-1])).values[:, -1:]
    return logits.masked_fill(logits < kth_best, NEVER)


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    upward, order = logits.sort(dim=-1)
    dropped = upward.softmax(-1).cumsum(-1) <= 1.0 - p
    dropped[:, -1] = False  # the best one
    return logits.masked_fill(torch.zeros_like(dropped).scatter(-1, order, dropped), NEVER)


def continue_greedily(
    logits_of: Callable, ids: list[int], max_new_tokens: int, n_ctx: int, stop: Collection[int]
) -> list[int]:
    new: list[int] = []
    while len(new) < max_new_tokens and len(ids) + len(new) <= n_ctx:
        token = logits_of(torch.tensor([ids + new]))[0, -1].argmax().item()
        if token in stop:
            break
        new.append(token)
    return new


def probabilities(
    logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    logits = logits.float() / temperature
    if top_k is not None:
        logits = keep_top_k(logits, top_k)
    if top_p is not None:
        logits = keep_top_p(logits, top_p)
    return logits.softmax(-1)
