"""Negative log-likelihood and perplexity, over all tokens or over the responses alone. Read with lesson 08."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

CHUNK_BYTES = 2**27  # of logits at a time in `head_nll_fast`: large enough for a fast product, small beside all of them


def token_nll(logits: Float[Tensor, "*batch V"], targets: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """-log P(x_t | x_<t) of each target, in nats, in float32 whatever the logits are in."""
    log_P = logits.float() - logits.float().logsumexp(-1, keepdim=True)
    return -log_P.gather(-1, targets.unsqueeze(-1)).squeeze(-1)


def token_nll_fast(logits: Float[Tensor, "*batch V"], targets: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """`token_nll` by torch's kernel; equal forward and backward: tests/learn/test_loss.py."""
    rows = logits.float().reshape(-1, logits.shape[-1])
    return F.cross_entropy(rows, targets.reshape(-1), reduction="none").view(targets.shape)


def sequence_nll(logits: Float[Tensor, "*batch V"], targets: Int[Tensor, "*batch"]) -> Float[Tensor, ""]:
    """L = -sum_t log P(x_t | x_<t) (documents A 4.2, B 4, C 3.2)."""
    return token_nll(logits, targets).sum()  # eq 8.1


def head_nll(hidden: Float[Tensor, "N C"], E: Float[Tensor, "V C"], targets: Int[Tensor, " N"]) -> Float[Tensor, ""]:
    """L from the hidden vectors, through the tied head: the explicit form of `head_nll_fast`."""
    logits = hidden @ E.t()
    return sequence_nll(logits, targets)


def head_nll_fast(
    hidden: Float[Tensor, "N C"], E: Float[Tensor, "V C"], targets: Int[Tensor, " N"]
) -> Float[Tensor, ""]:
    """`head_nll` in chunks of rows: the logits never exist all at once; equal both ways: tests/learn/test_loss.py."""
    return HeadNLL.apply(hidden, E, targets)


class HeadNLL(Function):
    """`head_nll_fast`: each chunk's gradient, softmax(z) - onehot(y), is computed while its logits z exist.

    Under autocast the three products are in the lower precision; log-softmax and the sums over chunks in float32.
    """

    @staticmethod
    def forward(ctx, hidden: Tensor, E: Tensor, targets: Tensor) -> Tensor:
        device = hidden.device.type
        low = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else E.dtype
        h, W = hidden.to(low), E.to(low)
        total, d_hidden = E.new_zeros(()), torch.empty_like(hidden)
        d_E = torch.zeros_like(E) if ctx.needs_input_grad[1] else None  # none for a frozen embedding
        size = max(1, CHUNK_BYTES // (4 * len(E)))
        for rows in (slice(start, start + size) for start in range(0, len(h), size)):
            log_P = F.log_softmax(h[rows] @ W.t(), -1, dtype=torch.promote_types(low, torch.float32))
            y = targets[rows].unsqueeze(-1)
            total -= log_P.gather(-1, y).sum()
            d_z = log_P.exp_().scatter_add_(-1, y, torch.full_like(y, -1.0, dtype=log_P.dtype)).to(low)
            d_hidden[rows] = d_z @ W
            if d_E is not None:
                d_E = d_E.addmm_(d_z.t(), h[rows]) if low == E.dtype else d_E.add_(d_z.t() @ h[rows])
            del log_P, d_z  # else they are still there while the next chunk's logits are computed
        ctx.save_for_backward(d_hidden, d_E)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx, d_total: Tensor) -> tuple[Tensor, Tensor | None, None]:
        d_hidden, d_E = ctx.saved_tensors
        # In place, as d_E is as large as the embedding; a second backward pass finds it changed, and raises.
        return d_hidden * d_total, None if d_E is None else d_E.mul_(d_total), None


def cross_entropy(L: Float[Tensor, ""], T: int) -> Float[Tensor, ""]:
    """The mean over T tokens, -1/T sum_t y_t log yhat_t with y_t one-hot (document D 4.2), of their summed NLL L."""
    return L / T  # eq 8.2


def response_nll(
    logits: Float[Tensor, "*batch V"], targets: Int[Tensor, "*batch"], supervised: Bool[Tensor, "*batch"]
) -> tuple[Float[Tensor, ""], int]:
    """L_response = -sum over t in R of log P(x_t | x_<t) (document B 4), and |R|.

    The sum and the count are separate because only their totals over a whole optimizer step, or a whole data set, may
    be divided: a mean of means weights short responses more.
    """
    return sequence_nll(logits[supervised], targets[supervised]), int(supervised.sum())


def perplexity(nll: float, count: int = 1) -> float:
    """PP = exp(L / T), for the sum L over T tokens (document A 6.1); for a mean loss, T = 1 (document D 6.1).

    Infinity if exp overflows; ValueError if there are no tokens.
    """
    if count < 1:
        raise ValueError(f"Perplexity needs at least one token; got {count}.")
    try:
        return math.exp(float(nll) / count)  # eq 8.3
    except OverflowError:
        return math.inf
