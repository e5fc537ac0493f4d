"""The training loop with the objectives of pairs: a reward model, and DPO. Read with lesson 15.

Each is a `Trainer` with `gradients` of its own. None has dropout: at the first step every ratio of the model to its
reference is 1.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from minigpt.learn.batches import split_by_length, step_rows, used_length
from minigpt.learn.trainer import OVERHEAD, Recipe, Trainer, precision, room
from minigpt.model.gpt import GPT
from minigpt.preference.bradley_terry import preference_nll
from minigpt.preference.dpo import dpo_loss, implied_margin
from minigpt.preference.likelihood import log_likelihood
from minigpt.preference.reward import RewardModel
from minigpt.text.examples import Example


@dataclass(frozen=True, eq=False)
class PairRows:
    """The two rows of a pair, both with its prompt."""

    chosen: Example
    rejected: Example

    @property
    def source(self) -> str:
        return self.chosen.source


def right(margin: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """1 where the chosen side is ahead, a half where neither is, so that a model that cannot tell has 50 %."""
    return (margin > 0).float() + 0.5 * (margin == 0).float()


class PairTrainer(Trainer):
    """Learns from pairs: the mean loss over a step's pairs, however they are split into micro-batches."""

    dropout = False
    rows_each = 2
    logits = "all"
    scores_are = ""  # what the two sides' scores are called among the figures

    def __init__(
        self, model: GPT | RewardModel, pairs: Sequence[PairRows], recipe: Recipe, label_smoothing: float = 0.0
    ) -> None:
        super().__init__(model, pairs, recipe)
        self.label_smoothing = label_smoothing

    def scores(self, rows: Sequence[Example]) -> Float[Tensor, " N"]:
        """What is compared of each row."""
        raise NotImplementedError

    def losses(
        self, pairs: Sequence[PairRows], chosen: Float[Tensor, " B"], rejected: Float[Tensor, " B"]
    ) -> tuple[Float[Tensor, " B"], Float[Tensor, " B"]]:
        """The loss and the margin of each pair, from its sides' scores."""
        raise NotImplementedError

    def beside(self, chosen: Float[Tensor, " B"], tokens: int) -> Float[Tensor, ""] | float:
        """What is added to the loss, of a step whose chosen answers have so many tokens."""
        return 0.0

    def tokens(self, rows: Sequence[PairRows]) -> int:
        return super().tokens(sides(rows))

    def longest(self) -> list[Example]:
        return sides(self.examples)

    def micro_batches(self, pairs: Sequence[PairRows]) -> Iterator[list[PairRows]]:
        """Pairs of similar length, both sides of which are in memory at once."""
        model, overhead = self.model, OVERHEAD[self.model.device.type]
        lengths = [max(used_length(pair.chosen), used_length(pair.rejected)) for pair in pairs]
        for group in split_by_length(lengths, overhead, self.recipe.micro_batch_size, room(model) / 2):
            yield [pairs[i] for i in group]

    def gradients(self, rows: Sequence[PairRows]) -> tuple[float, int]:
        n, tokens = len(rows), sum(sum(pair.chosen.supervised) for pair in rows)
        found = []  # of each pair the loss, the margin, and both scores
        added = torch.zeros((), device=self.model.device)
        with precision(self.model, self.recipe.dtype):
            for pairs in self.micro_batches(rows):
                chosen, rejected = self.scores(sides(pairs)).chunk(2)
                losses, margin = self.losses(pairs, chosen, rejected)
                beside = self.beside(chosen, tokens)
                (losses.sum() / n + beside).backward()
                found.append(torch.stack([losses, margin, chosen, rejected]).detach())
                added += beside
        loss, margin, chosen, rejected = torch.cat(found, 1)
        name = self.scores_are
        self.figures = {
            "accuracy": right(margin).mean().item(),
            "margin": margin.mean().item(),
            f"chosen_{name}": chosen.mean().item(),
            f"rejected_{name}": rejected.mean().item(),
        }
        if added:
            self.figures["sft_loss"] = added.item()
        return loss.mean().item(), tokens + sum(sum(pair.rejected.supervised) for pair in rows)


def sides(pairs: Sequence[PairRows]) -> list[Example]:
    """The chosen rows, then the rejected ones."""
    return [pair.chosen for pair in pairs] + [pair.rejected for pair in pairs]


class RewardTrainer(PairTrainer):
    """Trains a reward model: Bradley-Terry on the difference of two rewards."""

    logits = "none"
    scores_are = "reward"

    def scores(self, rows: Sequence[Example]) -> Float[Tensor, " N"]:
        return self.model(rows, 2 * self.recipe.micro_batch_size)

    def losses(
        self, pairs: Sequence[PairRows], chosen: Float[Tensor, " B"], rejected: Float[Tensor, " B"]
    ) -> tuple[Float[Tensor, " B"], Float[Tensor, " B"]]:
        margin = chosen - rejected
        return preference_nll(margin, self.label_smoothing), margin


class DPOTrainer(PairTrainer):
    """Trains a policy by DPO. Its reference is the model as it is given: `read_reference` keeps what is needed of it,
    two numbers a pair, so that no second model is held in memory.

    `sft_weight` W adds W times the NLL a token of the chosen answers (Pang et al., 2024): DPO alone asks for a
    difference, which also grows where both sides become less likely.
    """

    scores_are = "logp"

    def __init__(
        self,
        model: GPT,
        pairs: Sequence[PairRows],
        recipe: Recipe,
        beta: float,
        sft_weight: float = 0.0,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(model, pairs, recipe, label_smoothing)
        self.beta, self.sft_weight = beta, sft_weight
        self.reference: dict[PairRows, Float[Tensor, " 2"]] = {}

    @torch.no_grad()
    def read_reference(self, progress: Callable[[int], object] = lambda done: None) -> None:
        """Work out the reference's log-likelihoods of every pair that the run's steps have, in the order in which the
        steps first have them and in the same micro-batches, so that a first margin is 0 to the last bit and a resumed
        run has the same numbers. To be called before the first step, and before a checkpoint is loaded."""
        recipe = self.recipe
        for step in range(1, recipe.steps + 1):
            rows = step_rows(step, recipe.batch_size, len(self.examples), recipe.seed)
            new = [pair for pair in dict.fromkeys(self.examples[i] for i in rows) if pair not in self.reference]
            for pairs in self.micro_batches(new):
                with precision(self.model, recipe.dtype):
                    self.reference |= zip(pairs, self.scores(sides(pairs)).view(2, -1).t(), strict=True)
                progress(len(pairs))
            if len(self.reference) == len(self.examples):
                break

    def scores(self, rows: Sequence[Example]) -> Float[Tensor, " N"]:
        return log_likelihood(self.model, rows, 2 * self.recipe.micro_batch_size)

    def losses(
        self, pairs: Sequence[PairRows], chosen: Float[Tensor, " B"], rejected: Float[Tensor, " B"]
    ) -> tuple[Float[Tensor, " B"], Float[Tensor, " B"]]:
        reference_chosen, reference_rejected = torch.stack([self.reference[pair] for pair in pairs]).t()
        compared = chosen, rejected, reference_chosen, reference_rejected, self.beta
        return dpo_loss(*compared, self.label_smoothing), implied_margin(*compared)

    def beside(self, chosen: Float[Tensor, " B"], tokens: int) -> Float[Tensor, ""] | float:
        return -self.sft_weight * chosen.sum() / tokens if self.sft_weight else 0.0
