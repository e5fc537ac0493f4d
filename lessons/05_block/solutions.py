"""One answer to each exercise of lesson 05."""

import math

import torch
from torch import Tensor


def layer_norm(x: Tensor, gain: Tensor, bias: Tensor, eps: float) -> Tensor:
    centered = x - x.mean(-1, keepdim=True)
    variance = (centered**2).mean(-1, keepdim=True)
    return centered / torch.sqrt(variance + eps) * gain + bias


def projection_std(std: float, n_layer: int) -> float:
    return std / math.sqrt(2 * n_layer)  # two parts a layer; the sizes of independent vectors add up in squares


def block(self, x: Tensor, cache=None, mask: Tensor | None = None, at: Tensor | None = None) -> Tensor:
    x = x + self.attn(self.ln_1(x), cache, mask)
    if at is not None:
        x = x[at]
    return x + self.mlp(self.ln_2(x))


def layer_norm_backward(x: Tensor, gain: Tensor, eps: float, d_y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    centered = x - x.mean(-1, keepdim=True)
    root = torch.sqrt((centered**2).mean(-1, keepdim=True) + eps)
    n = centered / root  # y = n gain + bias
    d_n = d_y * gain
    # A channel of x moves n three ways: itself, through the mean, and through the variance.
    d_x = (d_n - d_n.mean(-1, keepdim=True) - n * (d_n * n).mean(-1, keepdim=True)) / root
    positions = tuple(range(x.dim() - 1))
    return d_x, (d_y * n).sum(positions), d_y.sum(positions)
