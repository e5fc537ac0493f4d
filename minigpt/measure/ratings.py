"""Ratings that people give to answers."""

import numpy as np
from jaxtyping import Float

from minigpt.measure.interval import bootstrap


def mean_rating(ratings: Float[np.ndarray, "items raters"]) -> tuple[float, float, float]:
    """A model's mean rating on one criterion (document A 6.2: accuracy, naturalness, reasoning), with both ends of its
    95% interval.

    `ratings` has a row for each answer that was rated and a column for each rater, on any scale; NaN where a rater did
    not see an answer or cannot judge it. With J_i the raters who judged answer i, of n answers that somebody judged,

        r = 1/n sum_i 1/|J_i| sum over j in J_i of r_ij

    so that each answer counts once, however many rated it. The interval is the bootstrap's over answers: it says how r
    may differ on other answers, rated by the same people, and with a handful of answers it is too narrow. Answers that
    nobody judged are left out; ValueError if that is all of them.
    """
    given = ~np.isnan(ratings)
    judged = given.any(axis=1)
    if not judged.any():
        raise ValueError("There is no rating: every entry of the table is NaN.")
    of_item = np.where(given, ratings, 0.0)[judged].sum(axis=1) / given[judged].sum(axis=1)  # eq 14.3
    mean = of_item.mean()  # eq 14.3
    rows = np.stack([of_item, np.ones_like(of_item)], axis=1)
    return float(mean), *bootstrap(lambda sums: sums[..., 0] / sums[..., 1], rows)
