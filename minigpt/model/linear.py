"""The linear layer that every other part is built from. Read with lesson 04."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

FEW = 16  # rows of a product in a step of generation, up to which `linear_fast` splits it
PARTS = 8


def linear(x: Float[Tensor, "N n_in"], W: Float[Tensor, "n_in n_out"], b: Float[Tensor, " n_out"]) -> Tensor:
    """x W + b, (N, n_out), in one pass over memory."""
    return torch.addmm(b, x, W)


def linear_fast(x: Float[Tensor, "N n_in"], W: Float[Tensor, "n_in n_out"], b: Float[Tensor, " n_out"]) -> Tensor:
    """`linear`, for few rows as a sum over parts of W that the cores share; equal: tests/model/test_linear.py.

    Reading W is then nearly all the work, and one core, to which torch leaves such a product, reads at half the speed.
    """
    if not is_few(x) or len(W) % PARTS:
        return linear(x, W, b)
    if torch.compiler.is_compiling() and len(x) == 1:
        return (x.t() * W).sum(0, keepdim=True) + b  # --compile makes it one loop, which reads W once
    return torch.bmm(x.unflatten(1, (PARTS, -1)).transpose(0, 1), W.unflatten(0, (PARTS, -1))).sum(0) + b


def is_few(x: Float[Tensor, "N n_in"]) -> bool:
    """Whether these are the rows of a step of a few texts' generation on a CPU."""
    return len(x) <= FEW and x.device.type == "cpu" and not torch.is_grad_enabled()


class Linear(nn.Module):
    """y = x W + b, for x (..., n_in), W (n_in, n_out), b (n_out) and y (..., n_out).

    W is stored (in, out), as in the official checkpoint and as the documents write it (X W_Q, x W_1):
    torch.nn.Linear stores the transpose.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_in, n_out))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.explicit = True

    def forward(self, x: Float[Tensor, "*batch n_in"]) -> Float[Tensor, "*batch n_out"]:
        form = linear if self.explicit else linear_fast
        return form(x.reshape(-1, x.shape[-1]), self.weight, self.bias).view(*x.shape[:-1], self.weight.shape[1])
