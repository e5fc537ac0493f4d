"""What evaluate measures of preferences: a model on pairs, and one draw of it to each prompt."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from minigpt.cli.layout import say
from minigpt.measure.accuracy import answer
from minigpt.measure.divergence import divergence
from minigpt.measure.evaluation import Figure, difference
from minigpt.measure.preferences import (
    PreferenceEvaluation,
    answers_evaluation,
    draws_evaluation,
    joined,
    last_sign_alone,
    means,
    pair_evaluation,
    reward_evaluation,
)
from minigpt.model.gpt import GPT
from minigpt.preference.likelihood import log_likelihood
from minigpt.preference.pair_trainers import PairRows
from minigpt.preference.policy import Draw
from minigpt.preference.reward import RewardModel
from minigpt.preference.rewards import Prompt, Reward, answer_text, load_reward
from minigpt.preference.rows import EncodedPairs, encode_pairs
from minigpt.run.device import choose_device, place_to_read
from minigpt.run.evaluate_options import EvaluateOptions
from minigpt.run.preference_measures import AT_ONCE, as_rows, blocks, draw
from minigpt.run.reference import mark, reference_of
from minigpt.run.start import longest_row
from minigpt.text.examples import encode_within
from minigpt.text.pairs import Pair
from minigpt.text.records import Conversation
from minigpt.text.saved import saved_template
from minigpt.text.template import Template, load_template
from minigpt.text.tokenizer import load_tokenizer


@dataclass
class Preferred:
    """The figures of each model that was measured, of the references, and against which reference each model was."""

    models: dict[str, PreferenceEvaluation]
    baselines: dict[str, PreferenceEvaluation]
    references: dict[str, tuple[float, ...]]  # `mark`

    def difference(self) -> dict[str, Figure]:
        """Second minus first; without what says nothing between a reward model and a language model, or between
        models of different references, but for an accuracy in the first case."""
        gaps = difference(*self.models.values())
        marks = [self.references.get(name) for name in self.models]
        apart = []
        if (marks[0] is None) != (marks[1] is None):
            apart = ["margin", "loss"]
        elif marks[0] != marks[1]:
            apart = ["accuracy", "margin", "loss", "divergence"]
            say("The two references differ, so what is measured against them is not compared; give --reference.")
        return {name: gap for name, gap in gaps.items() if name not in apart}


class Preferences:
    """Measures models on the same pairs, or where there are none on the prompts of the same conversations."""

    def __init__(self, options: EvaluateOptions, pairs: Sequence[Pair], rows: Sequence[Conversation], beta: float):
        self.options, self.pairs, self.rows, self.beta = options, pairs, rows, beta
        self.found = Preferred({}, {}, {})
        self.answering = options.answers and last_sign_alone(pairs)

    def reward_model(self, folder: Path) -> None:
        """A reward model on the pairs."""
        options = self.options
        model = RewardModel.from_pretrained(folder).to(device := choose_device(options.device))
        model.transformer = place_to_read(model.transformer, device, options.math, options.weights)
        template = load_template(options.template or saved_template(folder), load_tokenizer(folder))
        pairs = self.encoded(model, template, str(folder))
        with tqdm(total=len(self.pairs), desc="reading pairs", unit="pair", leave=False) as bar:
            self.found.models[str(folder)] = reward_evaluation(*self.scores(model, pairs, bar))

    def language_model(self, folder: Path, model: GPT, template: Template) -> None:
        """A language model, and its reference beside it."""
        name, options = str(folder), self.options
        wanted = [pair.chosen for pair in self.pairs] or [row.answer for row in self.rows]
        reward = load_reward(options.reward, template, model.device, wanted) if options.reward else None
        reference = reference_of(folder, options.reference, model, template.tokenizer, options.math)
        if isinstance(reference, str):
            without = "Preference accuracy, margin and divergence are" if self.pairs else "The divergence is"
            say(f"{name}: its reference is {reference} {without} left out; --reference names one.")
            self.found.models[name] = self.measured(model, template, name, None, reward)
            return
        if self.pairs:
            say(f"{name}: measured against {reference.name}, with beta {self.beta:g} in the margin")
        self.found.models[name] = self.measured(model, template, name, reference.model, reward)
        same = mark(reference.model)
        if same not in (mark(model), *self.found.references.values()):
            measured = self.measured(reference.model, template, reference.name, reference.model, reward)
            self.found.baselines[reference.name] = measured
        self.found.references[name] = same

    @torch.no_grad()
    def measured(
        self, model: GPT, template: Template, name: str, reference: GPT | None, reward: Reward | None
    ) -> PreferenceEvaluation:
        """Every figure of one language model that can be had."""
        template.check(model.config.tokens)
        parts = []
        if self.pairs:
            encoded = self.encoded(model, template, name)
            n = len(self.pairs)
            with tqdm(total=n * (1 + bool(reference)), desc="reading pairs", unit="pair", leave=False) as bar:
                sides = self.scores(model, encoded, bar)
                if reference:
                    parts.append(pair_evaluation(*sides, *self.scores(reference, encoded, bar), self.beta))
                else:
                    parts.append(means(chosen_logp=sides[0], rejected_logp=sides[1]))
            prompts = [
                Prompt(template.prompt(pair.prompt), pair.prompt, pair.chosen, pair.source, pair.kind)
                for pair in encoded.pairs
            ]
            sides = [side for pair in self.pairs for side in (pair.chosen, pair.rejected)]
        else:
            fitted = encode_within(self.rows, template, longest_row(self.options.max_length, model.config.n_ctx))
            prompts = [
                Prompt(template.prompt(row.asked), row.asked, row.answer, row.source, row.kind)
                for row in fitted.conversations
            ]
            sides = [row.answer for row in self.rows]
        most = max(len(template.tokenizer.encode(side)) for side in sides) + 1
        if reward or reference:
            parts.append(self.drawn(model, template, prompts, most, reference, reward))
        if self.answering:
            with tqdm(total=len(prompts), desc="answering", unit="row", leave=False) as bar:
                asked = [prompt.messages for prompt in prompts]
                said = answer(model, template, asked, most, self.options.batch_size, bar.update)
            parts.append(answers_evaluation(said, [pair.chosen for pair in self.pairs], last_sign=True))
        return joined(*parts)

    def drawn(
        self,
        model: GPT,
        template: Template,
        prompts: Sequence[Prompt],
        most: int,
        reference: GPT | None,
        reward: Reward | None,
    ) -> PreferenceEvaluation:
        """One draw to each prompt: its reward, and the divergence from the reference along it."""
        options, n_ctx = self.options, model.config.n_ctx
        at_once = AT_ONCE if model.config.is_small else options.batch_size
        ids = [prompt.ids for prompt in prompts]
        draws = [within(one, n_ctx) for one in draw(model, ids, 1, template.end, most, options.seed, at_once)]
        distances = None
        if reference:
            distances = divergence(model, reference, as_rows(draws), options.batch_size)
        rewards = reward(prompts, draws) if reward else None
        found = draws_evaluation(rewards, distances, [one.ended for one in draws])
        return PreferenceEvaluation(found.columns, {"draw": [answer_text(one, template) for one in draws]})

    def encoded(self, model: GPT | RewardModel, template: Template, name: str) -> EncodedPairs:
        encoded = encode_pairs(self.pairs, template, longest_row(self.options.max_length, model.config.n_ctx))
        say(f"{name}: {len(encoded.pairs):,} pairs ({encoded})")
        return encoded

    @torch.no_grad()
    def scores(self, model: GPT | RewardModel, encoded: EncodedPairs, bar: tqdm) -> Float[Tensor, "2 N"]:
        """The log-likelihoods, or the rewards, of both sides."""

        def score(rows: list) -> Tensor:
            bar.update(len(rows) // 2)
            if isinstance(model, RewardModel):
                return model(rows, self.options.batch_size)
            return log_likelihood(model, rows, self.options.batch_size)

        return blocks([PairRows(*rows) for rows in zip(encoded.chosen, encoded.rejected, strict=True)], score)


def within(one: Draw, n_ctx: int) -> Draw:
    """The draw without the token after the context's last position, which is drawn but can be read by no model."""
    room = n_ctx - len(one.prompt)
    return one if len(one.answer) <= room else Draw(one.prompt, one.answer[:room], False)
