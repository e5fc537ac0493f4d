"""Lesson 08's exercises: `pytest lessons/08_loss` says how far you are.

turtle: a formula, 5 to 10 minutes; dog: a small program, 15 to 30; lion: measured against the real thing.
"""

from collections.abc import Callable

from jaxtyping import Float, Int
from torch import Tensor


def token_nll(logits: Float[Tensor, "*batch V"], targets: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """Turtle, 10 minutes. -log P of each target, in nats: one number for each position, nothing added up.

    In float32, whatever the logits are in, and finite for logits of any size.
    """
    raise NotImplementedError


def perplexity(nll: float, count: int = 1) -> float:
    """Turtle, 5 minutes. (8.3), for the sum of the NLL of `count` tokens.

    Infinity where exp overflows. A count below 1 is refused: ValueError("Perplexity needs at least one token; got 0.").
    """
    raise NotImplementedError


def text_perplexity(
    logits_of: Callable[[Int[Tensor, "B T"]], Float[Tensor, "B T V"]], batches: list[Int[Tensor, "_ _"]]
) -> float:
    """Dog, 20 minutes. The perplexity of a data set: the same number however the texts were put into batches.

    Each batch holds the ids of B texts of T tokens; the next batch may have another B and another T. `logits_of(ids)`
    gives what the model gives, (B, T, V). Of each text every token counts but the first, which nothing comes before.
    """
    raise NotImplementedError


def nll_gradient(logits: Float[Tensor, "T V"], targets: Int[Tensor, " T"]) -> Float[Tensor, "T V"]:
    """Dog, 15 minutes. The gradient of the mean NLL of T tokens by their logits, without autograd.

    torch.autograd.gradcheck is the judge.
    """
    raise NotImplementedError


def head_nll(hidden: Float[Tensor, "N C"], E: Float[Tensor, "V C"], targets: Int[Tensor, " N"]) -> Float[Tensor, ""]:
    """Lion, 40 minutes. The summed NLL of N tokens from their hidden rows, through the head, logits = hidden E^T.

    Take 64 rows at a time: the logits of all rows must never exist at once. A plain loop is not enough, as autograd
    keeps each chunk's logits for the backward pass. A class of torch.autograd.Function can compute the gradients by
    hidden and E in its `forward(ctx, hidden, E, targets)`, while a chunk's logits exist, and keep these alone, by
    `ctx.save_for_backward`. Its `backward(ctx, d_total)` finds them in `ctx.saved_tensors` and returns a gradient for
    each of the three (None for the targets); d_total is the gradient by the sum, which is not always 1. Both are
    static methods, and the class's `apply` runs it. The result has E's dtype; without any row it is 0. When yours is
    right, train with it: pytest --mine lessons/08_loss/exercises.py tests/learn
    """
    raise NotImplementedError
