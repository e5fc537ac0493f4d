"""The rows of each step, and batches of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from minigpt.text.examples import Example


@dataclass(frozen=True)
class Batch:
    """Rows padded on the right: input ids, the next ids as targets, and which targets are supervised."""

    ids: Int[Tensor, "B T"]
    targets: Int[Tensor, "B T"]
    supervised: Bool[Tensor, "B T"]


def step_rows(step: int, batch_size: int, n_rows: int, seed: int) -> list[int]:
    """The rows of step 1, 2, ...: each epoch is a new shuffle, and a step may span two epochs.

    A function of its arguments alone, so a resumed run needs no state to continue in the same order.
    """
    rows: list[int] = []
    position = (step - 1) * batch_size
    while len(rows) < batch_size:
        epoch, start = divmod(position + len(rows), n_rows)
        rows += _order(seed, epoch, n_rows)[start : start + batch_size - len(rows)].tolist()
    return rows


@lru_cache(maxsize=2)  # a step may span two epochs; millions of rows take a second to shuffle
def _order(seed: int, epoch: int, n_rows: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(n_rows)


def split_by_length(lengths: Sequence[int], overhead: int, most: int, room: float = math.inf) -> list[list[int]]:
    """Indices in groups of similar length, at most `most` per group, such that padding and overhead cost least.

    A group of several has at most `room` tokens, with its padding.

    A group costs its longest length times its size, plus `overhead` (what a forward and backward costs before the
    first token, in tokens). Sorted by length the best groups are contiguous, so dynamic programming finds them.
    """
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    best: list[tuple[float, int]] = [(0.0, 0)]  # for the first n rows: the least cost, and where its last group starts
    for n in range(1, len(order) + 1):
        longest = lengths[order[n - 1]]
        first = max(0, n - most, n - max(1, int(min(room, n * longest) // longest)))
        best.append(min((best[i][0] + longest * (n - i) + overhead, i) for i in range(first, n)))
    groups, n = [], len(order)
    while n:
        groups.append(order[best[n][1] : n])
        n = best[n][1]
    return groups[::-1]


def share(
    lengths: Sequence[int], hand: int, hands: int, overhead: int, most: int, room: float = math.inf
) -> list[list[int]]:
    """The micro-batches of process `hand` of `hands`: indices, grouped as by `split_by_length`.

    Sorted by length the rows are dealt, one to each process at a time, and the deals are grouped: so every process has
    as many micro-batches, of much the same lengths, and knows that without asking.
    """
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    deals = [order[i : i + hands] for i in range(0, len(order), hands)]
    groups = split_by_length([lengths[deal[-1]] for deal in deals], overhead, most, room)
    return [[deals[i][hand] for i in group] for group in groups]


def used_length(example: Example) -> int:
    """Positions the model must read to train on this row: up to the one before its last supervised token."""
    return max(i for i, is_supervised in enumerate(example.supervised) if is_supervised)


def collate(examples: Sequence[Example], device: torch.device, pad: int = 0) -> Batch:
    """These rows as one batch. Padding is never supervised and, being on the right, never attended to, so any id can be
    used for it."""
    T = max(used_length(example) for example in examples)

    def padded(rows: list[list], filler: int | bool) -> Tensor:
        return torch.tensor([(row + [filler] * T)[:T] for row in rows])

    # The token at t is predicted from those before it: targets and mask are shifted by one.
    batch = Batch(
        padded([example.ids for example in examples], pad),
        padded([example.ids[1:] for example in examples], pad),
        padded([example.supervised[1:] for example in examples], False),
    )
    if device.type == "cpu":
        return batch
    tensors = (batch.ids, batch.targets, batch.supervised)
    if device.type == "cuda":  # pinned memory, so that the copy is asynchronous
        return Batch(*(tensor.pin_memory().to(device, non_blocking=True) for tensor in tensors))
    return Batch(*(tensor.to(device) for tensor in tensors))
