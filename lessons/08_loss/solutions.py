"""One answer to each exercise of lesson 08."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

ROWS = 64


def token_nll(logits: Tensor, targets: Tensor) -> Tensor:
    log_P = logits.float().log_softmax(-1)
    return -log_P.gather(-1, targets.unsqueeze(-1)).squeeze(-1)


def perplexity(nll: float, count: int = 1) -> float:
    if count < 1:
        raise ValueError(f"Perplexity needs at least one token; got {count}.")
    try:
        return math.exp(nll / count)
    except OverflowError:
        return math.inf


def text_perplexity(logits_of: Callable, batches: list[Tensor]) -> float:
    total, count = 0.0, 0
    for ids in batches:
        nll = token_nll(logits_of(ids)[:, :-1], ids[:, 1:])
        total, count = total + nll.sum().item(), count + nll.numel()
    return perplexity(total, count)


def nll_gradient(logits: Tensor, targets: Tensor) -> Tensor:
    one_hot = F.one_hot(targets, logits.shape[-1])
    return (logits.softmax(-1) - one_hot) / len(targets)


class HeadNLL(Function):
    @staticmethod
    def forward(ctx, hidden: Tensor, E: Tensor, targets: Tensor) -> Tensor:
        total, d_hidden, d_E = E.new_zeros(()), torch.zeros_like(hidden), torch.zeros_like(E)
        for start in range(0, len(hidden), ROWS):
            rows = slice(start, start + ROWS)
            log_P = (hidden[rows] @ E.T).log_softmax(-1, dtype=E.dtype)
            y = targets[rows].unsqueeze(-1)
            total -= log_P.gather(-1, y).sum()
            d_logits = log_P.exp() - torch.zeros_like(log_P).scatter(-1, y, 1.0)
            d_hidden[rows] = d_logits @ E
            d_E += d_logits.T @ hidden[rows]
        ctx.save_for_backward(d_hidden, d_E)
        return total

    @staticmethod
    def backward(ctx, d_total: Tensor) -> tuple[Tensor, Tensor, None]:
        d_hidden, d_E = ctx.saved_tensors
        return d_total * d_hidden, d_total * d_E, None


def head_nll(hidden: Tensor, E: Tensor, targets: Tensor) -> Tensor:
    return HeadNLL.apply(hidden, E, targets)
