"""The position-wise feed-forward network and its GELU. Read with lesson 04."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from minigpt.model.linear import Linear

CUBIC = 0.044715  # Hendrycks and Gimpel, "Gaussian Error Linear Units" (2016), section 2


def gelu(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """x Phi(x), Phi the standard normal CDF, in the tanh approximation that GPT-2 was trained with.

    The exact form, with erf, differs from it by up to 4.7e-4 (near |x| = 2.7).
    """
    return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + CUBIC * x**3)))  # eq 4.1


def gelu_fast(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """`gelu` by torch's kernel; equal forward and backward: tests/model/test_mlp.py."""
    return F.gelu(x, approximate="tanh")  # eq 4.1, fast


class MLP(nn.Module):
    """Linear to d_ff = 4 C channels, GELU, linear back to C (document B 2.2)."""

    def __init__(self, n_embd: int, dropout: float) -> None:
        super().__init__()
        self.c_fc = Linear(n_embd, 4 * n_embd)  # W_1, b_1
        self.c_proj = Linear(4 * n_embd, n_embd)  # W_2, b_2
        self.dropout = nn.Dropout(dropout)
        self.explicit = True

    def forward(self, x: Float[Tensor, "*batch C"]) -> Float[Tensor, "*batch C"]:
        activation = gelu if self.explicit else gelu_fast
        return self.dropout(self.c_proj(activation(self.c_fc(x))))  # eq 4.2
