"""How surprised the model is, over all tokens or over the answers alone. Read with lessons 08 and 13."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


class TokenNLL(Function):
    """-log softmax(z)[y] = logsumexp(z) - z_y, whose gradient is softmax(z) - onehot(y)."""

    @staticmethod
    def forward(ctx, logits: Tensor, targets: Tensor) -> Tensor:
        log_total = torch.logsumexp(logits, -1, keepdim=True)
        ctx.save_for_backward(logits, targets, log_total)
        return (log_total - logits.gather(-1, targets.unsqueeze(-1))).squeeze(-1)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy: Tensor) -> tuple[Tensor, None]:
        logits, targets, log_total = ctx.saved_tensors
        gradient = (logits - log_total).exp_()
        gradient.scatter_add_(-1, targets.unsqueeze(-1), torch.full_like(log_total, -1.0))
        return gradient.mul_(dy.unsqueeze(-1)), None


def token_nll(logits: Float[Tensor, "*batch V"], targets: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """-log P(x_t | x_<t) of each target, in nats, in float32 whatever the logits are in."""
    return TokenNLL.apply(logits.float(), targets)


def sequence_nll(logits: Float[Tensor, "*batch V"], targets: Int[Tensor, "*batch"]) -> Float[Tensor, ""]:
    """L = -sum_t log P(x_t | x_<t) (documents A 4.2, B 4, C 3.2)."""
    return token_nll(logits, targets).sum()  # eq 8.1


def cross_entropy(logits: Float[Tensor, "*batch V"], targets: Int[Tensor, "*batch"]) -> Float[Tensor, ""]:
    """The mean over tokens, -1/T sum_t y_t log yhat_t with y_t one-hot (document D 4.2)."""
    return sequence_nll(logits, targets) / targets.numel()  # eq 8.2


def response_nll(
    logits: Float[Tensor, "*batch V"], targets: Int[Tensor, "*batch"], supervised: Bool[Tensor, "*batch"]
) -> tuple[Float[Tensor, ""], int]:
    """L_response = -sum over t in R of log P(x_t | x_<t) (document B 4), and |R|.

    The sum and the count come apart because only their totals over a whole optimiser step, or a whole data set, may
    be divided: a mean of means weights short answers more.
    """
    nll = token_nll(logits[supervised], targets[supervised])
    return nll.sum(), nll.numel()  # eq 13.1


def perplexity(nll: float, count: int = 1) -> float:
    """PP = exp(L / T), for the sum L over T tokens (document A 6.1); for a mean loss, T = 1 (document D 6.1).

    Infinity where exp overflows; ValueError for no token at all.
    """
    if count < 1:
        raise ValueError(f"Perplexity needs at least one token; got {count}.")
    try:
        return math.exp(float(nll) / count)  # eq 8.3
    except OverflowError:
        return math.inf
