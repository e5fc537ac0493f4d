"""Plain text as one stream of tokens, cut into rows of T_max; every token but the first is predicted once an epoch."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from minigpt.text.examples import Example

HELD_OUT = 20  # without --valid, the last twentieth of each document


class Stream(Sequence):
    """Parts of memory-mapped arrays of ids, read as one array without holding it."""

    def __init__(self, sources: Sequence[np.ndarray], parts: Int[np.ndarray, "n 3"]) -> None:
        """`parts` has a source, a start and an end a line."""
        self.sources, self.parts = sources, parts
        self.ends = np.cumsum(parts[:, 2] - parts[:, 1])

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def __getitem__(self, where: slice) -> np.ndarray:
        start, stop, _ = where.indices(len(self))
        found = []
        while start < stop:
            i = int(np.searchsorted(self.ends, start, side="right"))
            source, _, end = self.parts[i].tolist()
            at = end - (int(self.ends[i]) - start)
            n = min(stop - start, end - at)
            found.append(self.sources[source][at : at + n])
            start += n
        return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)


class TextRows(Sequence[Example]):
    """A stream as rows of at most `t_max` inputs, every token but the first predicted once.

    With `stride` = t_max the rows are disjoint windows. With a smaller one the window slides: each row predicts
    `stride` tokens, the first row as many as it has, from the t_max - stride or more before them.
    """

    def __init__(self, stream: Stream, t_max: int, name: str, stride: int | None = None) -> None:
        self.stream, self.t_max, self.name, self.stride = stream, t_max, name, stride or t_max

    def __len__(self) -> int:
        predicted = len(self.stream) - 1
        return 0 if predicted < 1 else 1 + max(0, -(-(predicted - self.t_max) // self.stride))

    def __getitem__(self, i: int | slice) -> "Example | list[Example]":
        if isinstance(i, slice):
            return [self[j] for j in range(*i.indices(len(self)))]
        if not 0 <= i < len(self):
            raise IndexError(i)
        first = 1 + (self.t_max + (i - 1) * self.stride if i else 0)  # the first and the last token to predict
        last = min(self.t_max + i * self.stride, len(self.stream) - 1)
        start = max(0, last - self.t_max)
        ids = self.stream[start : last + 1].tolist()
        context = first - start
        return Example(ids, [False] * context + [True] * (len(ids) - context), f"{self.name}, tokens {first} to {last}")


def held_out(sources: Sequence[np.ndarray], bos: int) -> tuple[Int[np.ndarray, "n 3"], Int[np.ndarray, "m 3"]]:
    """The parts of each document to train on, and its last twentieth, with <|endoftext|> before it."""
    train, valid = [], []
    for i, source in enumerate(sources):
        starts = np.flatnonzero(source == bos)
        ends = np.append(starts[1:], len(source))
        cuts = ends - (ends - starts - 1) // HELD_OUT
        train.append(np.stack([np.full_like(starts, i), starts, cuts], 1))
        tails = np.stack([np.full_like(starts, i), starts, starts + 1, np.full_like(starts, i), cuts, ends], 1)
        valid.append(tails[cuts < ends].reshape(-1, 3))
    return np.concatenate(train), np.concatenate(valid)
