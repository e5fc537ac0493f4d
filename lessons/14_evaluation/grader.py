"""Lesson 14's grader: what is asked for, on which numbers, and the hint for each typical mistake."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import torch

from lessons.harness.grade import NOT_WRITTEN, Exercise, Lesson, where

from .judge import verdict

MEASURE = "minigpt.measure."
NAN = float("nan")


@cache
def known(function: Callable, table: bytes, shape: tuple[int, ...], switches: tuple[str, ...] = ()) -> object:
    """What the right function, or a typical mistake, gives for a table; kept, since it draws 2,000 times."""
    return function(np.frombuffer(table).reshape(shape), **dict.fromkeys(switches, True))


class OfTables(Exercise):
    """Its cases are a table of numpy each, which the grader compares as a tensor that shares its numbers."""

    def verdict(self, mine: Callable | None, lesson: Lesson) -> str | None:
        def ours(module: ModuleType) -> SimpleNamespace:
            function = getattr(module, self.name)
            return SimpleNamespace(**{
                self.name: lambda x, **switches: known(function, x.numpy().tobytes(), tuple(x.shape), tuple(switches))
            })  # fmt: skip

        def theirs(tensor: torch.Tensor) -> object:
            return mine(tensor.numpy())

        if mine:  # an error is told with the last line in the learner's file
            theirs.__code__ = theirs.__code__.replace(co_filename=inspect.getsourcefile(mine))
        tensors = replace(self, cases=lambda: [(torch.from_numpy(table),) for (table,) in self.cases()])
        modules = SimpleNamespace(solutions=ours(lesson.solutions), mistakes=ours(lesson.mistakes))
        return Exercise.verdict(tensors, mine and theirs, modules)


class UseCase(Exercise):
    """Every learner has another folder: it is judged, not compared."""

    def verdict(self, mine: Callable | None, lesson: Lesson) -> str | None:
        if mine is None:
            return super().verdict(mine, lesson)
        try:
            folder = mine()
        except NotImplementedError:
            return f"{self.name} {NOT_WRITTEN}"
        except Exception as error:
            return f"{self.name} stopped: {type(error).__name__}: {error}\n{where(error, mine)}"
        if not isinstance(folder, str | Path) or not Path(folder).is_dir():
            return f"{self.name} gave {folder!r}; wanted the path of your folder, which is there."
        return verdict(Path(folder))


def loss_cases() -> list[tuple]:
    return [([(1.44, 3), (3.33, 1)],), ([(0.5, 2), (0.25, 5), (6.0, 1), (2.0, 8)],), ([(3.0, 4)],)]


GSM8K_TEXTS = [
    "3 boxes of 6 are 3*6=18 eggs.\n#### 18", "#### 1,018", "#### 17\nNo, one more.\n#### 18", "####18", "####  18",
    "#### $18", "#### 18.0", "#### 18.", "#### -18", "The answer is 18.", "I do not know.", "#### 18 eggs",
    "#### eighteen", "18\n#### 0.5", "", "##### 18", "#### 007", "#### eggs\n#### 18", "#### 18-20 eggs",
]  # fmt: skip


def paired_cases() -> list[tuple]:
    wanted = ["Paris", "cold", "18", "moo", "bad", "9", "red", "s-a-d"]
    first = ["Paris", "cold", "17", "Moo", "good", " 9", "red", "It is s-a-d"]
    second = ["Paris", "hot", "18", "moo", "bad ", "9", "red!", "s-a-d"]
    draw = np.random.default_rng(0).integers
    draws = draw(8, size=(40, 8)).tolist()
    return [(wanted, first, second, draws), (wanted, second, first, draws[1:10])]


def tables() -> list[tuple]:
    uneven = np.array([[5.0, 4.0, 3.0], [2.0, NAN, NAN], [5.0, 5.0, 5.0], [NAN, 1.0, 3.0]])
    skewed = np.array([[1.0, 1.0, 5.0], [2.0, 2.0, 1.0], [4.0, 5.0, 5.0], [NAN, NAN, NAN], [3.0, NAN, 4.0]])
    return [(uneven,), (skewed,)]


def beyond_the_ends(mine: Callable) -> str | None:
    for n in range(1, 201):
        lowest, highest = mine(0, n)[0], mine(n, n)[1]
        if (lowest, highest) != (0.0, 1.0):
            return (
                f"Right but for rounding: the lowest of 0 of {n} is {lowest}, and the highest of {n} of {n} {highest}. "
                "Return exactly 0.0 and 1.0 there; a share is never outside of them."
            )
    return None


def no_rating(mine: Callable) -> str | None:
    try:
        mine(torch.full((2, 3), NAN))
    except ValueError:
        return None
    return "A table without a single rating should raise a ValueError; a mean of nothing is not a number."


EXERCISES = [
    Exercise("response_perplexity", "turtle", 5, loss_cases, {
        "mean_of_perplexities": "You averaged the perplexities of the conversations. One short answer that the model "
        "finds odd then outweighs all others: add up surprise and tokens first, and take exp once, at the end.",
        "mean_of_means": "You averaged the conversations' mean losses, so a token of a short answer weighs more than "
        "one of a long answer. Divide the whole sum by the whole count.",
        "no_exp": "This is the mean loss. Perplexity is exp of it.",
        "of_the_sum": "You took exp of the sum. Divide it by the number of tokens first.",
        "per_row": "You divided by the number of conversations. Surprise is counted per token.",
        "of_base_two": "You raised 2 to a loss that is in natural logarithms; it has to be e.",
    }),
    Exercise("wilson", "turtle", 10, lambda: [(3, 4), (0, 20), (81, 263), (29, 29), (1, 2)], {
        "normal": "You took the standard error of the share that was seen, share (1 - share). At 0 of 20 that is no "
        "interval at all, and at 3 of 4 it reaches beyond 1. Take the standard error of p, which you are looking for.",
        "clipped": "You cut the normal interval off at 0 and 1. That hides it: at 0 of 20 it still says 0 to 0. "
        "Take the standard error of p, which you are looking for.",
        "plus_four": "You added two right and two wrong rows and took the normal interval (Agresti and Coull). It is "
        "close, and a good one to know by heart, but here the equation is to be solved.",
        "around_the_share": "Your interval has the right width, around the share that was seen. The middle of the two "
        "solutions is nearer to one half.",
        "half_not_shrunk": "The middle is right, and the distance from it is not divided by 1 + Z² / n.",
        "one_sided": "1.64 leaves 5 % on one side. Here 2.5 % is left on either.",
        "two_errors": "You took 2 standard errors. Z is 1.96.",
        "rounded": "You took 1.96; use minigpt.measure.interval.Z, which has all digits.",
        "middle_and_half": "You returned the middle and half the width. Wanted are the lowest and the highest p.",
        "in_percent": "You returned percent; shares are from 0 to 1.",
        "one_row_less": "You divided by n - 1. The variance of a share of n rows is p (1 - p) / n.",
    }, places=(MEASURE + "interval.wilson",), judge=beyond_the_ends),
    Exercise("gsm8k_number", "turtle", 10, lambda: [(text,) for text in GSM8K_TEXTS], {
        "first_mark_only": "You look at the first '#### ' alone. If no number follows it, look for the next.",
        "minus_anywhere": "You accept a minus within the number: 18-20 is 18. It may only be in front.",
        "last": "Where several places fit you take the last. The official rule takes the first.",
        "anywhere": "You take the last number of the whole text. Without '#### ' before it there is none.",
        "commas_kept": "The commas are still there: 1,018 and 1018 have to be equal as text.",
        "as_a_number": "You made a number of it, so that 18.0 equals 18. The rule compares text.",
        "stop_removed": "You removed the full stop at the end. Nothing but commas is removed.",
        "dollar_skipped": "You skip a dollar sign. After '#### ' the digits must follow at once.",
        "space_not_needed": "You accept '####18'. There has to be one space.",
        "any_space": "You accept any white space after '####', or none. It has to be one space.",
        "empty": "You return an empty text where the format is not followed. Wanted is None, which equals no answer.",
        "sign_lost": "The minus in front of the number is lost.",
        "decimals_lost": "You stop at the decimal point: 0.5 became 0.",
        "whole_line": "You take the rest of the line: after the number only text that belongs to it counts.",
    }, places=(MEASURE + "accuracy.gsm8k_number",)),
    Exercise("paired_difference", "dog", 20, paired_cases, {
        "unpaired": "The two models were drawn apart: in each resample both have to answer the same questions.",
        "ends_subtracted": "You subtracted the ends of two intervals. Take the difference within each resample, and "
        "then the quantiles of these differences.",
        "widest": "You took the lowest of one interval less the highest of the other. That is the answer to another "
        "question, and it forgets that both models answered the same questions.",
        "first_minus_second": "Yours is the first less the second.",
        "stripped": "You remove white space around the answers. Exact match is to the letter.",
        "lowered": "You ignore capitals. Exact match is to the letter: 'Moo' is not 'moo'.",
        "contained": "You look for the right answer *within* what was said. 'It is s-a-d' is not 's-a-d'.",
        "started": "You compare only as much as the right answer has. An answer that goes on is not equal.",
        "ninety": "You leave 5 % on either side. It is 2.5 %.",
        "mean_of_draws": "The difference itself is that of the questions as they are; resamples are for the interval.",
        "from_lowest_to_highest": "You took the lowest and the highest of all resamples: the more are drawn, the wider "
        "that becomes. Take quantiles.",
        "counted": "You counted answers. Wanted are shares of all questions.",
        "relative": "You divided by the first model's share. Wanted is the difference of the shares.",
    }),
    OfTables("mean_rating", "dog", 25, tables, {
        "all_alike": "You took the mean over all ratings, so an answer that three rated weighs three times as much as "
        "one that a single person rated. First the mean of each answer, then the mean of these.",
        "of_raters": "You took a mean for each rater first. A row is an answer, and each answer has to count once.",
        "median_of_raters": "You took the median of an answer's ratings. (14.3) has means.",
        "median": "You took the median over the answers. (14.3) has means.",
        "missing_as_zero": "NaN became 0, the worst rating of all. It means that nobody said anything: leave it out.",
        "missing_as_middle": "NaN became 3. It means that nobody said anything: leave it out.",
        "incomplete_dropped": "You dropped answers that some rater did not judge. Keep them, with their ratings.",
        "ratings_drawn": "The mean is right, but for the interval you drew single ratings. Three ratings of one answer "
        "are no three answers: draw the answers.",
        "raters_drawn": "The mean is right, but for the interval you drew raters. Draw answers.",
        "raters_not_drawn": "The mean is right. Your draws take each answer with the people who rated it. Others would "
        "rate it next time: give bootstrap_within the ratings, and take the means in the statistic.",
        "normal": "The mean is right, and the interval is 1.96 standard errors on either side. Here the bootstrap is "
        "wanted.",
        "spread": "The mean is right. Your interval says how the answers spread, not how far their mean may be off.",
    }, places=(MEASURE + "ratings.mean_rating",), judge=no_rating),
    UseCase("use_case", "lion", 120, lambda: [()], {}),
]  # fmt: skip
