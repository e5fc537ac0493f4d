"""How far a figure could have come out otherwise, had other rows been drawn. Read with lesson 14."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

RESAMPLES = 2000
COVERED = 0.95


def bootstrap(
    statistic: Callable[[Float[np.ndarray, "*draws k"]], Float[np.ndarray, "*draws"]],
    rows: Float[np.ndarray, "n k"],
    seed: int = 0,
) -> tuple[float, float]:
    """The percentile bootstrap's 95 % interval of a figure that is worked out from the sums of n rows' k columns.

    As many rows are drawn with replacement, again and again, and the figure worked out anew (Efron, "Bootstrap
    methods", 1979). Two models measured on the same rows are compared by one statistic of both their columns, so that
    each draw takes the same rows for both. If all rows are alike, as where no answer is right, the interval is a point.
    """
    draw, n = np.random.default_rng(seed).integers, len(rows)
    times = (np.bincount(draw(n, size=n), minlength=n) for _ in range(RESAMPLES))  # how often each row was drawn
    figures = statistic(np.stack([drawn @ rows for drawn in times]))
    low, high = np.quantile(figures, [(1 - COVERED) / 2, (1 + COVERED) / 2])
    return float(low), float(high)
