"""Lesson 14: the mean of people's ratings, each answer counted once, and its interval."""

import math
from collections import Counter
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


def draws_of_one(answer: list[float]) -> Counter[float]:
    """How likely each mean of a drawn answer is, when as many of its ratings are drawn again."""
    own = [rating for rating in answer if rating == rating]
    ways = list(product(own, repeat=len(own)))
    chances: Counter[float] = Counter()
    for way in ways:
        chances[sum(way) / len(way)] += 1 / len(ways)
    return chances


def every_draw(table: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    """The means that drawing answers, and within them ratings, can give, and their chances summed up."""
    one: Counter[float] = Counter()
    for answer in table:
        for value, chance in draws_of_one(answer).items():
            one[value] += chance / len(table)
    total = Counter({0.0: 1.0})
    for _ in table:
        longer: Counter[float] = Counter()
        for (value, chance), (more, of) in product(total.items(), one.items()):
            longer[round(value + more, 9)] += chance * of
        total = longer
    values = np.array(sorted(total))
    return values / len(table), np.cumsum([total[value] for value in values])


def test_the_interval_is_that_of_every_way_to_draw_answers_and_their_raters_again():
    """2.00 and 4.58; the answers alone, whose means are 4, 2, 5 and 2, would give 2.00 and 4.50."""
    means, chances = every_draw(UNEVEN)
    assert chances[-1] == pytest.approx(1)
    expected = [means[np.searchsorted(chances, end)] for end in (0.025, 0.975)]
    assert expected == pytest.approx([2.0, 4 + 7 / 12])
    assert rated(*UNEVEN)[1:] == pytest.approx(expected)


@pytest.mark.parametrize(
    "table",
    [
        [[1.0, 2.0], [4.0, 4.0], [3.0, 5.0], [2.0, 2.0], [5.0, 4.0]],
        [[1.0, 5.0, 5.0], [NAN, 4.0, 1.0], [3.0, NAN, NAN], [2.0, 2.0, 5.0], [1.0, 1.0, NAN]],
        [[1.0], [4.0], [2.0], [5.0], [3.0], [5.0]],
    ],
    ids=["no gaps", "gaps", "one rater"],
)
def test_the_interval_leaves_a_fortieth_of_all_draws_on_either_side(table: list[list[float]]):
    """By the chances of every draw; 2,000 draws tell a fortieth plus and minus 0.0035."""
    means, chances = every_draw(table)
    _, low, high = rated(*table)
    below = [chances[means < end - 1e-6][-1] for end in (low, high)]
    up_to = [chances[means < end + 1e-6][-1] for end in (low, high)]
    print(f"below the ends {below}, up to them {up_to}")
    for end, less, least in zip((0.025, 0.975), below, up_to, strict=True):
        assert less - 0.01 < end < least + 0.01


def test_raters_who_disagree_widen_the_interval_and_the_mean_stays():
    """Each answer's mean is 3; drawn without its raters, the interval would be a point."""
    assert rated(*[[3.0, 3.0]] * 20) == (3, 3, 3)
    mean, low, high = rated(*[[1.0, 5.0]] * 20)
    half = 1.96 * 2 / math.sqrt(2 * 20)
    assert (mean, low, high) == (3, pytest.approx(3 - half, abs=0.1), pytest.approx(3 + half, abs=0.1))


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """Of 100 tables of 30 answers by 3 raters, nineteen in twenty; fewer than 88 would be a rare accident."""
    generator = np.random.default_rng(0)
    tables = [generator.normal(3, 1, size=(30, 1)) + generator.normal(size=(30, 3)) for _ in range(100)]
    held = sum(low < 3 < high for _, low, high in map(mean_rating, tables))
    print(f"{held} of 100")
    assert 88 <= held < 100


def test_an_answer_that_nobody_judged_is_left_out():
    assert rated(*UNEVEN, [NAN, NAN, NAN]) == rated(*UNEVEN)


def test_a_rater_who_judged_nothing_changes_nothing():
    assert rated(*([*row, NAN] for row in UNEVEN)) == rated(*UNEVEN)


def test_one_answer_by_one_rater_gives_a_point_which_says_nothing_of_others():
    assert rated([3.0]) == (3, 3, 3)
    assert rated([3.0, 4.0]) == (3.5, 3, 4)


def test_a_share_is_the_mean_of_zeros_and_ones():
    assert rated([1.0, 0.0], [1.0, NAN], [NAN, NAN], [1.0, 1.0])[0] == pytest.approx(5 / 6)


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
