"""Layer normalization: mean 0 and variance 1 at each position, then a learned scale and shift. Read with lesson 05."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


def layer_norm(
    x: Float[Tensor, "*batch C"], gain: Float[Tensor, " C"], bias: Float[Tensor, " C"], eps: float
) -> Float[Tensor, "*batch C"]:
    """(x - mean) / sqrt(var + eps) * gain + bias over the channels; the variance is the biased one (divided by C)."""
    mean = x.mean(-1, keepdim=True)
    var = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt(var + eps) * gain + bias  # eq 5.1


def layer_norm_fast(
    x: Float[Tensor, "*batch C"], gain: Float[Tensor, " C"], bias: Float[Tensor, " C"], eps: float
) -> Float[Tensor, "*batch C"]:
    """`layer_norm` by torch's kernel; equal forward and backward: tests/model/test_layer_norm.py."""
    return F.layer_norm(x, gain.shape, gain, bias, eps)  # eq 5.1, fast


class LayerNorm(nn.Module):
    """`layer_norm` with its learned gain (named `weight`, as in the official checkpoint) and bias."""

    def __init__(self, n_embd: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n_embd))
        self.bias = nn.Parameter(torch.zeros(n_embd))
        self.eps = eps
        self.explicit = True

    def forward(self, x: Float[Tensor, "*batch C"]) -> Float[Tensor, "*batch C"]:
        form = layer_norm if self.explicit else layer_norm_fast
        return form(x, self.weight, self.bias, self.eps)
