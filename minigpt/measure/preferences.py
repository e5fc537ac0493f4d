"""What a model does on pairs and on prompts, a column a figure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from minigpt.measure.evaluation import Figure, ratio, share, with_interval
from minigpt.preference.bradley_terry import preference_nll
from minigpt.preference.pair_trainers import right
from minigpt.text.pairs import Pair


@dataclass(frozen=True)
class PreferenceEvaluation:
    columns: Mapping[str, Float[np.ndarray, "n 2"]]

    @cached_property
    def figures(self) -> dict[str, Figure]:
        return {
            name: share(rows) if set(rows[:, 0]) <= {0.0, 1.0} else with_interval(ratio, rows)
            for name, rows in self.columns.items()
        }

    def as_json(self) -> dict:
        report = {}
        for name, (value, low, high) in self.figures.items():
            report |= {name: value, f"{name}_interval": [low, high]}
        return report


def of(**columns: Tensor | Sequence[float]) -> PreferenceEvaluation:
    return PreferenceEvaluation(
        {name: np.stack([np.asarray(v, dtype=float), np.ones(len(v))], 1) for name, v in columns.items()}
    )


def joined(*parts: PreferenceEvaluation) -> PreferenceEvaluation:
    return PreferenceEvaluation({name: rows for part in parts for name, rows in part.columns.items()})


def pair_evaluation(chosen, rejected, reference_chosen, reference_rejected, beta, label_smoothing=0.0):
    margin = beta * ((chosen - reference_chosen) - (rejected - reference_rejected))
    return of(
        loss=preference_nll(margin, label_smoothing),
        accuracy=right(margin),
        margin=margin,
        chosen_logp=chosen,
        rejected_logp=rejected,
    )


def reward_evaluation(chosen, rejected, label_smoothing=0.0):
    margin = chosen - rejected
    return of(
        loss=preference_nll(margin, label_smoothing),
        accuracy=right(margin),
        margin=margin,
        chosen_reward=chosen,
        rejected_reward=rejected,
    )


def core(text: str) -> str:
    return text.rstrip(".!")


def last_sign_alone(pairs: Sequence[Pair]) -> bool:
    return all(core(p.chosen) == core(p.rejected) and p.chosen.endswith("!") for p in pairs)


def answers_evaluation(answers: Sequence[str], wanted: Sequence[str], last_sign: bool) -> PreferenceEvaluation:
    """The share of greedy answers that are the wanted ones; and of pairs that differ in their last sign alone, of
    those that are but for that sign, and of those that end with "!"."""
    exact = of(exact_match=[a == b for a, b in zip(answers, wanted, strict=True)])
    if not last_sign:
        return exact
    return joined(exact, of(
        cheerful=[a.endswith("!") for a in answers],
        task=[core(a) == core(b) for a, b in zip(answers, wanted, strict=True)],
    ))


def draws_evaluation(rewards, divergences, ended) -> PreferenceEvaluation:
    found = of(reward=rewards, ended=ended)
    return found if divergences is None else joined(found, of(divergence=divergences))
