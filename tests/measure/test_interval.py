"""Lesson 14: intervals by bootstrap, against what is known of them."""

import math

import numpy as np
import pytest

from minigpt.measure.interval import bootstrap


def mean(sums: np.ndarray) -> np.ndarray:
    """Of the first column; the second counts."""
    return sums[..., 0] / sums[..., 1]


def counted(values: np.ndarray) -> np.ndarray:
    return np.stack([values.astype(float), np.ones(len(values))], axis=1)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_interval_of_a_share_is_that_of_the_normal_law_where_there_are_many_rows(p: float) -> None:
    """p plus and minus 1.96 sqrt(p (1 - p) / n), to a twentieth of its width: 2,000 draws tell it no better."""
    n = 1000
    rows = counted(np.arange(n) < p * n)
    half = 1.96 * math.sqrt(p * (1 - p) / n)
    low, high = bootstrap(mean, rows)
    print(f"{low:.4f} to {high:.4f}, by the normal law {p - half:.4f} to {p + half:.4f}")
    assert (low, high) == (pytest.approx(p - half, abs=half / 10), pytest.approx(p + half, abs=half / 10))


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Of 60 samples of 60 rows, nineteen in twenty; fewer than 52 would be a rare accident."""
    generator = np.random.default_rng(0)
    intervals = [bootstrap(mean, counted(generator.normal(3.0, 1.0, size=60))) for _ in range(60)]
    held = sum(low < 3.0 < high for low, high in intervals)
    print(f"{held} of 60")
    assert 52 <= held < 60


def test_rows_that_are_all_alike_give_a_point() -> None:
    assert bootstrap(mean, counted(np.zeros(30))) == (0.0, 0.0)


def test_the_same_rows_and_seed_give_the_same_interval() -> None:
    rows = counted(np.random.default_rng(1).normal(size=50))
    assert bootstrap(mean, rows) == bootstrap(mean, rows)
    assert bootstrap(mean, rows) != bootstrap(mean, rows, seed=1)


def test_a_pair_is_drawn_together() -> None:
    """What both columns share cancels; drawn apart, its spread would stay."""
    first = np.random.default_rng(2).normal(size=60) * 100
    rows = np.concatenate([counted(first), counted(first + 1)], axis=1)
    low, high = bootstrap(lambda sums: mean(sums[..., 2:]) - mean(sums[..., :2]), rows)
    assert (low, high) == (pytest.approx(1), pytest.approx(1))
