"""What each position works out for itself. Read with lesson 04."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from minigpt.model.linear import Linear

SQRT_2_OVER_PI = math.sqrt(2.0 / math.pi)
CUBIC = 0.044715  # Hendrycks and Gimpel, "Gaussian Error Linear Units" (2016), section 2


def gelu(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """x times the share of a standard normal that lies below x, in the tanh form that GPT-2 was trained with.

    The exact form, with erf, differs from it by up to 4.7e-4 (near |x| = 2.7).
    """
    return 0.5 * x * (1.0 + torch.tanh(SQRT_2_OVER_PI * (x + CUBIC * x**3)))  # eq 4.1


def gate(x: Float[Tensor, "*shape"]) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """x and s with gelu(x) = x s, both at least as wide as float32, so that bfloat16 is rounded once, at the end."""
    wide = x if x.dtype.itemsize >= 4 else x.float()
    u = torch.addcmul(wide, wide * wide, wide, value=CUBIC)
    return wide, u.mul_(2.0 * SQRT_2_OVER_PI).sigmoid_()


class FusedGELU(Function):
    """`gelu` with its gradient written out: fewer passes over memory, and two tensors kept instead of seven.

    As (1 + tanh(z)) / 2 = sigmoid(2 z), gelu(x) = x s(u) with s the sigmoid and u = 2 sqrt(2/pi) (x + 0.044715 x^3);
    its derivative is s(u) (1 + x u' (1 - s(u))).
    """

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        wide, s = gate(x)
        ctx.save_for_backward(x, s)
        return (wide * s).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy: Tensor) -> Tensor:
        x, s = ctx.saved_tensors
        wide = x.to(s.dtype)
        x_du = (wide * wide).mul_(6.0 * SQRT_2_OVER_PI * CUBIC).add_(2.0 * SQRT_2_OVER_PI).mul_(wide)
        return torch.addcmul(x_du, x_du, s, value=-1.0).add_(1.0).mul_(s).mul_(dy).to(x.dtype)


def gelu_fused(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """`gelu` in fewer passes over memory."""
    return FusedGELU.apply(x) if torch.is_grad_enabled() else gelu_no_grad(x)


def gelu_no_grad(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """`gelu_fused` where no gradient is to come, so that autograd need not be told."""
    wide, s = gate(x)
    return s.mul_(wide).to(x.dtype)


class MLP(nn.Module):
    """Widen to d_ff = 4 C channels, bend, and come back (document B 2.2)."""

    def __init__(self, n_embd: int, dropout: float) -> None:
        super().__init__()
        self.c_fc = Linear(n_embd, 4 * n_embd)  # W_1, b_1
        self.c_proj = Linear(4 * n_embd, n_embd)  # W_2, b_2
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "*batch C"]) -> Float[Tensor, "*batch C"]:
        return self.dropout(self.c_proj(gelu_fused(self.c_fc(x))))  # eq 4.2
