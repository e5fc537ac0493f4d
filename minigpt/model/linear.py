"""The linear map that every other part is made of. Read with lesson 04."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

FEW = 16  # rows, up to which `few_rows` is faster than the library's product and sum on a CPU
BLOCK = 192  # columns at a time


class Linear(nn.Module):
    """y = x W + b, for x (..., n_in), W (n_in, n_out), b (n_out) and y (..., n_out).

    W is stored (in, out), as in the official checkpoint and as the documents write it (X W_Q, x W_1):
    torch.nn.Linear stores the transpose.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_in, n_out))
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x: Float[Tensor, "*batch n_in"]) -> Float[Tensor, "*batch n_out"]:
        y = linear(x.reshape(-1, x.shape[-1]), self.weight, self.bias)
        return y.view(*x.shape[:-1], y.shape[1])


def linear(
    x: Float[Tensor, "N n_in"], weight: Float[Tensor, "n_in n_out"], bias: Float[Tensor, " n_out"]
) -> Float[Tensor, "N n_out"]:
    """x W + b for N rows."""
    if has_few_rows(x):
        return linear_few(x, weight, bias)
    return torch.addmm(bias, x, weight)  # one pass over memory


def linear_few(
    x: Float[Tensor, "N n_in"], weight: Float[Tensor, "n_in n_out"], bias: Float[Tensor, " n_out"]
) -> Float[Tensor, "N n_out"]:
    """`linear` for rows that `has_few_rows` has found few."""
    return few_rows(x, weight).add_(bias)


def has_few_rows(x: Tensor) -> bool:
    """Whether x W is a step of a few texts' generation on a CPU."""
    return x.shape[0] <= FEW and x.device.type == "cpu" and not torch.is_grad_enabled()


def few_rows(x: Float[Tensor, "N n_in"], weight: Float[Tensor, "n_in n_out"]) -> Float[Tensor, "N n_out"]:
    """x W; for more than one row, a block of W's columns at a time.

    Reading W is nearly all the work for a few rows. The library's product of the whole first copies W into another
    order, through memory; a block's copy stays in the processor's cache.
    """
    if len(x) <= 1:
        return torch.mm(x, weight)
    n_out = weight.shape[1]
    whole, rest = n_out // BLOCK, n_out % BLOCK
    blocks = weight[:, : n_out - rest].unflatten(1, (whole, BLOCK)).transpose(0, 1)
    y = torch.bmm(x.expand(whole, *x.shape), blocks).transpose(0, 1).flatten(1)
    return y if rest == 0 else torch.cat([y, x @ weight[:, n_out - rest :]], dim=1)
