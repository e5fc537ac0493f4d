"""Lesson 05's exercises: `pytest lessons/05_block` says how far you are.

turtle: a formula, 5 to 10 minutes; dog: a small program, 15 to 30; lion: measured against the real thing.
"""

from jaxtyping import Bool, Float
from torch import Tensor


def layer_norm(
    x: Float[Tensor, "*batch C"], gain: Float[Tensor, " C"], bias: Float[Tensor, " C"], eps: float
) -> Float[Tensor, "*batch C"]:
    """Turtle, 10 minutes. (5.1), for every position by itself.

    When it is right, let GPT-2 run on it: pytest --mine lessons/05_block/exercises.py tests/reference
    """
    raise NotImplementedError


def projection_std(std: float, n_layer: int) -> float:
    """Turtle, 5 minutes. The standard deviation that c_proj.weight of both parts starts with, in a model of L layers.

    `std` is that of the other weights. What all parts together add shall start at the same size for every L.
    """
    raise NotImplementedError


def block(
    self, x: Float[Tensor, "B T C"], cache=None, mask: Bool[Tensor, "#B 1 T S"] | None = None,
    at: Bool[Tensor, "B T"] | None = None,
) -> Float[Tensor, "*at C"]:  # fmt: skip
    """Dog, 20 minutes. (5.2), then (5.3): all of Block.forward.

    `self` has the four functions self.ln_1(x), self.attn(x, cache, mask), self.ln_2(x) and self.mlp(x). What
    `cache` and `mask` are, only attention needs to know. With `at`, the MLP runs only at the positions that are True
    there, and the result is their rows x[at], (N, C); attention still has to see all positions.
    """
    raise NotImplementedError


def layer_norm_backward(
    x: Float[Tensor, "*batch C"], gain: Float[Tensor, " C"], eps: float, d_y: Float[Tensor, "*batch C"]
) -> tuple[Float[Tensor, "*batch C"], Float[Tensor, " C"], Float[Tensor, " C"]]:
    """Lion, 30 minutes. The gradients of the loss by x, by the gain and by the bias, for y = layer_norm(x, ...).

    `d_y` is the gradient by y. Write it out, without autograd; torch.autograd.gradcheck is the judge.
    """
    raise NotImplementedError
