"""Lesson 07's exercises: `pytest lessons/07_generation` says how far you are.

turtle: a formula, 5 to 10 minutes; dog: a small program, 15 to 30; lion: measured against the real thing.
"""

from collections.abc import Callable, Collection

from jaxtyping import Float, Int
from torch import Tensor


def at_temperature(logits: Float[Tensor, "B V"], temperature: float) -> Float[Tensor, "B V"]:
    """Turtle, 5 minutes. P(. | x_<t) at a temperature above 0: a row of probabilities for each row of logits."""
    raise NotImplementedError


def keep_top_k(logits: Float[Tensor, "B V"], k: int) -> Float[Tensor, "B V"]:
    """Turtle, 10 minutes. The logits, with minus infinity in place of all that are below the k-th best of their row.

    Logits equal to the k-th best stay. A k above V means V.
    """
    raise NotImplementedError


def keep_top_p(logits: Float[Tensor, "B V"], p: float) -> Float[Tensor, "B V"]:
    """Dog, 25 minutes. The logits, with minus infinity in place of the improbable tail of their row.

    What stays are the fewest best tokens whose probabilities add up to p or more, and always the best one. Sort upward
    and drop from the small end, as long as what is dropped adds up to at most 1 - p: then equal tokens at the edge are
    treated as the package and transformers treat them.
    """
    raise NotImplementedError


def continue_greedily(
    logits_of: Callable[[Int[Tensor, "1 T"]], Float[Tensor, "1 T V"]],
    ids: list[int],
    max_new_tokens: int,
    n_ctx: int,
    stop: Collection[int],
) -> list[int]:
    """Dog, 20 minutes. The new ids that greedily continue `ids`: the loop, without a cache.

    `logits_of` is the model; it reads at most n_ctx tokens. The loop ends after max_new_tokens, before the first token
    in `stop`, or when the context is full. A token drawn after the context's last position is still returned, because
    nothing has to read it.
    """
    raise NotImplementedError


def probabilities(
    logits: Float[Tensor, "B V"], temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Float[Tensor, "B V"]:
    """Lion, 30 minutes. The sampler: P(. | x_<t) after temperature (above 0), top-k and top-p, in that order.

    In float32, whatever the logits are in. When this one is right, let a trained model talk through it:
    python -m lessons.harness.mine lessons/07_generation/exercises.py minigpt.chat --model lessons/model
    """
    raise NotImplementedError
