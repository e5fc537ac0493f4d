"""Lesson 16's exercises: `pytest lessons/16_further` says how far you are.

turtle: a formula, 5 to 10 minutes; dog: a small program, 15 to 30; lion: measured against the real thing.
"""

import math
from collections.abc import Sequence
from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor, nn


def own_loss(nll: Float[Tensor, " n"], supervised: int, size: int) -> Float[Tensor, ""]:
    """Turtle, 5 minutes. The inside of (16.2): what one process computes the gradient of.

    `nll` are -log P of its own supervised tokens, maybe none; `supervised` is M, the number in the whole step; `size`
    is N, the number of processes. The engine takes the mean of all processes' gradients afterwards.
    """
    raise NotImplementedError


def light(
    x: Float[Tensor, "N n_in"],
    q: Int[Tensor, "n_out n_in"] | Float[Tensor, "n_out n_in"],
    s: Float[Tensor, " n_out"],
    b: Float[Tensor, " n_out"] | float = 0.0,
) -> Float[Tensor, "N n_out"]:
    """Turtle, 10 minutes. (16.5): x W + b for W = s q, without a loop.

    `q` has a row for each output, of integers (or of bfloat16), and torch multiplies tensors of one dtype only:
    q.to(x.dtype). Multiply by `s` once an output.
    """
    raise NotImplementedError


def rounded(
    W: Float[Tensor, "n_in n_out"], weights: Literal["bfloat16", "int8"]
) -> tuple[Int[Tensor, "n_out n_in"] | Float[Tensor, "n_out n_in"], Float[Tensor, " n_out"]]:
    """Dog, 15 minutes. q (torch.int8, a row for each output) and s of (16.5).

    An output whose weights are all 0 has s = 1. Where `weights` is "bfloat16", q is W in torch.bfloat16, a row for each
    output too, and s is 1. Lay q out in memory as it is indexed: .contiguous().
    """
    raise NotImplementedError


def share(
    lengths: Sequence[int], hand: int, hands: int, overhead: int, most: int, room: float = math.inf
) -> list[list[int]]:
    """Dog, 20 minutes. The micro-batches of process number `hand` (from 0) of `hands`: lists of indices into `lengths`.

    The rows of the step are sorted by length, shortest first, those of equal length in their order; then as many as
    there are processes are dealt at a time, one to each. A row of such a deal is as long as the longest of it, for the
    others wait. The deals, not the rows, are grouped by the package's function (lesson 09)
    split_by_length(lengths, overhead, most, room), which gives lists of indices; each process takes its rows of each
    group. So all have as many micro-batches. `hands` divides the number of rows.
    """
    raise NotImplementedError


def computed_again(
    block: nn.Module, x: Float[Tensor, "B T C"], d_y: Float[Tensor, "B T C"], seed: int
) -> tuple[Float[Tensor, "B T C"], list[Tensor]]:
    """Dog, 20 minutes. The backward pass of a block of which nothing but the input x was kept.

    y = block(x) was computed after torch.manual_seed(seed), by which dropout drew its masks, and y was thrown away.
    `d_y` is the gradient of the loss by y. Give the gradient by x, and the list of those by block.parameters().
    torch.autograd.grad computes gradients and leaves .grad alone. `x` itself needs no gradient yet.
    """
    raise NotImplementedError


def low_rank(self: nn.Module, x: Float[Tensor, "*batch n_in"]) -> Float[Tensor, "*batch n_out"]:
    """Lion, 40 minutes. (16.1): all of LowRankLinear.forward.

    `self` has the frozen `weight` (n_in, n_out) and `bias` (n_out), `A` (n_in, r) and `B` (r, n_out), which learn, and
    the numbers `rank`, `alpha` and `scale` = alpha / rank. For the frozen part use torch, not super().

    The judge puts it into the package and fine-tunes lessons/model through it, at rank 4, on 16 Vietnamese rows: in 12
    steps the loss has to fall to a quarter, without a matrix as large as `weight` being formed. Then PEFT, the library
    that adapters are mostly made with, opens what was learned, and its logits have to be those of your model.
    """
    raise NotImplementedError
