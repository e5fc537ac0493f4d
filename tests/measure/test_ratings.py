"""Lesson 14: the mean of people's ratings, each answer counted once, and its interval."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt.measure.ratings import mean_rating

NAN = float("nan")
UNEVEN = [[5.0, 4.0, 3.0], [2.0, NAN, NAN], [5.0, 5.0, 5.0], [NAN, 1.0, 3.0]]  # the answers' means: 4, 2, 5, 2


def rated(*rows: list[float]) -> tuple[float, float, float]:
    return mean_rating(np.array(rows, dtype=float))


def test_an_answer_counts_once_however_many_rated_it():
    """The mean of all nine ratings would be 3.67."""
    assert rated(*UNEVEN)[0] == pytest.approx(3.25)


def test_the_interval_is_that_of_every_way_to_draw_as_many_answers_again():
    """4^4 = 256 ways, each equally likely. The 2.5 and 97.5 % quantiles of their means are 2.00 and 4.50: all four
    draws are of an answer with 2 in 6 % of them, and 4.75 or more are reached in 2 %."""
    means = sorted(sum(drawn) / 4 for drawn in product([4.0, 2.0, 5.0, 2.0], repeat=4))
    assert (means[int(0.025 * 256)], means[int(0.975 * 256)]) == (2.0, 4.5)
    assert rated(*UNEVEN)[1:] == (2.0, 4.5)


def test_the_interval_of_a_table_without_gaps_is_near_that_of_the_enumeration():
    """Five answers, 3125 ways."""
    table = [[1.0, 2.0], [4.0, 4.0], [3.0, 5.0], [2.0, 2.0], [5.0, 4.0]]
    means = np.array([np.mean(drawn) for drawn in product([np.mean(row) for row in table], repeat=5)])
    expected = np.quantile(means, [0.025, 0.975])
    found = rated(*table)
    print(f"{found[1:]}, by enumeration {expected}")
    assert found[0] == pytest.approx(3.2)
    assert np.abs(found[1:] - expected).max() <= 0.1  # a step of these means is 0.1


def test_an_answer_that_nobody_judged_is_left_out():
    assert rated(*UNEVEN, [NAN, NAN, NAN]) == rated(*UNEVEN)


def test_a_rater_who_judged_nothing_changes_nothing():
    assert rated(*([*row, NAN] for row in UNEVEN)) == rated(*UNEVEN)


def test_one_answer_gives_a_point_which_says_nothing_of_others():
    assert rated([3.0, 4.0]) == (3.5, 3.5, 3.5)


def test_no_rating_at_all_is_an_error_in_words_and_not_a_number():
    for table in ([[NAN, NAN]], [[]]):
        with pytest.raises(ValueError, match=r"\w"):
            rated(*table)


def test_one_rater_is_the_plain_mean():
    assert rated([1.0], [2.0], [5.0])[0] == pytest.approx(8 / 3)


def test_the_table_is_not_changed():
    table = np.array(UNEVEN)
    mean_rating(table)
    assert np.array_equal(table, np.array(UNEVEN), equal_nan=True)


RATINGS = st.lists(
    st.lists(st.sampled_from([NAN, 1.0, 2.0, 3.0, 4.0, 5.0]), min_size=3, max_size=3), min_size=1, max_size=8
)


@given(RATINGS)
@settings(max_examples=30)
def test_the_mean_is_in_its_interval_and_the_order_of_raters_does_not_matter(table: list[list[float]]):
    if np.isnan(table).all():
        return
    mean, low, high = rated(*table)
    assert 1 <= low <= mean + 1e-9
    assert mean - 1e-9 <= high <= 5
    assert rated(*(row[::-1] for row in table)) == pytest.approx((mean, low, high))
