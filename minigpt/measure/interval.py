"""Confidence intervals: the bootstrap for losses, score intervals for shares."""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

RESAMPLES = 2000
AT_ONCE = 500_000  # ratings that are drawn at a time: a bound of memory, beside the table
COVERED = 0.95
Z = 1.959963984540054  # a standard normal is within plus and minus Z with probability COVERED


def bootstrap(
    statistic: Callable[[Float[np.ndarray, "*draws k"]], Float[np.ndarray, "*draws"]],
    rows: Float[np.ndarray, "n k"],
    seed: int = 0,
) -> tuple[float, float]:
    """The percentile bootstrap's 95% interval of a figure computed from the sums of n rows' k columns.

    n rows are drawn with replacement, and the figure computed again, many times (Efron, "Bootstrap methods", 1979).
    Two models measured on the same rows are compared by one statistic of both their columns, so that each draw takes
    the same rows for both. If all rows are equal the interval is a point, which says nothing: for a share, whose rows
    often are, there is `wilson`, and for the difference of two `newcombe`.
    """
    draw, n = np.random.default_rng(seed).integers, len(rows)
    times = (np.bincount(draw(n, size=n), minlength=n) for _ in range(RESAMPLES))  # how often each row was drawn
    return percentiles(statistic(np.stack([drawn @ rows for drawn in times])))


def bootstrap_within(
    statistic: Callable[[Float[np.ndarray, "draws items raters"]], Float[np.ndarray, " draws"]],
    ratings: Float[np.ndarray, "items raters"],
    seed: int = 0,
) -> tuple[float, float]:
    """The two-stage percentile bootstrap's 95% interval of a figure computed from a table of ratings, NaN where there
    is no rating; each item has one at least.

    As many items as there are are drawn with replacement, and for each drawn item as many ratings as it has, from its
    own, with replacement (Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8).
    `statistic` gets the tables drawn, a stack of them at a time. A drawn item's ratings come first in its row, in no
    order, and NaN after them; there are as many columns as the item with the most ratings has.
    """
    draw, count = np.random.default_rng(seed).integers, (~np.isnan(ratings)).sum(axis=1)
    first = np.sort(ratings, axis=1)[:, : count.max()]  # NaN is sorted to the end
    n, most = first.shape
    figures = []
    for start in range(0, RESAMPLES, step := max(1, AT_ONCE // first.size)):
        items = draw(n, size=(min(step, RESAMPLES - start), n, 1))
        within = draw(count[items], size=(*items.shape[:2], most))
        figures.append(statistic(np.where(np.arange(most) < count[items], first[items, within], np.nan)))
    return percentiles(np.concatenate(figures))


def percentiles(figures: Float[np.ndarray, " draws"]) -> tuple[float, float]:
    """The ends of the middle 95% of what the draws gave."""
    low, high = np.quantile(figures, [(1 - COVERED) / 2, (1 + COVERED) / 2])
    return float(low), float(high)


def wilson(right: int, n: int) -> tuple[float, float]:
    """The 95% score interval of a share, `right` of n rows (Wilson, 1927): the shares p from which right / n is less
    than Z standard errors of p away. None of 8 gives 0 to 0.32, not 0 to 0."""
    share, z2 = right / n, Z**2 / n
    middle = (share + z2 / 2) / (1 + z2)
    half = math.sqrt(z2 * (share * (1 - share) + z2 / 4)) / (1 + z2)
    return (0.0 if right == 0 else middle - half), (1.0 if right == n else middle + half)


def newcombe(first: int, second: int, n: int) -> tuple[float, float]:
    """The 95% interval of (second - first) / n, the difference of two shares of the same n rows, all of which have the
    same difference: no row changed, or every row did.

    By method 10 of Newcombe ("Improved confidence intervals for the difference between binomial proportions based on
    paired data", 1998), from the two Wilson intervals and the correlation of the two sides, corrected for continuity.
    """
    (low_1, high_1), (low_2, high_2) = wilson(first, n), wilson(second, n)
    share_1, share_2 = first / n, second / n
    agreeing = first * (n - first) if first == second else 0
    correlation = max(0.0, agreeing - n / 2) / agreeing if agreeing else 0.0

    def distance(a: float, b: float) -> float:
        return math.sqrt(a * a - 2 * correlation * a * b + b * b)

    low = share_2 - share_1 - distance(share_2 - low_2, high_1 - share_1)
    high = share_2 - share_1 + distance(share_1 - low_1, high_2 - share_2)
    return max(-1.0, low), min(1.0, high)
