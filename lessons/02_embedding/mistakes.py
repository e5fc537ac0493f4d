"""Lesson 02's functions with a switch for each typical mistake; without one they are right."""

import math

import torch
from torch import Tensor

from minigpt.model.embedding import Embedding


def one_hot(
    ids: Tensor, V: int, *, counted_from_one=False, id_written=False, inverted=False, whole_text=False,
    transposed=False, whole_numbers=False,
) -> Tensor:  # fmt: skip
    place = (ids - 1) % V if counted_from_one else ids
    found = place.unsqueeze(-1) == torch.arange(V)
    found = ~found if inverted else found
    found = found * ids.unsqueeze(-1) if id_written else found
    found = found.sum(-2) if whole_text else found
    found = found.movedim(-1, 0) if transposed else found
    return found.long() if whole_numbers else found.float()


def embed(
    wte: Embedding, wpe: Embedding, ids: Tensor, positions: Tensor, *, position_forgotten=False, id_as_position=False,
    always_from_zero=False, positions_from_one=False, first_text=False, tables_swapped=False, multiplied=False,
    concatenated=False, scaled=False,
) -> Tensor:  # fmt: skip
    if always_from_zero:
        positions = torch.arange(ids.shape[1], device=ids.device).unsqueeze(0)
    positions = positions[:1] if first_text else positions
    positions = ids if id_as_position else positions + positions_from_one
    wte, wpe = (wpe, wte) if tables_swapped else (wte, wpe)
    tokens, places = wte.weight[ids], wpe.weight[positions]
    tokens = tokens * math.sqrt(tokens.shape[-1]) if scaled else tokens
    if concatenated:
        return torch.cat([tokens, places.expand_as(tokens)], -1)
    if multiplied:
        return tokens * places
    return tokens if position_forgotten else tokens + places


def nearest(
    table: Tensor, row: int, k: int, *, lengths_kept=False, by_distance=False, itself_kept=False, furthest=False,
    reversed_order=False, opposites=False,
) -> Tensor:  # fmt: skip
    rows = table if lengths_kept else table / table.norm(dim=1, keepdim=True)
    closeness = -(table - table[row]).norm(dim=1) if by_distance else rows @ rows[row]
    closeness = closeness.abs() if opposites else closeness
    closeness = -closeness if furthest else closeness
    if not itself_kept:
        closeness[row] = -torch.inf
    found = closeness.topk(k).indices
    return found.flip(0) if reversed_order else found


def lookup_backward(
    ids: Tensor, d_rows: Tensor, n_rows: int, *, last_one_wins=False, averaged=False, by_position=False,
    counted=False, everywhere=False, wrong_sign=False,
) -> Tensor:  # fmt: skip
    C = d_rows.shape[-1]
    if by_position:
        ids = torch.arange(ids.shape[-1]).expand(ids.shape)
    flat, rows = ids.flatten(), d_rows.reshape(-1, C)
    rows = torch.ones_like(rows) if counted else rows
    found = rows.new_zeros(n_rows, C)
    if last_one_wins:
        for i, row in zip(flat.tolist(), rows, strict=True):
            found = found.index_fill(0, torch.tensor(i), 0.0).index_add(0, torch.tensor([i]), row.unsqueeze(0))
    else:
        found = found.index_add(0, flat, rows)
    if averaged:
        found = found / flat.bincount(minlength=n_rows).clamp(min=1).unsqueeze(1)
    found = rows.sum(0).expand(n_rows, C) if everywhere else found
    return -found if wrong_sign else found


def nearest_row(x: Tensor, table: Tensor) -> Tensor:
    return (x.unsqueeze(1) - table).norm(dim=-1).argmin(1)


def read_back(
    x: Tensor, E: Tensor, P: Tensor, *, token_first=False, position_first=False, lengths_ignored=False,
    product_ignored=False, wrong_divisor=False, swapped=False,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    if token_first:
        ids = nearest_row(x, E)
        positions = nearest_row(x - E[ids], P)
    elif position_first:
        positions = nearest_row(x, P)
        ids = nearest_row(x - P[positions], E)
    else:
        scores = (x @ E.T).unsqueeze(2) + (x @ P.T).unsqueeze(1)
        if not lengths_ignored:
            scores = scores - (E.pow(2).sum(1).unsqueeze(1) + P.pow(2).sum(1)) / 2
            scores = scores if product_ignored else scores - E @ P.T
        best, width = scores.flatten(1).argmax(1), len(E) if wrong_divisor else len(P)
        ids, positions = best // width, best % width
    return (positions, ids) if swapped else (ids, positions)
