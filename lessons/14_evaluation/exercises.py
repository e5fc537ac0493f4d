"""Lesson 14's exercises: `pytest lessons/14_evaluation` says how far you are.

turtle: a formula, 5 to 10 minutes; dog: a small program, 15 to 30; lion: measured against the real thing.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float


def response_perplexity(losses: Sequence[tuple[float, int]]) -> float:
    """Turtle, 5 minutes. exp of (14.1): the perplexity of all responses of a data set.

    For each conversation there is the summed surprise of its response's tokens, and their number: what
    minigpt.measure.perplexity.row_losses gives.
    """
    raise NotImplementedError


def wilson(right: int, n: int) -> tuple[float, float]:
    """Turtle, 10 minutes. The lowest and the highest share p from which right / n is at most Z standard errors away.

    A standard error of p is sqrt(p (1 - p) / n). minigpt.measure.interval.Z is 1.96 with all its digits. Rounding can
    leave an end just outside of 0 to 1: return exactly 0.0 as the lowest of 0 of n, and exactly 1.0 as the highest of
    n of n.
    """
    raise NotImplementedError


def gsm8k_number(text: str) -> str | None:
    """Turtle, 10 minutes. The final number of a worked answer by GSM8K's official rule, as text.

    It is the text of digits, dots and commas, with or without a minus in front, after the first place that has "####",
    one space and such a text; its commas are removed, and nothing else. None if there is no such place.
    """
    raise NotImplementedError


def paired_difference(
    wanted: Sequence[str], first: Sequence[str], second: Sequence[str], draws: Sequence[Sequence[int]]
) -> tuple[float, float, float]:
    """Dog, 20 minutes. By how much the second model's exact match exceeds the first's, and both ends of the interval.

    `wanted` has the right answers, `first` and `second` those of the two models to the same questions. Each of the
    `draws` is one resample: the numbers of the questions that were drawn, as many as there are, some several times. The
    interval is np.quantile at 0.025 and 0.975 of what the difference is in the resamples.
    """
    raise NotImplementedError


def mean_rating(ratings: Float[np.ndarray, "items raters"]) -> tuple[float, float, float]:
    """Dog, 25 minutes. (14.3): the mean rating, and both ends of its interval.

    A row for each answer, a column for each rater, NaN where a rater did not judge an answer. Answers that nobody
    judged are left out; ValueError if that is all of them. For the interval the answers are drawn again, and within
    each the people who rated it, by minigpt.measure.interval.bootstrap_within(statistic, ratings). It takes a table
    like yours, in which each answer has a rating, and gives the tables that it drew, a stack (draws, answers, raters)
    at a time, to `statistic`, which returns the mean of each table of the stack. NaN fills a drawn row that has fewer
    ratings.
    """
    raise NotImplementedError


def use_case() -> Path:
    """Lion, 120 minutes. A data set of your own, for something that you need: view it, train on it, measure it.

    Return the folder in which you did it, from where you start pytest. It holds train.jsonl (50 conversations or more),
    held_out.jsonl (20 or more, none of which asks what is asked in training), the run in run/, and what evaluate wrote,
    figures.json and figures.predictions.jsonl. The lesson has the commands.

    The interval of exact match must be above that of always giving the most frequent answer; or, if no held-out answer
    occurs in training, so that every answer is a text of its own, the interval of the perplexity below that of the
    untrained start. Until then, train into a new run/ and measure again.
    """
    raise NotImplementedError
