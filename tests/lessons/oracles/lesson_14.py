"""Oracles of lesson 14: the score equation solved by bisection, answers judged by hand, every way to draw again."""

import math
from collections.abc import Callable
from itertools import product

import numpy as np

from minigpt.measure import accuracy, interval, ratings


def ends_by_bisection() -> None:
    """On each side of the share, the p from which it is just 1.96 standard errors away."""
    for right, n in ((3, 4), (0, 20), (7, 9), (29, 29), (81, 263)):
        share = right / n

        def far(p: float, share: float = share, n: int = n) -> bool:
            return abs(share - p) > 1.959963984540054 * math.sqrt(p * (1 - p) / n)

        ends = []
        for outside in (0.0, 1.0):
            inside = share
            if outside == share:
                ends.append(share)
                continue
            for _ in range(60):
                middle = (inside + outside) / 2
                inside, outside = (inside, middle) if far(middle) else (middle, outside)
            ends.append(inside)
        assert np.abs(np.array(interval.wilson(right, n)) - ends).max() < 1e-9


def numbers_read_by_hand() -> None:
    by_hand = {
        "6 + 6 = 12\n#### 12": "12", "#### 2,500": "2500", "#### 5\n#### 6": "5", "#### -3": "-3", "#### 4.": "4.",
        "#### 4.50": "4.50", "#### none\n#### 4": "4", "#### 4-5": "4",
        "####4": None, "####  4": None, "#### £4": None, "4": None, "#### 4 km": "4", "": None,
    }  # fmt: skip
    assert {text: accuracy.gsm8k_number(text) for text in by_hand} == by_hand


def ratings_drawn_in_every_way() -> None:
    """One of the four answers, and then as many of its ratings as it has, in every way; means by hand. The quantiles
    are those of the sum of four such draws, in 24ths."""
    nan = float("nan")
    mean, low, high = ratings.mean_rating(np.array([[5.0, 4, 3], [2, nan, nan], [5, 5, 5], [nan, 1, 3]]))
    one = np.zeros(31)  # chances of a drawn answer's mean, in sixths
    for answer in ([5, 4, 3], [2], [5, 5, 5], [1, 3]):
        for way in product(answer, repeat=len(answer)):
            one[6 * sum(way) // len(way)] += 1 / 4 / len(answer) ** len(answer)
    two = np.convolve(one, one)
    below = np.cumsum(np.convolve(two, two))
    ends = [np.searchsorted(below, end) / 24 for end in (0.025, 0.975)]
    assert mean == 13 / 4
    assert np.abs(np.array([low, high]) - ends).max() < 1e-9


ORACLES: dict[str, Callable[[], None]] = {
    "minigpt.measure.interval.wilson": ends_by_bisection,
    "minigpt.measure.accuracy.gsm8k_number": numbers_read_by_hand,
    "minigpt.measure.ratings.mean_rating": ratings_drawn_in_every_way,
}
