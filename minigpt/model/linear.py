"""The linear map that every other part is made of. Read with lesson 04."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

FEW = (2, 16)  # rows, from and to, for which `few_rows` is faster than one product on a CPU
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
        rows = x.flatten(0, -2)
        # addmm is b + x W in one pass over memory; it wants the leading axes as one.
        few = has_few_rows(rows)
        y = few_rows(rows, self.weight) + self.bias if few else torch.addmm(self.bias, rows, self.weight)
        return y.view(*x.shape[:-1], self.weight.shape[1])


def has_few_rows(x: Tensor) -> bool:
    """Whether x W is a step of a few texts' generation on a CPU."""
    at_work = x.dim() == 2 and x.device.type == "cpu" and not torch.is_grad_enabled()
    return at_work and FEW[0] <= x.shape[0] <= FEW[1]


def few_rows(x: Float[Tensor, "N n_in"], weight: Float[Tensor, "n_in n_out"]) -> Float[Tensor, "N n_out"]:
    """x W, a block of W's columns at a time.

    Reading W is nearly all the work for a few rows. The library's product of the whole first copies W into another
    order, through memory; a block's copy stays in the processor's cache.
    """
    n_out = weight.shape[1]
    whole, rest = n_out // BLOCK, n_out % BLOCK
    blocks = weight[:, : n_out - rest].unflatten(1, (whole, BLOCK)).transpose(0, 1)
    y = torch.bmm(x.expand(whole, *x.shape), blocks).transpose(0, 1).flatten(1)
    return y if rest == 0 else torch.cat([y, x @ weight[:, n_out - rest :]], dim=1)
