"""Lesson 07's functions with a switch for each typical mistake; without one they are right."""

import math
from collections.abc import Callable, Collection

import torch
from torch import Tensor

NEVER = float("-inf")


def at_temperature(
    logits: Tensor, temperature: float, *, multiplied=False, temperature_after=False, temperature_ignored=False,
    softmax_twice=False, no_softmax=False, over_rows=False,
) -> Tensor:  # fmt: skip
    scale = 1.0 if temperature_ignored or temperature_after else 1 / temperature if multiplied else temperature
    axis = 0 if over_rows else -1
    found = (logits.softmax(axis) if softmax_twice else logits) / scale
    found = found if no_softmax else found.softmax(axis)
    return found / temperature if temperature_after else found


def keep_top_k(
    logits: Tensor, k: int, *, zeros=False, kth_dropped=False, ties_cut=False, worst_kept=False, over_rows=False,
    only_values=False,
) -> Tensor:  # fmt: skip
    k = min(k, logits.shape[-1])
    best = logits.topk(k, largest=not worst_kept)
    kth = logits.flatten().topk(k).values[-1] if over_rows else best.values[:, -1:]
    cut = logits > kth if worst_kept else logits < kth
    if ties_cut:
        cut = torch.ones_like(cut).scatter(-1, best.indices, False)
    if kth_dropped:
        cut = cut | (logits == kth)
    return best.values if only_values else logits.masked_fill(cut, 0.0 if zeros else NEVER)


def keep_top_p(
    logits: Tensor, p: float, *, zeros=False, crossing_dropped=False, best_lost=False, not_sorted_back=False,
    best_dropped_first=False, p_dropped=False, each_alone=False, share_of_words=False, scores_summed=False,
) -> Tensor:  # fmt: skip
    scores, order = logits.sort(dim=-1, descending=best_dropped_first)
    P = scores.softmax(-1)
    total, limit = (scores if scores_summed else P).cumsum(-1), p if p_dropped else 1.0 - p
    if each_alone:
        cut = limit > P
    elif share_of_words:
        cut = torch.arange(scores.shape[-1]).expand_as(scores) < scores.shape[-1] - math.ceil(p * scores.shape[-1])
    else:
        cut = total - P < limit if crossing_dropped else total <= limit
    cut = cut.clone()
    if not best_lost:
        cut[:, 0 if best_dropped_first else -1] = False
    cut = cut if not_sorted_back else torch.zeros_like(cut).scatter(-1, order, cut)
    return logits.masked_fill(cut, 0.0 if zeros else NEVER)


def continue_greedily(
    logits_of: Callable, ids: list[int], max_new_tokens: int, n_ctx: int, stop: Collection[int], *,
    first_position=False, newest_only=False, not_appended=False, prompt_returned=False, end_returned=False,
    end_ignored=False, one_short=False, slides=False, one_too_many=False,
) -> list[int]:  # fmt: skip
    new: list[int] = []
    while len(new) < max_new_tokens + one_too_many and (slides or len(ids) + len(new) <= n_ctx - one_short):
        text = ids if not_appended else ids + new
        text = text[-1:] if newest_only else text[-n_ctx:]
        token = logits_of(torch.tensor([text]))[0, 0 if first_position else -1].argmax().item()
        if token in stop and not end_ignored:
            new += [token] if end_returned else []
            break
        new.append(token)
    return ids + new if prompt_returned else new


def probabilities(
    logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None, *,
    multiplied=False, temperature_after=False, temperature_ignored=False, softmax_twice=False, no_softmax=False,
    over_rows=False, temperature_last=False, p_before_k=False, top_k_ignored=False, top_p_ignored=False,
    not_renormalized=False, dtype_kept=False, zeros=False, kth_dropped=False, ties_cut=False, **of_p: bool,
) -> Tensor:  # fmt: skip
    scale = 1.0 if temperature_ignored or temperature_after else 1 / temperature if multiplied else temperature
    logits = logits if dtype_kept else logits.float()
    scaled = logits if temperature_last else logits / scale
    found = scaled = scaled.softmax(-1) if softmax_twice else scaled
    for cut in "pk" if p_before_k else "kp":
        if cut == "k" and top_k is not None and not top_k_ignored:
            found = keep_top_k(found, top_k, zeros=zeros, kth_dropped=kth_dropped, ties_cut=ties_cut)
        if cut == "p" and top_p is not None and not top_p_ignored:
            found = keep_top_p(found, top_p, zeros=zeros, **of_p)
    if not_renormalized:
        found = scaled.softmax(-1).masked_fill(found == NEVER, 0.0)
    else:
        found = found / scale if temperature_last else found
        found = found if no_softmax else found.softmax(0 if over_rows else -1)
    return found / temperature if temperature_after else found
