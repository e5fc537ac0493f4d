"""Ratings that people give to answers."""

import math
from typing import Literal

import krippendorff
import numpy as np
from jaxtyping import Float

from minigpt.measure.interval import Z, bootstrap_within

Z_POWER = 0.8416212335729143  # a standard normal is below it with probability 0.8
ROUNDING = 1e-12  # of the largest difference: thirds and sevenths that cancel leave a mean of this size
FEWEST = 6  # items: if fewer have a winner, the sign test's p is above 0.05 even where all have the same one


def mean_rating(ratings: Float[np.ndarray, "items raters"]) -> tuple[float, float, float]:
    """A model's mean rating on one criterion (document A 6.2: accuracy, naturalness, reasoning), with both ends of its
    95% interval.

    `ratings` has a row for each answer that was rated and a column for each rater, on any scale; NaN where a rater did
    not see an answer or cannot judge it. With J_i the raters who judged answer i, of n answers that somebody judged,

        r = 1/n sum_i 1/|J_i| sum over j in J_i of r_ij

    so that each answer counts once, however many rated it. Answers that nobody judged are left out; ValueError if that
    is all of them.

    The interval is `bootstrap_within`'s: it says how r may differ on other answers, each rated by other people. With
    one rater it is the plain bootstrap of the answers. With m ratings of each it is a little too wide: if the answers'
    true means have the variance s_i^2, and ratings of one answer s_r^2, r has (s_i^2 + s_r^2 / m) / n, and the draws
    have about s_r^2 (m - 1) / (m^2 n) more, since the raters' part of an answer's mean is counted twice. With a handful
    of answers it is too narrow, and also where the same few people rate every answer and some are severe throughout.
    """
    table = ratings[~np.isnan(ratings).all(axis=1)]
    if not len(table):
        raise ValueError("There is no rating: every entry of the table is NaN.")

    def mean_of(tables: Float[np.ndarray, "draws items raters"]) -> Float[np.ndarray, " draws"]:
        given = ~np.isnan(tables)
        of_item = np.where(given, tables, 0.0).sum(axis=-1) / given.sum(axis=-1)  # eq 14.3
        return of_item.mean(axis=-1)  # eq 14.3

    return float(mean_of(table[None])[0]), *bootstrap_within(mean_of, table)


def sign_test(wins: int, losses: int) -> float:
    """The exact two-sided p of the sign test: how likely a fair coin, thrown wins + losses times, comes out at least as
    uneven as this. 1 without any throw. Ties say nothing of the coin and are left out."""
    n = wins + losses
    tail = sum(math.comb(n, k) for k in range(min(wins, losses) + 1))
    return min(1.0, 2 * tail / 2**n)


def agreement(ratings: Float[np.ndarray, "items raters"], level: Literal["nominal", "ordinal"]) -> float | None:
    """Krippendorff's alpha ("Content Analysis", 2004, chapter 11): 1 where all who rated an answer gave it the same, 0
    where ratings of one answer differ as much as those of different answers, below 0 where they differ more.

    NaN where a rater did not rate an answer. On the level "nominal" two ratings are the same or not; "ordinal" counts
    how many ratings are between them. None where it cannot be known: no answer has two ratings, or all are the same.
    """
    several = ratings[(~np.isnan(ratings)).sum(axis=1) >= 2]
    if len(np.unique(several[~np.isnan(several)])) < 2:
        return None
    return float(krippendorff.alpha(several.T, level_of_measurement=level))


def items_needed(differences: Float[np.ndarray, " items"]) -> int | None:
    """How many items it takes until a mean difference of the size seen here is found in 80 of 100 studies: until its
    95% interval leaves 0 out.

    With the mean d and the standard deviation s of the items' differences, n = ((Z + Z_POWER) s / d)^2, from the normal
    approximation, which is wrong for a handful: at least FEWEST. They are items like the given ones, each judged by as
    many raters. None without a difference, or with fewer than two items.
    """
    mean = float(np.mean(differences)) if len(differences) else 0.0
    if len(differences) < 2 or abs(mean) <= ROUNDING * float(np.abs(differences).max()):
        return None
    return max(FEWEST, math.ceil(((Z + Z_POWER) * float(np.std(differences, ddof=1)) / mean) ** 2))
