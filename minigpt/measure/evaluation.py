"""Evaluate a model or a baseline per conversation, and compare two on the same rows."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from tqdm import tqdm

from minigpt.learn.loss import perplexity
from minigpt.measure.accuracy import answer, exact_match, wanted
from minigpt.measure.interval import bootstrap, newcombe, wilson
from minigpt.measure.perplexity import row_losses
from minigpt.model.gpt import GPT
from minigpt.text.examples import Encoded, Example
from minigpt.text.gsm8k import all_gsm8k, gsm8k_number
from minigpt.text.records import Conversation
from minigpt.text.template import Template

# Shares of the rows, where each has 0 or 1; a rule's reward often is one.
SHARES = ("accuracy", "gsm8k_accuracy", "gsm8k_format", "ended", "exact_match", "task", "cheerful", "reward")
Figure = tuple[float, float, float]  # a figure with both ends of its 95 % interval


class Measured:
    """Figures of one model: each is the sum of one column divided by the sum of another."""

    columns: dict[str, Float[np.ndarray, "_ 2"]]  # numerator and denominator of each figure, row by row

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """Every figure of `columns` with its interval: Wilson's of a share whose rows are all 0 or 1, else the
        bootstrap's over the rows."""
        return {
            name: share(rows) if is_share(name, rows) else with_interval(ratio, rows)
            for name, rows in self.columns.items()
        }

    def as_json(self) -> dict:
        """The figures by name, each with its interval."""
        report = {}
        for name, (value, low, high) in self.figures.items():
            report |= {name: value, f"{name}_interval": [low, high]}
        return report


@dataclass(frozen=True)
class Evaluation(Measured):
    """How well conversations are answered, or plain text is predicted."""

    conversations: Sequence[Conversation]
    losses: Sequence[tuple[float, int]] = ()  # the NLL of the supervised tokens and their number
    answers: Sequence[str] = ()
    n_bytes: Sequence[int] = ()  # of plain text, whose rows are windows: the bytes that each one predicts

    @cached_property
    def columns(self) -> dict[str, Float[np.ndarray, "n 2"]]:
        """Numerator and denominator of each figure, row by row.

        GSM8K's rule is applied if every reference answer has its format; how often answers have it is another figure.
        """
        found: dict[str, Sequence[tuple[float, float]]] = {}
        if self.losses:
            found["loss"] = self.losses
        if self.n_bytes:
            pairs = zip(self.losses, self.n_bytes, strict=True)
            found["bits_per_byte"] = [(nll / math.log(2), n) for (nll, _), n in pairs]
        right = [wanted(row) for row in self.conversations]
        if self.answers:
            found["accuracy"] = [(a == b, 1) for a, b in zip(self.answers, right, strict=True)]
        if self.answers and is_gsm8k(self.conversations):
            numbers = [gsm8k_number(text) for text in self.answers]
            found["gsm8k_accuracy"] = [(a == gsm8k_number(b), 1) for a, b in zip(numbers, right, strict=True)]
            found["gsm8k_format"] = [(a is not None, 1) for a in numbers]
        return {name: np.array(pairs, dtype=float) for name, pairs in found.items()}

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """Those of `Measured`, with perplexity, which is exp of the loss."""
        figures = super().figures
        if "loss" in figures:
            low_to_high = tuple(perplexity(loss) for loss in figures["loss"])
            figures = {"perplexity": low_to_high, **figures}
        return figures

    def row_by_row(self) -> list[dict]:
        """Per row: the NLL of its supervised tokens and their number, the answer, and whether it is right."""
        rows: list[dict] = [{} for _ in self.conversations or self.losses]
        for row, (nll, count) in zip(rows, self.losses, strict=False):
            row |= {"nll": nll, "supervised_tokens": count}
        for row, given in zip(rows, self.answers, strict=False):
            row |= {"answer": given}
        for name, pairs in self.columns.items():
            if name not in ("loss", "bits_per_byte"):
                for row, yes in zip(rows, pairs[:, 0], strict=True):
                    row |= {name: bool(yes)}
        return rows

    def as_json(self) -> dict:
        """The figures by name, each with its interval, and what they are of."""
        report = super().as_json()
        if self.losses:
            report["supervised_tokens"] = sum(count for _, count in self.losses)
        if self.answers:
            report["accuracy_by_kind"] = exact_match(self.conversations, self.answers).by_kind
        return report


def ratio(sums: Float[np.ndarray, "*draws 2"]) -> Float[np.ndarray, "*draws"]:
    return sums[..., 0] / sums[..., 1]


def gap(sums: Float[np.ndarray, "*draws 4"]) -> Float[np.ndarray, "*draws"]:
    return ratio(sums[..., 2:]) - ratio(sums[..., :2])


def with_interval(statistic: Callable, rows: Float[np.ndarray, "n k"]) -> Figure:
    [figure] = statistic(rows.sum(0, keepdims=True)).tolist()
    return figure, *bootstrap(statistic, rows)


def is_share(name: str, rows: Float[np.ndarray, "n 2"]) -> bool:
    return name in SHARES and bool(np.isin(rows[:, 0], (0, 1)).all())


def share(rows: Float[np.ndarray, "n 2"]) -> Figure:
    right, n = int(rows[:, 0].sum()), len(rows)
    return right / n, *wilson(right, n)


def difference(first: Measured, second: Measured) -> dict[str, Figure]:
    """Second minus first for each figure, on the same rows, with the paired interval: the bootstrap's, or Newcombe's
    for shares that differ on no row or on every row, from which a bootstrap can draw nothing else."""
    gaps = {}
    for name, a in first.columns.items():
        if name in second.columns:
            b = second.columns[name]
            value, *interval = with_interval(gap, np.concatenate([a, b], axis=1))
            if is_share(name, a) and is_share(name, b) and len(set(b[:, 0] - a[:, 0])) == 1:
                interval = newcombe(int(a[:, 0].sum()), int(b[:, 0].sum()), len(a))
            gaps[name] = (value, *interval)
    return gaps


def evaluate(
    model: GPT, template: Template, rows: Sequence[Conversation], encoded: Encoded, batch_size: int, answering: bool
) -> Evaluation:
    """The model's losses on `rows`, as `encoded`, and its greedy answers, cut just past the longest reference."""
    with tqdm(total=len(rows), desc="reading", unit="row", leave=False) as bar:
        losses = row_losses(model, encoded.examples, batch_size, progress=bar.update)
    if not answering:
        return Evaluation(rows, losses)
    longest = max(len(template.tokenizer.encode(wanted(row))) for row in rows)
    prompts = [row.asked for row in encoded.conversations]
    with tqdm(total=len(prompts), desc="answering", unit="row", leave=False) as bar:
        answers = answer(model, template, prompts, longest + 1, batch_size, bar.update)
    return Evaluation(rows, losses, answers)


def evaluate_text(
    model: GPT, rows: Sequence[Example], byte_lengths: Int[np.ndarray, " V"], batch_size: int
) -> Evaluation:
    """The model's losses on windows of plain text, with the bytes that the supervised tokens of each stand for."""
    with tqdm(total=len(rows), desc="reading", unit="window", leave=False) as bar:
        losses = row_losses(model, rows, batch_size, progress=bar.update)
    n_bytes = [int(byte_lengths[np.array(row.ids)[row.supervised]].sum()) for row in rows]
    return Evaluation((), losses, n_bytes=n_bytes)


def most_frequent_answer(rows: Sequence[Conversation]) -> Evaluation:
    """The constant baseline: the answer that is right most often among these rows.

    By GSM8K's rule it is the most frequent final number. No constant answer scores higher here, so a model that does
    uses the question.
    """
    right = [wanted(row) for row in rows]
    if is_gsm8k(rows):
        right = [f"#### {gsm8k_number(text)}" for text in right]
    [(best, _)] = Counter(right).most_common(1)
    return Evaluation(rows, answers=[best] * len(rows))


def is_gsm8k(rows: Sequence[Conversation]) -> bool:
    return all_gsm8k(map(wanted, rows))
