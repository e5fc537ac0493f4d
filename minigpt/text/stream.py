"""Plain text as one stream of tokens, cut into rows of T_max; every token but the first is predicted once an epoch."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from minigpt.text.examples import Example

CHUNK = 2**22  # tokens
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
        start = max(0, last - self.t_max) if self.stride < self.t_max else first - 1
        ids = self.stream[start : last + 1].tolist()
        context = first - start
        return Example(
            ids, [False] * context + [True] * (len(ids) - context), f"{self.name}, predicting tokens {first} to {last}"
        )


def document_starts(source: np.ndarray, bos: int) -> Int[np.ndarray, " n"]:
    """Where <|endoftext|> is, looking at some millions of tokens at a time."""
    parts = [at + np.flatnonzero(source[at : at + CHUNK] == bos) for at in range(0, len(source), CHUNK)]
    return np.concatenate(parts)


def held_out(
    sources: Sequence[np.ndarray], bos: int, t_max: int
) -> tuple[Int[np.ndarray, "n 3"], Int[np.ndarray, "m 3"]]:
    """The parts of each document to train on, and its last twentieth, with <|endoftext|> before it.

    A twentieth shorter than `t_max` would be the end of a text without its beginning. So of many short documents the
    last twentieth of them is held out whole.
    """
    train, valid = [], []
    for i, source in enumerate(sources):
        starts = document_starts(source, bos)
        ends = np.append(starts[1:], len(source))
        tails = (ends - starts - 1) // HELD_OUT
        short = np.flatnonzero(tails < t_max)
        if len(short) >= HELD_OUT:
            tails[short] = 0
            last = short[-(len(short) // HELD_OUT) :]
            tails[last] = (ends - starts)[last]
        cuts = ends - tails
        source_of = np.full_like(starts, i)
        train.append(np.stack([source_of, starts, cuts], 1)[starts < cuts])
        firsts = np.where(starts < cuts, starts + 1, starts)  # no second <|endoftext|> before a whole document
        valid.append(np.stack([source_of, starts, firsts, source_of, cuts, ends], 1)[cuts < ends].reshape(-1, 3))
    return np.concatenate(train), np.concatenate(valid)
