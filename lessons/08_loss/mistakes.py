"""Lesson 08's functions with a switch for each typical mistake; without one they are right."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from . import solutions


def token_nll(
    logits: Tensor, targets: Tensor, *, shifted=False, no_minus=False, no_log=False, bits=False, every_token=False,
    summed=False, averaged=False, softmax_then_log=False, exp_overflows=False, sum_overflows=False,
    log_of_a_bit_more=False, softmax_twice=False, no_softmax=False, over_positions=False, dtype_kept=False,
    one_minus=False,
) -> Tensor:  # fmt: skip
    if shifted:
        logits, targets = logits[..., :-1, :], targets[..., 1:]
    logits = logits if dtype_kept else logits.float()
    axis = -2 if over_positions else -1
    if softmax_twice:
        logits = logits.softmax(axis)
    P = logits.softmax(axis)
    if no_softmax:
        log_P = logits
    elif exp_overflows:
        log_P = (logits.exp() / logits.exp().sum(axis, keepdim=True)).log()
    elif sum_overflows:
        log_P = logits - logits.exp().sum(axis, keepdim=True).log()
    elif softmax_then_log:
        log_P = P.log()
    elif log_of_a_bit_more:
        log_P = (P + 1e-8).log()
    elif no_log:
        log_P = P
    else:
        log_P = logits.log_softmax(axis)
    log_P = log_P / math.log(2) if bits else log_P
    if one_minus:
        log_P = 1 - P
    nll = log_P if every_token else log_P.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    nll = nll if no_minus or one_minus else -nll
    return nll.sum() if summed else nll.mean() if averaged else nll


def perplexity(
    nll: float, count: int = 1, *, count_ignored=False, divided_after=False, no_exp=False, base_2=False,
    upside_down=False,
) -> float:  # fmt: skip
    if count < 1:
        raise ValueError("no tokens")
    mean = nll if count_ignored or divided_after else nll / count
    mean = -mean if upside_down else mean * math.log(2) if base_2 else mean
    found = mean if no_exp else math.inf if mean > 700 else math.exp(mean)
    return found / count if divided_after else found


def text_perplexity(
    logits_of: Callable, batches: list[Tensor], *, unshifted=False, wrapped=False, backwards=False, two_ahead=False,
    mean_of_batches=False, mean_of_texts=False, mean_of_perplexities=False, first_counted=False, not_divided=False,
    not_exp=False, bits=False, last_batch_only=False, last_token_only=False, texts_counted=False, softmax_twice=False,
) -> float:  # fmt: skip
    sums, counts = [], []
    for ids in batches[-1:] if last_batch_only else batches:
        logits = logits_of(ids)
        logits = logits.softmax(-1) if softmax_twice else logits
        if unshifted:
            nll = solutions.token_nll(logits, ids)
        elif wrapped:
            nll = solutions.token_nll(logits, ids.roll(-1, 1))
        elif backwards:
            nll = solutions.token_nll(logits[:, 1:], ids[:, :-1])
        elif two_ahead:
            nll = solutions.token_nll(logits[:, :-2], ids[:, 2:])
        else:
            nll = solutions.token_nll(logits[:, :-1], ids[:, 1:])
        nll = nll[:, -1:] if last_token_only else nll
        size = len(ids) if texts_counted else ids.numel() if first_counted else nll.numel()
        if mean_of_texts:
            sums, counts = sums + nll.mean(1).tolist(), counts + [1] * len(ids)
        else:
            sums, counts = [*sums, nll.sum().item()], [*counts, size]
    means = [nll / n for nll, n in zip(sums, counts, strict=True)]
    base = math.log(2) if bits else 1.0
    if mean_of_perplexities:
        return sum(math.exp(base * mean) for mean in means) / len(means)
    mean = sum(sums) if not_divided else sum(means) / len(means) if mean_of_batches else sum(sums) / sum(counts)
    return mean if not_exp else math.exp(base * mean)


def nll_gradient(
    logits: Tensor, targets: Tensor, *, one_hot_forgotten=False, not_divided=False, divided_by_all=False,
    wrong_sign=False, target_only=False, no_softmax=False, over_positions=False, of_log_p=False,
) -> Tensor:  # fmt: skip
    one_hot = torch.nn.functional.one_hot(targets, logits.shape[-1])
    P = logits if no_softmax else logits.log_softmax(-1) if of_log_p else logits.softmax(-2 if over_positions else -1)
    found = P - (0.0 if one_hot_forgotten else one_hot)
    found = found * one_hot if target_only else found
    found = found / (1 if not_divided else logits.numel() if divided_by_all else len(targets))
    return -found if wrong_sign else found


def head_nll(
    hidden: Tensor, E: Tensor, targets: Tensor, *, averaged=False, averaged_by_chunk=False, last_chunk_lost=False,
    last_chunk_only=False, no_minus=False, over_rows=False, targets_not_cut=False,
) -> Tensor:  # fmt: skip
    """In chunks whose logits all stay: what the judge looks for is not asked of it."""
    rows, found = solutions.ROWS, [E.new_zeros(())]
    if not (averaged or averaged_by_chunk or last_chunk_lost or last_chunk_only or over_rows or targets_not_cut):
        total = solutions.head_nll(hidden, E, targets)
        return -total if no_minus else total
    for start in range(0, len(hidden), rows):
        z = hidden[start : start + rows] @ E.T
        if last_chunk_lost and len(z) < rows:
            break
        y = targets[: len(z)] if targets_not_cut else targets[start : start + rows]
        nll = -z.log_softmax(0 if over_rows else -1).gather(-1, y.unsqueeze(-1)).sum()
        found.append(nll / len(z) if averaged_by_chunk else nll)
    total = found[-1] if last_chunk_only else sum(found)
    total = total / max(1, len(hidden)) if averaged else total
    return -total if no_minus else total
