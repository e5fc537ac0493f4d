"""One answer to each exercise of lesson 14."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from minigpt.measure.interval import Z, bootstrap_within


def response_perplexity(losses: Sequence[tuple[float, int]]) -> float:
    return math.exp(sum(nll for nll, _ in losses) / sum(count for _, count in losses))


def wilson(right: int, n: int) -> tuple[float, float]:
    # (right / n - p)^2 = Z^2 p (1 - p) / n is a quadratic equation in p: a p^2 - 2 b p + c = 0.
    a, b, c = 1 + Z**2 / n, right / n + Z**2 / (2 * n), (right / n) ** 2
    root = math.sqrt(max(0.0, b * b - a * c))
    return (0.0 if right == 0 else (b - root) / a), (1.0 if right == n else (b + root) / a)


def gsm8k_number(text: str) -> str | None:
    found = re.search(r"#### (-?[0-9.,]+)", text)
    return found[1].replace(",", "") if found else None


def paired_difference(
    wanted: Sequence[str], first: Sequence[str], second: Sequence[str], draws: Sequence[Sequence[int]]
) -> tuple[float, float, float]:
    gains = np.array([(b == w) - (a == w) for w, a, b in zip(wanted, first, second, strict=True)])
    low, high = np.quantile([gains[drawn].mean() for drawn in draws], [0.025, 0.975])
    return float(gains.mean()), float(low), float(high)


def mean_rating(ratings: Float[np.ndarray, "items raters"]) -> tuple[float, float, float]:
    judged = ratings[~np.isnan(ratings).all(axis=1)]
    if not len(judged):
        raise ValueError("Nobody judged anything.")

    def mean_of(tables: np.ndarray) -> np.ndarray:
        return np.nanmean(tables, axis=-1).mean(axis=-1)

    return float(mean_of(judged)), *bootstrap_within(mean_of, judged)


def use_case() -> Path:
    return Path(__file__).parent / "bins"
