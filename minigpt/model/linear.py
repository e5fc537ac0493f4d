"""The linear map that every other part is made of. Read with lesson 04."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


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
        y = torch.addmm(self.bias, x.reshape(-1, x.shape[-1]), self.weight)  # product and sum in one pass over memory
        return y.view(*x.shape[:-1], y.shape[1])
