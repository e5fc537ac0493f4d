"""What a model makes of pairs of answers and of prompts: a column a figure, as in `evaluation`. Read with lesson 15."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from minigpt.measure.evaluation import Measured
from minigpt.preference.bradley_terry import preference_nll
from minigpt.preference.dpo import dpo_loss, implied_margin
from minigpt.preference.pair_trainers import right
from minigpt.text.pairs import Pair

SIGNS = ".!"  # what the built-in pairs differ in


@dataclass(frozen=True)
class PreferenceEvaluation(Measured):
    """Figures of one model on pairs, on prompts, or on both: each is the mean of a column.

    In a share's column a row is 0 or 1, or one half where the two answers of a pair are level. `texts` has what was
    said to each prompt, by what it is.
    """

    columns: Mapping[str, Float[np.ndarray, "_ 2"]]
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def row_by_row(self) -> list[dict]:
        """Per pair or prompt: its part of each figure, and what was said."""
        columns = {name: rows[:, 0].tolist() for name, rows in self.columns.items()} | dict(self.texts)
        n = max(map(len, columns.values()), default=0)
        return [{name: rows[i] for name, rows in columns.items() if i < len(rows)} for i in range(n)]


def joined(*parts: PreferenceEvaluation) -> PreferenceEvaluation:
    """The figures of all parts, which are of one model. ValueError for a figure that two of them have."""
    names = [name for part in parts for name in (*part.columns, *part.texts)]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"Two parts have the figure {twice[0]}.")
    columns = {name: rows for part in parts for name, rows in part.columns.items()}
    return PreferenceEvaluation(columns, {name: texts for part in parts for name, texts in part.texts.items()})


def means(**figures: Sequence[float] | Tensor) -> PreferenceEvaluation:
    """Figures that are each the mean of these values, in float64."""
    values = {name: torch.as_tensor(rows).detach().cpu().double().numpy() for name, rows in figures.items()}
    return PreferenceEvaluation({name: np.stack([rows, np.ones_like(rows)], 1) for name, rows in values.items()})


def pair_evaluation(
    chosen: Float[Tensor, " N"],
    rejected: Float[Tensor, " N"],
    reference_chosen: Float[Tensor, " N"],
    reference_rejected: Float[Tensor, " N"],
    beta: float,
    label_smoothing: float = 0.0,
) -> PreferenceEvaluation:
    """A language model on N pairs, from the log-likelihoods of both sides, in nats an answer, under the model and its
    reference.

    The margin is DPO's: beta times how much more the model has raised log pi of the chosen answer than of the rejected
    one, against the reference. `accuracy` is the share of margins above 0, of which one that is 0 counts one half;
    beta changes it in nothing. `loss` is that of `dpo_loss`.
    """
    margin = implied_margin(chosen, rejected, reference_chosen, reference_rejected, beta)
    loss = dpo_loss(chosen, rejected, reference_chosen, reference_rejected, beta, label_smoothing)
    return means(loss=loss, accuracy=right(margin), margin=margin, chosen_logp=chosen, rejected_logp=rejected)


def reward_evaluation(
    chosen: Float[Tensor, " N"], rejected: Float[Tensor, " N"], label_smoothing: float = 0.0
) -> PreferenceEvaluation:
    """A reward model on N pairs: the margin is the difference of the two rewards, `accuracy` counts as in
    `pair_evaluation`, and `loss` is that of `preference_nll`."""
    margin = chosen - rejected
    loss = preference_nll(margin, label_smoothing)
    return means(loss=loss, accuracy=right(margin), margin=margin, chosen_reward=chosen, rejected_reward=rejected)


def draws_evaluation(
    rewards: Float[Tensor, " N"] | None, divergences: Float[Tensor, " N"] | None, ended: Sequence[bool]
) -> PreferenceEvaluation:
    """A language model's draws, one to each of N prompts: their mean reward (15.1), the divergence from the reference
    along them in nats an answer, and the share that ended by themselves. None leaves a figure out."""
    found = {"reward": rewards, "divergence": divergences, "ended": [float(one) for one in ended]}
    return means(**{name: rows for name, rows in found.items() if rows is not None})


def answers_evaluation(answers: Sequence[str], wanted: Sequence[str], last_sign: bool) -> PreferenceEvaluation:
    """A language model's greedy answers: the share that are the wanted ones exactly.

    For pairs that differ in their last sign alone also `cheerful`, the share that end with "!", and `task`, the share
    that are the wanted ones once "." and "!" are taken from the end of both: what is said, whatever its end.
    """
    pairs = list(zip(answers, wanted, strict=True))
    found = {"exact_match": [float(said == right_one) for said, right_one in pairs]}
    if last_sign:
        found["cheerful"] = [float(said.endswith("!")) for said in answers]
        found["task"] = [float(stem(said) == stem(right_one)) for said, right_one in pairs]
    return PreferenceEvaluation(means(**found).columns, {"answer": answers})


def last_sign_alone(pairs: Sequence[Pair]) -> bool:
    """Whether the two sides of every pair are one text, without a sign at its end, with "." or with "!"."""
    return bool(pairs) and all(
        stem(pair.chosen) == stem(pair.rejected)
        and all(len(side) - len(stem(side)) <= 1 for side in (pair.chosen, pair.rejected))
        for pair in pairs
    )


def stem(text: str) -> str:
    return text.rstrip(SIGNS)
