"""What is measured of a model that learns preferences, before, during and after training."""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from minigpt.measure.accuracy import answer
from minigpt.measure.divergence import divergence
from minigpt.measure.frontier import at, curve
from minigpt.measure.preferences import (
    PreferenceEvaluation,
    answers_evaluation,
    draws_evaluation,
    joined,
    last_sign_alone,
    pair_evaluation,
    reward_evaluation,
)
from minigpt.model.gpt import GPT
from minigpt.preference.likelihood import continued, log_likelihood
from minigpt.preference.pair_trainers import PairRows
from minigpt.preference.policy import Draw, draw_answers
from minigpt.preference.reward import RewardModel
from minigpt.preference.rewards import Prompt, Reward
from minigpt.run.preference_samples import greedy_draws
from minigpt.text.examples import Example
from minigpt.text.pairs import Pair
from minigpt.text.template import Template

CURVE_DRAWS, CURVE_PROMPTS = 32, 128  # of the reference, for the curve of the optimum
AT_ONCE = 256  # draws
BLOCK = 64  # pairs that are always scored together, so that an unchanged model has the same numbers to the last bit
EVALUATED = 512  # held-out pairs, or prompts, in an evaluation during training; the last one uses all
SEED = 2**32  # draws of evaluations have seeds of their own; those of training are functions of --seed and the step


@runtime_checkable
class Measures(Protocol):
    """Measures a model on held-out rows: on all of them if `whole`, else on at most EVALUATED."""

    def __call__(self, model: GPT | RewardModel, whole: bool = False) -> PreferenceEvaluation: ...

    def __len__(self) -> int: ...


def blocks(rows: Sequence[PairRows], score: Callable[[list[Example]], Tensor]) -> Float[Tensor, "2 N"]:
    """The scores of the chosen rows and of the rejected ones, a block of pairs at a time."""
    found = []
    for start in range(0, len(rows), BLOCK):
        some = rows[start : start + BLOCK]
        found.append(score([pair.chosen for pair in some] + [pair.rejected for pair in some]).view(2, -1))
    return torch.cat(found, 1)


class RewardMeasures:
    """How a reward model ranks held-out pairs."""

    def __init__(self, rows: Sequence[PairRows], label_smoothing: float) -> None:
        self.rows, self.label_smoothing = rows, label_smoothing

    def __len__(self) -> int:
        return len(self.rows)

    @torch.no_grad()
    def __call__(self, model: RewardModel, whole: bool = False) -> PreferenceEvaluation:
        chosen, rejected = blocks(self.rows if whole else self.rows[:EVALUATED], model)
        return reward_evaluation(chosen, rejected, self.label_smoothing)


class PairMeasures:
    """How far apart a policy holds held-out pairs, against the log-likelihoods of its reference; and, where the pairs
    differ in their last sign alone, what it answers."""

    def __init__(
        self,
        rows: Sequence[PairRows],
        pairs: Sequence[Pair],
        template: Template,
        beta: float,
        label_smoothing: float,
        model: GPT,
        reference: Callable[[], GPT],
    ) -> None:
        """`model` is the reference as long as nothing is trained; later `reference` loads it where it is needed."""
        self.rows, self.pairs, self.template = rows, pairs, template
        self.beta, self.label_smoothing, self.reference = beta, label_smoothing, reference
        with torch.no_grad():
            self.under_reference = blocks(rows, lambda some: log_likelihood(model, some))
        self.answering = last_sign_alone(pairs)
        sides = [side for pair in pairs for side in (pair.chosen, pair.rejected)]
        self.most = max(len(template.tokenizer.encode(side)) for side in sides) + 1

    def __len__(self) -> int:
        return len(self.rows)

    @torch.no_grad()
    def __call__(self, model: GPT, whole: bool = False) -> PreferenceEvaluation:
        n = len(self.rows) if whole else EVALUATED
        chosen, rejected = blocks(self.rows[:n], lambda some: log_likelihood(model, some))
        found = pair_evaluation(chosen, rejected, *self.under_reference[:, :n], self.beta, self.label_smoothing)
        if not self.answering:
            return found
        prompts = [pair.prompt for pair in self.pairs[:n]]
        answers = answer(model, self.template, prompts, self.most)
        found = joined(found, answers_evaluation(answers, [pair.chosen for pair in self.pairs[:n]], True))
        if not whole:
            return found
        draws = draw(model, list(map(self.template.prompt, prompts)), 1, self.template.end, self.most)
        distances = divergence(model, self.reference(), as_rows(draws))
        return joined(found, draws_evaluation(None, distances, [draw.ended for draw in draws]))


class PromptMeasures:
    """The reward and the divergence of one draw to each held-out prompt, and how many greedy answers are right."""

    def __init__(
        self,
        prompts: Sequence[Prompt],
        template: Template,
        reward: Reward,
        reference: Callable[[], GPT],
        max_new_tokens: int,
        last_sign: bool,
    ) -> None:
        self.prompts, self.template, self.reward, self.reference = prompts, template, reward, reference
        self.max_new_tokens, self.last_sign = max_new_tokens, last_sign

    def __len__(self) -> int:
        return len(self.prompts)

    @torch.no_grad()
    def __call__(self, model: GPT, whole: bool = False) -> PreferenceEvaluation:
        prompts = self.prompts if whole else self.prompts[:EVALUATED]
        draws = self.draw(model, prompts, 1)
        distances = divergence(model, self.reference(), as_rows(draws))
        found = draws_evaluation(self.reward(prompts, draws), distances, [draw.ended for draw in draws])
        said = [self.text(draw) for draw in greedy_draws(model, self.template, prompts, self.max_new_tokens)]
        return joined(found, answers_evaluation(said, [prompt.wanted for prompt in prompts], self.last_sign))

    @torch.no_grad()
    def frontier(self, model: GPT, beta: float) -> dict:
        """The curve of the optimum, from several answers of `model`, the reference, to each of some prompts; and where
        on it the optimum of `beta` lies. It is what frontier.json holds."""
        prompts = self.prompts[:CURVE_PROMPTS]
        draws = self.draw(model, prompts, CURVE_DRAWS)
        asked = [prompt for prompt in prompts for _ in range(CURVE_DRAWS)]
        rewards = self.reward(asked, draws).view(-1, CURVE_DRAWS)
        mean, std = rewards.mean().item(), rewards.std(unbiased=False).item()
        return {
            "beta": beta,
            "rewards": {"mean": mean, "std": std, "draws": CURVE_DRAWS, "prompts": len(prompts)},
            "here": at(rewards, beta).as_json() if beta else None,
            "curve": [point.as_json() for point in curve(rewards)],
        }

    def text(self, draw: Draw) -> str:
        return self.template.tokenizer.decode(draw.answer[: len(draw.answer) - draw.ended])

    def draw(self, model: GPT, prompts: Sequence[Prompt], copies: int) -> list[Draw]:
        return draw(model, [prompt.ids for prompt in prompts], copies, self.template.end, self.max_new_tokens)


def draw(
    model: GPT,
    prompts: Sequence[list[int]],
    copies: int,
    end: int,
    most: int,
    seed: int = 0,
    at_once: int = AT_ONCE,
) -> list[Draw]:
    """`copies` answers to each prompt, of few prompts at a time: `at_once` draws or fewer."""
    found, at_once = [], max(1, at_once // copies)
    for start in range(0, len(prompts), at_once):
        found += draw_answers(model, prompts[start : start + at_once], copies, end, most, SEED + seed + start)
    return found


def as_rows(draws: Sequence[Draw]) -> list[Example]:
    return [continued(draw.prompt, draw.answer) for draw in draws]
