"""The loop: rows -> loss -> gradients -> step. Read with lesson 09."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from minigpt.errors import UserError
from minigpt.learn.batches import Batch, collate, split_by_length, step_rows, used_length
from minigpt.learn.loss import token_nll
from minigpt.learn.optimizer import AdamW, decay_groups
from minigpt.learn.schedule import warmup_then_decay
from minigpt.model.gpt import GPT
from minigpt.text.examples import Example

# What a forward and backward cost before their first token, in tokens: on a GPU the launches of some hundred kernels.
OVERHEAD = {"cpu": 128, "cuda": 8192}


@dataclass(frozen=True)
class Recipe:
    """How the parameters move. `batch_size` counts rows a step; `micro_batch_size` bounds the rows held at once.

    The first `pretrain_steps` learn from every token, as GPT-2 itself did before anybody tuned it: a model that cannot
    read yet learns little from the answers alone.
    """

    steps: int
    batch_size: int
    micro_batch_size: int
    lr: float
    warmup_steps: int
    pretrain_steps: int = 0
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.99)
    clip: float = 1.0
    seed: int = 0
    dtype: Literal["float32", "bfloat16"] = "float32"


@dataclass(frozen=True)
class StepReport:
    """What one step was: the mean loss over its learned tokens, and how it moved."""

    step: int
    loss: float
    lr: float
    grad_norm: float
    supervised_tokens: int
    tokens: int
    pretraining: bool


class NotFinite(UserError):
    """A loss or a gradient that is no number any more. The parameters are those before the step."""

    def __init__(self, step: int, loss: float, grad_norm: float, sources: Sequence[str]) -> None:
        self.step, self.sources = step, sources
        super().__init__(
            f"At step {step} the loss is {loss} and the gradient's norm {grad_norm}; nothing was learned from it. "
            f"The rows of its batch: {'; '.join(sources)}."
        )


def learned_nll(model: GPT, batch: Batch, dtype: str = "float32") -> Float[Tensor, " N"]:
    """The NLL of each of a batch's N learned tokens, row after row.

    The head (and most of the last block) runs where a token is learned only. Under bfloat16 the matrix products are,
    the weights and the loss stay float32.
    """
    with torch.autocast(batch.ids.device.type, torch.bfloat16, enabled=dtype == "bfloat16"):
        logits = model.logits(model.hidden(batch.ids, at=batch.supervised))
    return token_nll(logits, batch.targets[batch.supervised])


class Trainer:
    """The model, its optimiser and the step it is at; `train_step` goes one further."""

    def __init__(self, model: GPT, examples: Sequence[Example], recipe: Recipe) -> None:
        self.model, self.examples, self.recipe = model, examples, recipe
        self.whole = [example.whole() for example in examples] if recipe.pretrain_steps else []
        self.optimizer = AdamW(decay_groups(model, recipe.weight_decay), lr=recipe.lr, betas=recipe.betas)
        self.step = 0

    def train_step(self) -> StepReport:
        """One optimiser step over `batch_size` rows, in micro-batches of rows of similar length.

        Each micro-batch adds its summed NLL over the learned tokens of the *whole* step, so the gradient is that of
        the mean over tokens however the rows were split.
        """
        recipe, model = self.recipe, self.model
        model.train()
        self.step += 1
        pretraining = self.step <= recipe.pretrain_steps
        source = self.whole if pretraining else self.examples
        rows = [source[i] for i in step_rows(self.step, recipe.batch_size, len(source), recipe.seed)]
        lengths = [used_length(row) for row in rows]
        groups = split_by_length(lengths, OVERHEAD[model.device.type], recipe.micro_batch_size)
        # Effective batch = micro batch x accumulation steps (document B 7.1), here of unequal micro-batches.
        batches = [collate([rows[i] for i in group], model.device) for group in groups]  # eq 9.6
        learned = sum(sum(row.supervised[1:]) for row in rows)
        total = torch.zeros((), device=model.device)
        for batch in batches:
            nll = learned_nll(model, batch, recipe.dtype).sum()
            (nll / learned).backward()
            total += nll.detach()
        grad_norm = torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        if not torch.isfinite(total + grad_norm):
            self.optimizer.zero_grad()
            self.step -= 1
            raise NotFinite(self.step + 1, float(total) / learned, float(grad_norm), [row.source for row in rows])
        lr = warmup_then_decay(self.step, recipe.lr, recipe.warmup_steps, recipe.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        self.optimizer.zero_grad()
        loss = float(total) / learned
        return StepReport(self.step, loss, lr, float(grad_norm), learned, sum(lengths), pretraining)
