"""Lesson 04's exercises: `pytest lessons/04_mlp` says how far you are.

turtle: a formula, 5 to 10 minutes; dog: a small program, 15 to 30; lion: measured against the real thing.
"""

from jaxtyping import Float
from torch import Tensor


def gelu(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Turtle, 5 minutes. (4.1), in the tanh form, for every number of x.

    When it is right, let GPT-2 run on it: pytest --mine lessons/04_mlp/exercises.py tests/reference
    """
    raise NotImplementedError


def linear(
    x: Float[Tensor, "N n_in"], W: Float[Tensor, "n_in n_out"], b: Float[Tensor, " n_out"]
) -> Float[Tensor, "N n_out"]:
    """Turtle, 5 minutes. x W + b for N rows at once. W is stored (in, out): its column j belongs to output j."""
    raise NotImplementedError


def unit_outputs(
    x: Float[Tensor, "T C"], W_1: Float[Tensor, "C F"], b_1: Float[Tensor, " F"], W_2: Float[Tensor, "F C"]
) -> Float[Tensor, "T F C"]:
    """Dog, 20 minutes. What each of the F units adds to each of the T positions: its activation times its row of W_2.

    Added up over the units, and with b_2, this is the output of the MLP. Begin with loops if you like.
    """
    raise NotImplementedError


def gelu_backward(x: Float[Tensor, "*shape"], d_y: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Lion, 25 minutes. The gradient of the loss by x, for y = gelu(x) in the tanh form.

    `d_y` is the gradient by y. Write it out, without autograd; torch.autograd.gradcheck is the judge.
    """
    raise NotImplementedError
