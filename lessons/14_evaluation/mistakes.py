"""Lesson 14's functions with a switch for each typical mistake; without one they are right."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from minigpt.measure.interval import Z, bootstrap_within


def response_perplexity(
    losses: Sequence[tuple[float, int]], *, mean_of_perplexities=False, mean_of_means=False, no_exp=False,
    of_the_sum=False, per_row=False, of_base_two=False,
) -> float:  # fmt: skip
    total, count = map(sum, zip(*losses, strict=True))
    loss = total / (len(losses) if per_row else 1 if of_the_sum else count)
    means = [nll / n for nll, n in losses]
    if mean_of_perplexities:
        return float(np.mean(np.exp(means)))
    loss = sum(means) / len(means) if mean_of_means else loss
    return loss if no_exp else 2.0**loss if of_base_two else math.exp(loss)


def wilson(
    right: int, n: int, *, normal=False, clipped=False, plus_four=False, around_the_share=False, half_not_shrunk=False,
    one_sided=False, two_errors=False, rounded=False, middle_and_half=False, in_percent=False, one_row_less=False,
) -> tuple[float, float]:  # fmt: skip
    z = 2.0 if two_errors else 1.6448536269514722 if one_sided else 1.96 if rounded else Z
    if plus_four:
        right, n = right + 2, n + 4
    share, z2 = right / n, z * z / (n - 1 if one_row_less and n > 1 else n)
    middle = share if around_the_share else (share + z2 / 2) / (1 + z2)
    half = math.sqrt(z2 * (share * (1 - share) + z2 / 4)) / (1 if half_not_shrunk else 1 + z2)
    if normal or clipped or plus_four:
        middle, half = share, z * math.sqrt(share * (1 - share) / n)
    low, high = (middle, half) if middle_and_half else (middle - half, middle + half)
    low, high = (max(0.0, low), min(1.0, high)) if clipped else (low, high)
    low, high = (0.0 if abs(low) < 1e-12 else low), (1.0 if abs(high - 1) < 1e-12 else high)
    return (100 * low, 100 * high) if in_percent else (low, high)


def gsm8k_number(
    text: str, *, last=False, anywhere=False, commas_kept=False, as_a_number=False, stop_removed=False,
    dollar_skipped=False, space_not_needed=False, any_space=False, empty=False, sign_lost=False, decimals_lost=False,
    whole_line=False, first_mark_only=False, minus_anywhere=False,
) -> str | None:  # fmt: skip
    if first_mark_only:
        text = "#### ".join(text.split("#### ")[:2])
    sign, digits = "" if sign_lost else "-?", "[0-9,]+" if decimals_lost else "[0-9.,]+"
    digits = "[0-9.,-]+" if minus_anywhere else digits
    before = "" if anywhere else "#### ?" if space_not_needed else r"####\s*" if any_space else "#### "
    before += r"(?:\$)?" if dollar_skipped else "-?" if sign_lost else ""
    found = re.findall(f"{before}(.+)" if whole_line else f"{before}({sign}{digits})", text)
    if not found:
        return "" if empty else None
    number = found[-1 if last or anywhere else 0]
    number = number if commas_kept else number.replace(",", "")
    number = number.rstrip(".") if stop_removed else number
    return f"{float(number):g}" if as_a_number and re.fullmatch(r"-?\d+\.?\d*", number) else number


def paired_difference(
    wanted: Sequence[str], first: Sequence[str], second: Sequence[str], draws: Sequence[Sequence[int]], *,
    unpaired=False, ends_subtracted=False, widest=False, first_minus_second=False, stripped=False, lowered=False,
    contained=False, started=False, ninety=False, mean_of_draws=False, from_lowest_to_highest=False, counted=False,
    relative=False,
) -> tuple[float, float, float]:  # fmt: skip
    def same(a: str, b: str) -> bool:
        a, b = (x.strip() if stripped else x for x in (a, b))
        a, b = (x.lower() if lowered else x for x in (a, b))
        return b in a if contained else a.startswith(b) if started else a == b

    sides = [np.array([float(same(a, w)) for a, w in zip(side, wanted, strict=True)]) for side in (first, second)]
    one, two = sides[::-1] if first_minus_second else sides
    ends = [0.05, 0.95] if ninety else [0.0, 1.0] if from_lowest_to_highest else [0.025, 0.975]
    shares = [np.array([side[list(drawn)].mean() for drawn in draws]) for side in (one, two)]
    value = (shares[1] - shares[0]).mean() if mean_of_draws else two.mean() - one.mean()
    low, high = np.quantile(shares[1] - (shares[0][::-1] if unpaired else shares[0]), ends)
    if ends_subtracted or widest:
        (low_1, high_1), (low_2, high_2) = (np.quantile(share, ends) for share in shares)
        low, high = (low_2 - low_1, high_2 - high_1) if ends_subtracted else (low_2 - high_1, high_2 - low_1)
    scale = len(wanted) if counted else 1 / one.mean() if relative else 1.0
    return float(value * scale), float(low * scale), float(high * scale)


def mean_rating(
    ratings: Float[np.ndarray, "items raters"], *, all_alike=False, of_raters=False, median_of_raters=False,
    median=False, missing_as_zero=False, missing_as_middle=False, incomplete_dropped=False, ratings_drawn=False,
    raters_drawn=False, raters_not_drawn=False, normal=False, spread=False,
) -> tuple[float, float, float]:  # fmt: skip
    if np.isnan(ratings).all():
        raise ValueError("Nobody judged anything.")
    table = ratings[~np.isnan(ratings).all(1)]
    if missing_as_zero or missing_as_middle:
        table = np.nan_to_num(table, nan=0.0 if missing_as_zero else 3.0)
    if incomplete_dropped:
        table = table[~np.isnan(table).any(1)]
    if of_raters:
        table = table.T[~np.isnan(table.T).all(1)]

    def of_items(tables: np.ndarray) -> np.ndarray:
        return (np.nanmedian if median_of_raters else np.nanmean)(tables, axis=-1)

    def mean_of(tables: np.ndarray) -> np.ndarray:
        if all_alike:
            return np.nanmean(tables, axis=(-2, -1))
        return (np.median if median else np.mean)(of_items(tables), axis=-1)

    mean = float(mean_of(table))
    if normal or spread:
        half = Z * of_items(table).std(ddof=1) / (1 if spread else math.sqrt(len(table)))
        return mean, float(mean - half), float(mean + half)
    drawn = table.T if raters_drawn else of_items(table)[:, None] if raters_not_drawn else table
    drawn = drawn[~np.isnan(drawn)][:, None] if ratings_drawn else drawn
    return mean, *bootstrap_within(mean_of, drawn)


def use_case() -> Path:
    return Path(__file__).parent / "bins"
