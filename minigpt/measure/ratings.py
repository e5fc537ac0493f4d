"""Ratings that people give to answers."""

import numpy as np
from jaxtyping import Float

from minigpt.measure.interval import bootstrap_within


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
