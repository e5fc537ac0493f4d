"""Token and position embeddings. Read with lesson 02."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class Embedding(nn.Module):
    """A table with one learned row per id: ids (...) select rows (..., C). E and P in the documents."""

    def __init__(self, n_rows: int, n_embd: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_rows, n_embd))

    def forward(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch C"]:
        # The same as self.weight[ids], whose gradient is several times slower to accumulate on a CPU.
        return torch.index_select(self.weight, 0, ids.flatten()).view(*ids.shape, -1)


def embed(
    wte: Embedding, wpe: Embedding, ids: Int[Tensor, "B T"], positions: Int[Tensor, "#B T"]
) -> Float[Tensor, "B T C"]:
    """Token embedding plus position embedding (document D 2.2; the documents leave out P, GPT-2 adds it)."""
    return wte(ids) + wpe(positions)  # eq 2.1
