"""How far a figure could have come out otherwise, had other rows been drawn. Read with lesson 14."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

RESAMPLES = 2000
COVERED = 0.95


def bootstrap(
    statistic: Callable[[Float[np.ndarray, "n k"]], float], rows: Float[np.ndarray, "n k"], seed: int = 0
) -> tuple[float, float]:
    """The percentile bootstrap's 95 % interval of a figure that is worked out from n rows of k numbers.

    As many rows are drawn with replacement, again and again, and the figure worked out anew (Efron, "Bootstrap
    methods", 1979). Two models measured on the same rows are compared by one statistic of both their columns, so that
    each draw takes the same rows for both. If all rows are alike, as where no answer is right, the interval is a point.
    """
    draw = np.random.default_rng(seed).integers
    figures = [statistic(rows[draw(len(rows), size=len(rows))]) for _ in range(RESAMPLES)]
    low, high = np.quantile(figures, [(1 - COVERED) / 2, (1 + COVERED) / 2])
    return float(low), float(high)
