"""Key-value cache: a new token costs one position of work. Read with lesson 07."""

from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from minigpt.config import GPTConfig


class LayerCache:
    """One layer's keys and values: slot s of row b holds position s of that row's text."""

    def __init__(self, owner: "Cache", keys: Tensor, values: Tensor) -> None:
        self.owner, self.keys, self.values = owner, keys, values

    def extend(
        self, k: Float[Tensor, "B H T D"], v: Float[Tensor, "B H T D"]
    ) -> tuple[Float[Tensor, "B H S D"], Float[Tensor, "B H S D"]]:
        """Store the new keys and values at their positions; return those of all S positions in use."""
        cache, T = self.owner, k.shape[2]
        if cache.equal_lengths:
            self.keys.narrow(2, cache.length - T, T).copy_(k)
            self.values.narrow(2, cache.length - T, T).copy_(v)
        else:
            rows = torch.arange(k.shape[0], device=k.device).unsqueeze(1)
            self.keys[rows, :, cache.positions] = k.transpose(1, 2)
            self.values[rows, :, cache.positions] = v.transpose(1, 2)
        return self.keys.narrow(2, 0, cache.length), self.values.narrow(2, 0, cache.length)


class Cache:
    """The keys and values of every layer for B texts of any lengths, at most `capacity` positions each.

    Slots are absolute positions, so texts of unequal length need no padding on the left: a prompt padded on the
    right leaves unused entries after its end, which no query may attend to before a real token overwrites them.
    """

    def __init__(
        self, config: GPTConfig, batch: int, capacity: int, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> None:
        if not 0 < capacity <= config.n_ctx:
            raise ValueError(f"A cache cannot have {capacity} positions; this model allows 1 to {config.n_ctx}.")
        # The last slot stays free: the entries in use are never all, which torch.compile would take for another layout.
        shape = (batch, config.n_head, capacity + 1, config.head_width)
        new = partial(torch.zeros, shape, device=device, dtype=dtype)
        self.layers = [LayerCache(self, new(), new()) for _ in range(config.n_layer)]
        self.capacity, self.device = capacity, device
        self._set_lengths([0] * batch)
        self.positions = torch.zeros(batch, 0, dtype=torch.int64, device=device)

    def _set_lengths(self, lengths: Sequence[int]) -> None:
        """Set how many positions each text has; kept on the host, because reading them from a GPU would stall it."""
        self.lengths = list(lengths)
        self.length = max(lengths)  # S, the positions of the longest text
        self.equal_lengths = min(lengths) == self.length  # then new keys and values go to the same slots in all rows

    def append(self, T: int) -> tuple[Int[Tensor, "#B T"], Bool[Tensor, "#B 1 T S"] | None]:
        """Make room for T more tokens per row; return their positions, and the mask of slots that each may attend to.

        A mask of None is the causal mask, as it is for `attend`.
        """
        if self.length + T > self.capacity:
            raise ValueError(f"The cache holds {self.length} of {self.capacity} positions; {T} more do not fit.")
        self._set_lengths([length + T for length in self.lengths])
        first = [self.length - T] if self.equal_lengths else [length - T for length in self.lengths]
        new = torch.arange(T, device=self.device)
        self.positions = torch.tensor(first, device=self.device).unsqueeze(1) + new
        if self.equal_lengths:
            return self.positions, None
        slots = torch.arange(self.length, device=self.device)
        return self.positions, slots <= self.positions[:, None, :, None]

    def trim(self, lengths: Sequence[int]) -> None:
        """Drop the entries at and after each row's length, such as the padding of right-padded prompts."""
        self._set_lengths(lengths)

    def select_rows(self, rows: Sequence[int]) -> None:
        """Keep only these rows."""
        chosen = torch.tensor(rows, device=self.device)
        for layer in self.layers:
            layer.keys, layer.values = layer.keys[chosen], layer.values[chosen]
        self._set_lengths([self.lengths[row] for row in rows])
