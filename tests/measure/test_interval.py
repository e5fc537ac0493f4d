"""Lesson 14: intervals, against what is known of them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigpt.measure.interval import RESAMPLES, bootstrap, bootstrap_within, newcombe, wilson

NAN = float("nan")


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


TABLE = np.array([[5.0, 4.0, 3.0], [2.0, NAN, NAN], [6.0, 7.0, 8.0], [NAN, 1.0, 9.0]])  # no rating twice


def mean_of_means(tables: np.ndarray) -> np.ndarray:
    return np.nanmean(tables, axis=-1).mean(axis=-1)


def drawn(table: np.ndarray, seed: int = 0) -> np.ndarray:
    """All tables that the statistic got."""
    seen: list[np.ndarray] = []

    def keep(tables: np.ndarray) -> np.ndarray:
        seen.append(tables)
        return mean_of_means(tables)

    bootstrap_within(keep, table, seed)
    return np.concatenate(seen)


def test_each_drawn_row_is_of_one_item_and_has_as_many_ratings() -> None:
    tables = drawn(TABLE)
    assert tables.shape == (RESAMPLES, 4, 3)
    own = [{5.0, 4.0, 3.0}, {2.0}, {6.0, 7.0, 8.0}, {1.0, 9.0}]
    times = [0, 0, 0, 0]
    for row in tables.reshape(-1, 3):
        (item,) = (i for i in range(4) if row[0] in own[i])
        times[item] += 1
        assert set(row[: len(own[item])]) <= own[item]
        assert np.isnan(row[len(own[item]) :]).all()
    assert np.abs(np.array(times) - RESAMPLES).max() < 4 * math.sqrt(RESAMPLES * 3 / 4)


def test_every_rating_of_an_item_is_drawn_equally_often_and_apart_from_the_next() -> None:
    """27 ways to draw three of three; 2,000 draws of 1 item, so 74 of each plus and minus 8.5."""
    tables = drawn(np.array([[1.0, 2.0, 3.0]]))[:, 0]
    ways, times = np.unique(tables, axis=0, return_counts=True)
    assert len(ways) == 27
    assert np.abs(times - RESAMPLES / 27).max() < 4 * 8.5


def test_many_ratings_are_drawn_in_parts_and_no_draw_is_lost_or_alike() -> None:
    table = np.random.default_rng(0).normal(size=(90, 30))
    sizes: list[int] = []

    def keep(tables: np.ndarray) -> np.ndarray:
        sizes.append(len(tables))
        return mean_of_means(tables)

    bootstrap_within(keep, table)
    assert sum(sizes) == RESAMPLES
    assert 1 < len(sizes) < RESAMPLES / 50
    assert len(np.unique(mean_of_means(drawn(table)))) == RESAMPLES


def test_a_table_larger_than_a_part_is_drawn_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minigpt.measure.interval.AT_ONCE", 5)
    assert drawn(TABLE).shape == (RESAMPLES, 4, 3)


def test_one_rater_is_the_plain_bootstrap() -> None:
    """As many times as there are rows; to a twentieth of the width."""
    values = np.random.default_rng(0).normal(size=200)
    found, plain = bootstrap_within(mean_of_means, values[:, None]), bootstrap(mean, counted(values))
    assert found == (pytest.approx(plain[0], abs=0.015), pytest.approx(plain[1], abs=0.015))


def test_raters_of_a_table_have_no_order_and_empty_columns_no_part() -> None:
    found = bootstrap_within(mean_of_means, TABLE)
    assert bootstrap_within(mean_of_means, TABLE[:, [2, 0, 1]]) == found
    assert bootstrap_within(mean_of_means, np.c_[TABLE, [NAN] * 4]) == found
    assert bootstrap_within(mean_of_means, TABLE, seed=1) != found


def test_the_variance_of_the_draws_counts_the_raters_twice() -> None:
    """Drawn answers have the variance of the items' means / n, and drawn raters that within an item / m on top of it;
    the first holds the raters' part once already. 50 tables tell the mean of a variance to 3 %."""
    n, m, s_i, s_r = 40, 5, 1.0, 2.0
    generator = np.random.default_rng(0)
    tables = s_i * generator.normal(size=(50, n, 1)) + s_r * generator.normal(size=(50, n, m))
    found = np.mean([mean_of_means(drawn(table)).var() for table in tables])
    of_items, within = tables.mean(axis=2).var(axis=1).mean(), tables.var(axis=2).mean()
    once, again = (s_i**2 + s_r**2 / m) / n, s_r**2 * (m - 1) / (m**2 * n)
    print(f"{found:.4f}, by the tables {(of_items + within / m) / n:.4f}, by the law {once:.4f} + {again:.4f}")
    assert found == pytest.approx((of_items + within / m) / n, rel=0.02)
    assert found == pytest.approx(once + again, rel=0.1)


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
