"""Bootstrap confidence intervals."""

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
    """The percentile bootstrap's 95% interval of a figure computed from the sums of n rows' k columns.

    n rows are drawn with replacement, and the figure computed again, many times (Efron, "Bootstrap methods", 1979).
    Two models measured on the same rows are compared by one statistic of both their columns, so that each draw takes
    the same rows for both. If all rows are equal, such as when no answer is right, the interval is a point.
    """
    draw, n = np.random.default_rng(seed).integers, len(rows)
    times = (np.bincount(draw(n, size=n), minlength=n) for _ in range(RESAMPLES))  # how often each row was drawn
    figures = statistic(np.stack([drawn @ rows for drawn in times]))
    low, high = np.quantile(figures, [(1 - COVERED) / 2, (1 + COVERED) / 2])
    return float(low), float(high)
