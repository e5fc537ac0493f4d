"""Wrong answers to lesson 14's exercises."""

import math
import re
import statistics
from collections.abc import Callable, Sequence

import numpy as np

from minigpt.measure.interval import Z, bootstrap, bootstrap_within

# --- wilson ---


def binomial_tails(right: int, n: int) -> tuple[float, float]:
    """Clopper and Pearson's exact interval, by bisection."""

    def at_most(k: int, p: float) -> float:
        return sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))

    def solve(is_low: Callable[[float], bool]) -> float:
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if is_low(middle) else (low, middle)
        return low

    low = 0.0 if right == 0 else solve(lambda p: 1 - at_most(right - 1, p) < 0.025)
    return low, 1.0 if right == n else solve(lambda p: at_most(right, p) > 0.025)


def standard_error_of_the_sample(right: int, n: int) -> tuple[float, float]:
    p = right / n
    half = Z * math.sqrt(p * (1 - p) / max(1, n - 1))
    return p - half, p + half


def the_usual_formula(right: int, n: int) -> tuple[float, float]:
    p = right / n
    half = 1.959963984540054 * (p * (1 - p) / n) ** 0.5
    return p - half, p + half


def the_usual_formula_cut_off(right: int, n: int) -> tuple[float, float]:
    low, high = the_usual_formula(right, n)
    return max(low, 0.0), min(high, 1.0)


def with_1_96(right: int, n: int) -> tuple[float, float]:
    p, z = right / n, 1.96
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return middle - half, middle + half


def around_what_was_seen(right: int, n: int) -> tuple[float, float]:
    p = right / n
    half = Z / (1 + Z * Z / n) * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    return p - half, p + half


def two_more_of_each(right: int, n: int) -> tuple[float, float]:
    return the_usual_formula(right + 2, n + 4)


def of_the_worst_share(right: int, n: int) -> tuple[float, float]:
    half = Z * 0.5 / math.sqrt(n)
    return right / n - half, right / n + half


def corrected_for_continuity(right: int, n: int) -> tuple[float, float]:
    p = right / n
    a = 2 * n * p + Z**2
    low = (a - (Z * math.sqrt(Z**2 - 1 / n + 4 * n * p * (1 - p) + (4 * p - 2)) + 1)) / (2 * (n + Z**2))
    high = (a + (Z * math.sqrt(Z**2 - 1 / n + 4 * n * p * (1 - p) - (4 * p - 2)) + 1)) / (2 * (n + Z**2))
    return max(0.0, low), min(1.0, high)


def bootstrapped(right: int, n: int) -> tuple[float, float]:
    rows = np.array([[i < right, 1.0] for i in range(n)], dtype=float)
    return bootstrap(lambda sums: sums[..., 0] / sums[..., 1], rows)


def beta_prior(right: int, n: int) -> tuple[float, float]:
    p = (right + 1) / (n + 2)
    half = Z * math.sqrt(p * (1 - p) / (n + 3))
    return p - half, p + half


def without_the_quarter(right: int, n: int) -> tuple[float, float]:
    p, z2 = right / n, Z * Z / n
    half = math.sqrt(z2 * p * (1 - p)) / (1 + z2)
    return (p + z2 / 2) / (1 + z2) - half, (p + z2 / 2) / (1 + z2) + half


def of_counts(right: int, n: int) -> tuple[float, float]:
    half = Z * math.sqrt(right)
    return (right - half) / n, (right + half) / n


WILSON = [
    binomial_tails, standard_error_of_the_sample, the_usual_formula, the_usual_formula_cut_off, with_1_96,
    around_what_was_seen, two_more_of_each, of_the_worst_share, corrected_for_continuity, bootstrapped, beta_prior,
    without_the_quarter, of_counts,
]  # fmt: skip

# --- gsm8k_number ---


def split_at_the_mark(text: str) -> str | None:
    return text.split("####")[1].strip().replace(",", "") if "####" in text else None


def split_and_first_word(text: str) -> str | None:
    after = text.partition("#### ")[2].split()
    return after[0].replace(",", "") if after else None


def last_mark(text: str) -> str | None:
    found = re.findall(r"#### (-?[0-9.,]+)", text)
    return found[-1].replace(",", "") if found else None


def digits_only(text: str) -> str | None:
    found = re.search(r"#### (-?\d+)", text)
    return found[1] if found else None


def loose_space(text: str) -> str | None:
    found = re.search(r"####\s*(-?[0-9.,]+)", text)
    return found[1].replace(",", "") if found else None


def commas_stay(text: str) -> str | None:
    found = re.search(r"#### (\-?[0-9\.\,]+)", text)
    return found[1] if found else None


def last_number_of_all(text: str) -> str | None:
    found = re.findall(r"-?[0-9.,]*\d", text)
    return found[-1].replace(",", "") if found else None


def a_tidy_number(text: str) -> str | None:
    found = re.search(r"#### (-?[0-9.,]+)", text)
    return found and found[1].replace(",", "").rstrip(".").removesuffix(".0")


def an_int(text: str) -> str | None:
    found = re.search(r"#### (-?[0-9,]+)", text)
    return str(int(found[1].replace(",", ""))) if found else None


def nothing_as_text(text: str) -> str:
    found = re.search(r"#### (-?[0-9.,]+)", text)
    return found[1].replace(",", "") if found else ""


def at_the_start_of_a_line(text: str) -> str | None:
    found = re.search(r"^#### (-?[0-9.,]+)", text, re.MULTILINE)
    return found[1].replace(",", "") if found else None


def on_the_last_line(text: str) -> str | None:
    found = re.match(r"#### (-?[0-9.,]+)", (text.splitlines() or [""])[-1])
    return found[1].replace(",", "") if found else None


GSM8K = [
    split_at_the_mark, split_and_first_word, last_mark, digits_only, loose_space, commas_stay, last_number_of_all,
    a_tidy_number, an_int, nothing_as_text, at_the_start_of_a_line, on_the_last_line,
]  # fmt: skip

# --- mean_rating ---


def means_of(tables: np.ndarray) -> np.ndarray:
    return np.nanmean(tables, axis=-1).mean(axis=-1)


def judged(ratings: np.ndarray) -> np.ndarray:
    return ratings[~np.isnan(ratings).all(axis=1)]


def plain_mean(ratings: np.ndarray) -> tuple[float, float, float]:
    return float(ratings.mean()), *bootstrap_within(lambda tables: tables.mean(axis=(1, 2)), judged(ratings))


def nanmean_of_everything(ratings: np.ndarray) -> tuple[float, float, float]:
    return float(np.nanmean(ratings)), *bootstrap_within(means_of, judged(ratings))


def totals_of_everything(ratings: np.ndarray) -> tuple[float, float, float]:
    def share(tables: np.ndarray) -> np.ndarray:
        return np.nansum(tables, axis=(1, 2)) / (~np.isnan(tables)).sum(axis=(1, 2))

    return float(share(ratings[None])[0]), *bootstrap_within(share, judged(ratings))


def mean_of_raters(ratings: np.ndarray) -> tuple[float, float, float]:
    return float(np.nanmean(ratings, axis=0).mean()), *bootstrap_within(means_of, ratings.T)


def zeros_for_gaps(ratings: np.ndarray) -> tuple[float, float, float]:
    filled = np.nan_to_num(ratings)
    return float(filled.mean()), *bootstrap_within(means_of, filled)


def medians(ratings: np.ndarray) -> tuple[float, float, float]:
    values = np.array([statistics.median(row[~np.isnan(row)]) for row in judged(ratings)])
    return float(values.mean()), *bootstrap_within(means_of, values[:, None])


def answers_alone(ratings: np.ndarray) -> tuple[float, float, float]:
    rows = np.stack([np.nanmean(judged(ratings), axis=1), np.ones(len(judged(ratings)))], axis=1)
    return float(rows[:, 0].mean()), *bootstrap(lambda sums: sums[..., 0] / sums[..., 1], rows)


def raters_alone(ratings: np.ndarray) -> tuple[float, float, float]:
    draw, rows = np.random.default_rng(0).integers, [row[~np.isnan(row)] for row in judged(ratings)]
    drawn = [np.mean([row[draw(len(row), size=len(row))].mean() for row in rows]) for _ in range(500)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(np.mean([row.mean() for row in rows])), float(low), float(high)


def gaps_drawn_too(ratings: np.ndarray) -> tuple[float, float, float]:
    """A gap becomes the answer's mean, and can be drawn."""
    table = judged(ratings)
    of_item = np.nanmean(table, axis=1, keepdims=True)
    return float(of_item.mean()), *bootstrap_within(means_of, np.where(np.isnan(table), of_item, table))


def normal_interval(ratings: np.ndarray) -> tuple[float, float, float]:
    means = np.nanmean(judged(ratings), axis=1)
    half = Z * means.std(ddof=1) / math.sqrt(len(means))
    return float(means.mean()), float(means.mean() - half), float(means.mean() + half)


def normal_interval_by_n(ratings: np.ndarray) -> tuple[float, float, float]:
    means = np.nanmean(judged(ratings), axis=1)
    half = Z * means.std() / math.sqrt(len(means))
    return float(means.mean()), float(means.mean() - half), float(means.mean() + half)


def quantiles_of_the_answers(ratings: np.ndarray) -> tuple[float, float, float]:
    means = np.nanmean(judged(ratings), axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(means.mean()), float(low), float(high)


def lowest_and_highest(ratings: np.ndarray) -> tuple[float, float, float]:
    means = np.nanmean(judged(ratings), axis=1)
    return float(means.mean()), float(means.min()), float(means.max())


def complete_answers_only(ratings: np.ndarray) -> tuple[float, float, float]:
    table = ratings[~np.isnan(ratings).any(axis=1)]
    return float(table.mean()), *bootstrap_within(means_of, table)


def another_seed(ratings: np.ndarray) -> tuple[float, float, float]:
    return float(means_of(judged(ratings))), *bootstrap_within(means_of, judged(ratings), seed=1)


RATING = [
    plain_mean, nanmean_of_everything, totals_of_everything, mean_of_raters, zeros_for_gaps, medians, answers_alone,
    raters_alone, gaps_drawn_too, normal_interval, normal_interval_by_n, quantiles_of_the_answers, lowest_and_highest,
    complete_answers_only, another_seed,
]  # fmt: skip

# --- paired_difference ---

Texts, Draws = Sequence[str], Sequence[Sequence[int]]


def quantiles(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def right(wanted: Texts, given: Texts) -> np.ndarray:
    return np.array([a == b for a, b in zip(wanted, given, strict=True)], dtype=float)


def interval_of_each_subtracted(wanted: Texts, first: Texts, second: Texts, draws: Draws):
    a, b = right(wanted, first), right(wanted, second)
    (low_a, high_a), (low_b, high_b) = (quantiles([side[drawn].mean() for drawn in draws]) for side in (a, b))
    return float(b.mean() - a.mean()), low_b - low_a, high_b - high_a


def farthest_ends(wanted: Texts, first: Texts, second: Texts, draws: Draws):
    a, b = right(wanted, first), right(wanted, second)
    (low_a, high_a), (low_b, high_b) = (quantiles([side[drawn].mean() for drawn in draws]) for side in (a, b))
    return float(b.mean() - a.mean()), low_b - high_a, high_b - low_a


def second_drawn_by_the_next_draw(wanted: Texts, first: Texts, second: Texts, draws: Draws):
    a, b = right(wanted, first), right(wanted, second)
    gaps = [b[draws[i - 1]].mean() - a[draws[i]].mean() for i in range(len(draws))]
    return float(b.mean() - a.mean()), *quantiles(gaps)


def first_less_second(wanted: Texts, first: Texts, second: Texts, draws: Draws):
    a, b = right(wanted, first), right(wanted, second)
    return float(a.mean() - b.mean()), *quantiles([(a - b)[drawn].mean() for drawn in draws])


def tidied(wanted: Texts, first: Texts, second: Texts, draws: Draws):
    a, b = right(wanted, [x.strip() for x in first]), right(wanted, [x.strip() for x in second])
    return float(b.mean() - a.mean()), *quantiles([(b - a)[drawn].mean() for drawn in draws])


def tidied_and_without_capitals(wanted: Texts, first: Texts, second: Texts, draws: Draws):
    sides = [right([w.lower() for w in wanted], [x.strip().lower() for x in side]) for side in (first, second)]
    gain = sides[1] - sides[0]
    return float(gain.mean()), *quantiles([gain[drawn].mean() for drawn in draws])


def wanted_is_in_it(wanted: Texts, first: Texts, second: Texts, draws: Draws):
    a, b = ([float(w in x) for w, x in zip(wanted, side, strict=True)] for side in (first, second))
    gain = np.array(b) - np.array(a)
    return float(gain.mean()), *quantiles([gain[drawn].mean() for drawn in draws])


def by_position_in_the_draw(wanted: Texts, first: Texts, second: Texts, draws: Draws):
    gain = right(wanted, second) - right(wanted, first)
    weights = [np.bincount(drawn, minlength=len(gain)).clip(max=1) for drawn in draws]
    return float(gain.mean()), *quantiles([(gain * w).sum() / w.sum() for w in weights])


def two_standard_errors(wanted: Texts, first: Texts, second: Texts, draws: Draws):
    gain = right(wanted, second) - right(wanted, first)
    half = Z * gain.std() / math.sqrt(len(gain))
    return float(gain.mean()), float(gain.mean() - half), float(gain.mean() + half)


def two_spreads_of_the_draws(wanted: Texts, first: Texts, second: Texts, draws: Draws):
    gain = right(wanted, second) - right(wanted, first)
    half = Z * np.std([gain[drawn].mean() for drawn in draws])
    return float(gain.mean()), float(gain.mean() - half), float(gain.mean() + half)


def in_rows(wanted: Texts, first: Texts, second: Texts, draws: Draws):
    gain = right(wanted, second) - right(wanted, first)
    return float(gain.sum()), *quantiles([gain[drawn].sum() for drawn in draws])


def middle_draw(wanted: Texts, first: Texts, second: Texts, draws: Draws):
    gain = right(wanted, second) - right(wanted, first)
    gaps = [gain[drawn].mean() for drawn in draws]
    return float(np.median(gaps)), *quantiles(gaps)


def swapped_ends(wanted: Texts, first: Texts, second: Texts, draws: Draws):
    gain = right(wanted, second) - right(wanted, first)
    return float(gain.mean()), *quantiles([gain[drawn].mean() for drawn in draws])[::-1]


PAIRED = [
    interval_of_each_subtracted, farthest_ends, second_drawn_by_the_next_draw, first_less_second, tidied,
    tidied_and_without_capitals, wanted_is_in_it, by_position_in_the_draw, two_standard_errors,
    two_spreads_of_the_draws, in_rows, middle_draw, swapped_ends,
]  # fmt: skip

ANSWERS: dict[tuple[str, str], list[Callable]] = {
    ("14_evaluation", "wilson"): WILSON,
    ("14_evaluation", "gsm8k_number"): GSM8K,
    ("14_evaluation", "mean_rating"): RATING,
    ("14_evaluation", "paired_difference"): PAIRED,
}
