"""Lesson 14: the sign test, the agreement of raters, and how many items a difference needs."""

from itertools import permutations, product
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt.measure.ratings import agreement, items_needed, sign_test

NAN = float("nan")
# Krippendorff, "Computing Krippendorff's alpha-reliability" (2011), example C: four observers, twelve units.
OBSERVED = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
    [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
]


def by_pairs(table: list[list[float]], level: Literal["nominal", "ordinal"]) -> float:
    """1 - D_o / D_e, from every pair of ratings of one item, and every pair of all ratings that can be paired."""
    items = [[r for r in row if r == r] for row in table]
    items = [row for row in items if len(row) > 1]
    every = [r for row in items for r in row]

    def distance(a: float, b: float) -> float:
        if level == "nominal":
            return float(a != b)
        low, high = sorted((a, b))
        between = sum(low <= r <= high for r in every) - (every.count(a) + every.count(b)) / 2
        return 0.0 if a == b else between**2

    seen = sum(distance(a, b) / (len(row) - 1) for row in items for a, b in permutations(row, 2)) / len(every)
    chance = sum(distance(a, b) for a, b in permutations(every, 2)) / (len(every) * (len(every) - 1))
    return 1 - seen / chance


@pytest.mark.parametrize(("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815)])
def test_the_published_example_has_its_published_alpha(level: Literal["nominal", "ordinal"], alpha: float):
    assert agreement(np.array(OBSERVED, dtype=float).T, level) == pytest.approx(alpha, abs=5e-4)


@given(
    st.lists(st.lists(st.sampled_from([NAN, 1.0, 2.0, 3.0, 5.0]), min_size=3, max_size=3), min_size=1, max_size=6),
    st.sampled_from(["nominal", "ordinal"]),
)
@settings(max_examples=60)
def test_agreement_is_that_of_all_pairs(table: list[list[float]], level: Literal["nominal", "ordinal"]):
    found = agreement(np.array(table), level)
    paired = {r for row in table if sum(r == r for r in row) > 1 for r in row if r == r}
    if len(paired) < 2:
        assert found is None
    else:
        assert found == pytest.approx(by_pairs(table, level), abs=1e-9)


def test_agreement_cannot_be_known_from_one_rater_or_from_one_rating_throughout():
    assert agreement(np.array([[1.0], [2.0]]), "ordinal") is None
    assert agreement(np.array([[1.0, NAN], [NAN, 2.0]]), "nominal") is None
    assert agreement(np.array([[4.0, 4.0], [4.0, 4.0]]), "ordinal") is None
    assert agreement(np.empty((0, 3)), "nominal") is None


def test_the_sign_test_is_that_of_every_way_that_coins_can_fall():
    for n in range(1, 11):
        heads = [sum(coins) for coins in product((0, 1), repeat=n)]
        for wins in range(n + 1):
            as_uneven = sum(abs(k - n / 2) >= abs(wins - n / 2) for k in heads) / 2**n
            assert sign_test(wins, n - wins) == pytest.approx(as_uneven, abs=1e-12)
    assert sign_test(0, 0) == 1
    assert 0 < sign_test(900, 100) < 1e-150  # as an exact fraction; floats would have lost it


def test_with_the_items_needed_eight_of_ten_studies_find_the_difference():
    """Items whose differences are 1, 0 or -1 with these chances; each study has an interval by the normal
    approximation."""
    chances, values = np.array([0.45, 0.35, 0.2]), np.array([1.0, 0.0, -1.0])
    n = items_needed(np.repeat(values, (100 * chances).astype(int)))
    assert n is not None
    drawn = np.random.default_rng(0).choice(values, p=chances, size=(4000, n))
    error = drawn.std(axis=1, ddof=1) / np.sqrt(n)
    found = (np.abs(drawn.mean(axis=1)) > 1.959963984540054 * error).mean()
    print(f"{n} items; found in {found:.1%} of 4,000 studies")
    assert abs(found - 0.8) < 0.03  # the approximation's, and 0.006 of the draws


def test_no_difference_and_no_second_item_need_no_number():
    assert items_needed(np.array([1.0, -1.0])) is None
    assert items_needed(np.array([1.0])) is None
    assert items_needed(np.array([])) is None
    assert items_needed(np.array([1 / 2, -1 / 6, -1 / 3])) is None, "rounding is no difference"


def test_no_study_is_so_small_that_the_sign_test_could_not_find_anything():
    """All items of one winner: the normal approximation takes any number of them, the sign test six."""
    needed = items_needed(np.array([2.0, 2.0]))
    assert needed is not None
    assert sign_test(needed, 0) < 0.05 < sign_test(needed - 1, 0)
