"""Lesson 14: intervals, against what is known of them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigpt.measure.interval import bootstrap, newcombe, wilson


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


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_shares_have_the_intervals_that_are_published(right: int, n: int, low: float, high: float) -> None:
    """Newcombe's table of examples (1998, "Two-sided confidence intervals for the single proportion"), method 3."""
    assert wilson(right, n) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@given(data=st.data(), n=st.integers(1, 2000))
def test_the_interval_of_a_share_holds_it_and_has_a_width(data: st.DataObject, n: int) -> None:
    right = data.draw(st.integers(0, n))
    low, high = wilson(right, n)
    assert 0 <= low <= right / n <= high <= 1
    assert high - low > 1 / (n + 4)
    assert wilson(n - right, n) == (pytest.approx(1 - high), pytest.approx(1 - low))


@given(n=st.integers(1, 500), data=st.data())
def test_two_models_alike_on_every_row_may_differ_on_others(n: int, data: st.DataObject) -> None:
    """By no more than a share may that is 0 in n rows, and the same in both directions at an even share."""
    right = data.draw(st.integers(0, n))
    low, high = newcombe(right, right, n)
    assert -1 <= low < 0 < high <= 1
    assert newcombe(n - right, n - right, n) == (pytest.approx(-high), pytest.approx(-low))
    if right in (0, n):
        assert max(high, -low) == pytest.approx(wilson(0, n)[1])


def test_two_models_that_differ_on_every_row_have_an_interval_up_to_the_end_of_the_scale() -> None:
    low, high = newcombe(0, 10, 10)
    assert (round(low, 3), high) == (0.608, 1.0)
    assert newcombe(10, 0, 10) == (-1.0, pytest.approx(-low))


def test_an_even_share_on_both_sides_leaves_room_for_rows_that_differ() -> None:
    """4 of 8, the same ones: the correlation, corrected for continuity, is 0.75; 1 would make the interval a point."""
    half = (0.5 - wilson(4, 8)[0]) * math.sqrt(2 * (1 - 0.75))
    assert newcombe(4, 4, 8) == (pytest.approx(-half), pytest.approx(half))
    assert half == pytest.approx(0.2014, abs=5e-5)
