"""Keys and values already computed, so that a new token costs one position of work. Read with lesson 07."""

from collections.abc import Sequence

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
        """Keep the new keys and values at their positions; give back all of the S slots in use."""
        cache, T = self.owner, k.shape[2]
        if cache.together:
            self.keys.narrow(2, cache.slots - T, T).copy_(k)
            self.values.narrow(2, cache.slots - T, T).copy_(v)
        else:
            rows = torch.arange(k.shape[0], device=k.device).unsqueeze(1)
            self.keys[rows, :, cache.positions] = k.transpose(1, 2)
            self.values[rows, :, cache.positions] = v.transpose(1, 2)
        return self.keys.narrow(2, 0, cache.slots), self.values.narrow(2, 0, cache.slots)


class Cache:
    """The keys and values of every layer for B texts of their own lengths, at most `capacity` positions each.

    Slots are absolute positions, so texts of unequal length need no padding on the left: a prompt padded on the
    right leaves junk behind its end, which no query may look at before a real token has taken its place.
    """

    def __init__(
        self, config: GPTConfig, batch: int, capacity: int, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> None:
        if not 0 < capacity <= config.n_ctx:
            raise ValueError(f"A cache of {capacity} positions; this model has from 1 to {config.n_ctx}.")
        shape = (batch, config.n_head, capacity, config.head_width)
        self.layers = [
            LayerCache(
                self, torch.zeros(shape, device=device, dtype=dtype), torch.zeros(shape, device=device, dtype=dtype)
            )
            for _ in range(config.n_layer)
        ]
        self.capacity, self.device = capacity, device
        self._hold([0] * batch)
        self.positions = torch.zeros(batch, 0, dtype=torch.int64, device=device)

    def _hold(self, lengths: Sequence[int]) -> None:
        """Say how many positions each text has; on the host, as asking a GPU for these numbers would stall it."""
        self.lengths = list(lengths)
        self.slots = max(lengths)  # as many as the longest text fills
        # Whether all texts are equally long, so that their new keys and values go to the same slots.
        self.together = min(lengths) == self.slots

    def begin(self, T: int) -> tuple[Int[Tensor, "#B T"], Bool[Tensor, "#B 1 T S"] | None]:
        """Make room for T more tokens a row: their positions, and which slots each of them may look at.

        None stands for the causal mask, as it does for `attend`.
        """
        if self.slots + T > self.capacity:
            raise ValueError(f"The cache holds {self.slots} of {self.capacity} positions; {T} more do not fit.")
        self._hold([length + T for length in self.lengths])
        first = [self.slots - T] if self.together else [length - T for length in self.lengths]
        new = torch.arange(T, device=self.device)
        self.positions = torch.tensor(first, device=self.device).unsqueeze(1) + new
        if self.together:
            return self.positions, None
        slots = torch.arange(self.slots, device=self.device)
        return self.positions, slots <= self.positions[:, None, :, None]

    def trim(self, lengths: Sequence[int]) -> None:
        """Forget what stands at or behind each row's length: how right-padded prompts say where they end."""
        self._hold(lengths)

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows only: the others have ended."""
        chosen = torch.tensor(rows, device=self.device)
        for layer in self.layers:
            layer.keys, layer.values = layer.keys[chosen], layer.values[chosen]
        self._hold([self.lengths[row] for row in rows])
