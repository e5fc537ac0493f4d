"""One answer to each exercise of lesson 02."""

import torch
from torch import Tensor

from minigpt.model.embedding import Embedding


def one_hot(ids: Tensor, V: int) -> Tensor:
    return (ids.unsqueeze(-1) == torch.arange(V)).float()


def embed(wte: Embedding, wpe: Embedding, ids: Tensor, positions: Tensor) -> Tensor:
    return wte.weight[ids] + wpe.weight[positions]


def nearest(table: Tensor, row: int, k: int) -> Tensor:
    directions = table / table.norm(dim=1, keepdim=True)
    cosines = directions @ directions[row]
    cosines[row] = -torch.inf
    return cosines.topk(k).indices


def lookup_backward(ids: Tensor, d_rows: Tensor, n_rows: int) -> Tensor:
    C = d_rows.shape[-1]
    return d_rows.new_zeros(n_rows, C).index_add(0, ids.flatten(), d_rows.reshape(-1, C))


def read_back(x: Tensor, E: Tensor, P: Tensor) -> tuple[Tensor, Tensor]:
    # |x - e - p|^2 = |x|^2 - 2 (x e + x p - |e|^2 / 2 - |p|^2 / 2 - e p): the pair with the largest bracket is nearest.
    of_ids = x @ E.T - E.pow(2).sum(1) / 2  # (N, V)
    of_positions = x @ P.T - P.pow(2).sum(1) / 2  # (N, n_ctx)
    best = (of_ids.unsqueeze(2) + of_positions.unsqueeze(1) - E @ P.T).flatten(1).argmax(1)
    return best // len(P), best % len(P)
