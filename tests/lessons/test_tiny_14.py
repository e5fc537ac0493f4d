"""Lesson 14's sums come out on paper: from two decimals, each stage as the lesson shows it."""

import math
from itertools import combinations, product

from minigpt.measure.interval import wilson


def test_the_perplexity_of_two_answers_and_the_two_wrong_means() -> None:
    loss = round((1.44 + 3.35) / (3 + 1), 2)
    assert (loss, round(math.exp(loss), 2)) == (1.20, 3.32)
    means = round(1.44 / 3, 2), 3.35
    assert means[0] == 0.48
    assert round(math.exp(1.92), 2) == 6.82  # (0.48 + 3.35) / 2 = 1.915
    assert abs(sum(means) / 2 - 1.92) < 0.0051
    assert round((round(math.exp(0.48), 2) + round(math.exp(3.35), 2)) / 2, 2) == 15.06


def test_three_of_four_by_the_quadratic_equation() -> None:
    """(0.75 - p)^2 = 0.96 p (1 - p), with two decimals throughout; the interval's ends agree to 0.01."""
    k = round(1.96**2 / 4, 2)
    a, b, c = 1 + k, 2 * 0.75 + k, round(0.75**2, 2)
    assert (a, round(b, 2), c) == (1.96, 2.46, 0.56)
    square, product = round(b * b, 2), round(4 * a * c, 2)
    assert (square, product) == (6.05, 4.39)
    root = round(math.sqrt(square - product), 2)
    ends = [round((b + sign * root) / round(2 * a, 2), 2) for sign in (-1, 1)]
    assert (root, ends) == (1.29, [0.30, 0.96])
    assert all(abs(on_paper - exact) < 0.01 for on_paper, exact in zip(ends, wilson(3, 4), strict=True))


def test_the_ratings_draws_by_hand() -> None:
    """Four answers with the means 4, 2, 5 and 2, drawn without their raters: shares of the 256 ways."""
    ways = [sum(four) / 4 for four in product([4, 2, 5, 2], repeat=4)]
    assert (len(ways), round(sum(ways) / 256, 2)) == (256, 3.25)
    assert (ways.count(2.0), round(16 / 256, 2)) == (16, 0.06)
    assert (sum(mean > 4.5 for mean in ways), round(5 / 256, 2)) == (1 + 4, 0.02)
    assert round((14 / 3 + 14 / 3 + 5 + 4) / 4, 2) == 4.58


def test_seven_of_eight_votes_and_their_agreement() -> None:
    assert round(2 * (8 + 1) / 2**8, 2) == 0.07
    votes = [[1, 1, 1]] * 5 + [[1, 1, 0], [0, 1, 1], [0, 0, 0]]
    within = [a != b for item in votes for a, b in combinations(item, 2)]
    among = [a != b for a, b in combinations([vote for item in votes for vote in item], 2)]
    assert (sum(within), len(within), sum(among), len(among)) == (4, 24, 19 * 5, 276)


def test_the_puzzle_takes_35_wrong_answers() -> None:
    assert round(9 * 3.84, 1) == 34.6
    assert [wilson(0, n)[1] < 0.1 for n in (34, 35)] == [False, True]


def test_a_loss_of_1_95_a_token_at_four_bytes() -> None:
    assert round(1.95 / 4, 2) == 0.49
    assert round(math.exp(1.95), 2) == 7.03
    assert round(math.log(260), 2) == 5.56
