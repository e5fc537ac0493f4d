"""The training loop: rows -> loss -> gradients -> step."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from minigpt.errors import UserError
from minigpt.learn.batches import Batch, collate, share, step_rows, used_length
from minigpt.learn.loss import cross_entropy, head_nll_fast, sequence_nll, token_nll, token_nll_fast
from minigpt.learn.optimizer import AdamW, decay_groups
from minigpt.learn.parallel import ALONE, Replica, Team, exchange, full, gathered
from minigpt.learn.schedule import warmup_then_decay
from minigpt.model.gpt import GPT
from minigpt.processor import warn_if_too_late
from minigpt.text.examples import Example

# Fixed cost of a forward and backward pass, in tokens: on a GPU, launching a few hundred kernels.
OVERHEAD = {"cpu": 128, "cuda": 8192, "mps": 8192}
# Of a micro-batch, tokens times L times C. More than some 500 tokens at 124M make no product faster on a CPU, and what
# they leave in memory for the backward pass would be its peak; a GPU gets as many rows as --micro-batch-size allows.
ROOM = {"cpu": 5 * 2**20, "cuda": math.inf, "mps": math.inf}


@runtime_checkable
class Row(Protocol):
    """What a step learns from: an `Example`, and for other objectives a pair of them, or a prompt."""

    source: str


@dataclass(frozen=True)
class Recipe:
    """Training settings. `batch_size` is rows per step; `micro_batch_size` is the most rows in memory at once.

    The first `pretrain_steps` train on every token, as GPT-2 itself did during pretraining: a model that cannot
    read yet learns little from the responses alone.
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
    min_lr: float = 0.0
    seed: int = 0
    dtype: Literal["float32", "bfloat16"] = "float32"


@dataclass(frozen=True)
class StepReport:
    """Metrics of one optimizer step; `loss` is the mean over its supervised tokens, `grad_norm` is before clipping.

    `figures` are what another objective than the NLL also measures.
    """

    step: int
    loss: float
    lr: float
    grad_norm: float
    supervised_tokens: int
    tokens: int
    pretraining: bool
    seconds: float
    figures: dict[str, float] = field(default_factory=dict)


class NotFinite(UserError):
    """A NaN or infinite loss or gradient. The parameters are those before the step."""

    def __init__(self, step: int, loss: float, grad_norm: float, sources: Sequence[str]) -> None:
        self.step, self.sources = step, sources
        super().__init__(
            f"At step {step} the loss is {loss} and the gradient's norm {grad_norm}; the weights were not changed. "
            f"The rows of its batch: {'; '.join(sources)}."
        )


def supervised_token_nll(model: GPT, batch: Batch, dtype: str = "float32") -> Float[Tensor, " N"]:
    """The NLL of each of a batch's N supervised tokens, row after row: for evaluation."""
    with precision(model, dtype):
        logits = model(batch.ids, at=batch.supervised)
    form = token_nll if model.is_explicit else token_nll_fast
    return form(logits, batch.targets[batch.supervised])


def supervised_nll(model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
    """L_response = -sum over t in R of log P(x_t | x_<t) (document B 4): the objective of instruction tuning.

    The head, and the last block's MLP, run only where a token is supervised.
    """
    R = batch.supervised
    if not model.is_explicit:
        return model(batch.ids, at=R, head_loss=partial(head_nll_fast, targets=batch.targets[R]))  # eq 13.1, fast
    return sequence_nll(model(batch.ids, at=R), batch.targets[R])  # eq 13.1


def room(model: nn.Module) -> float:
    """The most tokens of a micro-batch of several rows on the model's device."""
    return ROOM[model.device.type] / (model.config.n_layer * model.config.n_embd)


def precision(model: nn.Module, dtype: str) -> torch.autocast:
    """Under bfloat16, matrix products are in bfloat16; weights, gradients, moments, LayerNorm and loss stay float32.

    Each layer's weight is cast once per context, so one step enters it once for all of its micro-batches; the
    embedding is cast by the head, once per micro-batch.
    """
    return torch.autocast(model.device.type, torch.bfloat16, enabled=dtype == "bfloat16")


class Trainer:
    """The model, its optimizer and the current step; `train_step` takes the next one.

    `train_step` is `rows` -> `gradients` (of the loss), then `update` (clip -> check -> step), which does not depend on
    the loss: another objective needs only another `gradients`, as preference/pair_trainers.py shows.
    """

    dropout = True  # whether the config's dropout is applied in training
    rows_each = 1  # rows of tokens in an element of `examples`
    frozen_bytes = 0  # of other models that are read and not trained
    estimated_bytes = 0  # what this process needs, once run/memory.py has estimated it
    logits: Literal["few", "all", "none"] = "few"  # of how many supervised tokens they exist at once

    def __init__(
        self, model: nn.Module, examples: Sequence[Row], recipe: Recipe, team: Team = ALONE, sharded: bool = False
    ) -> None:
        """`team` are the processes that share the steps; with `sharded` they share the weights too."""
        if model.device.type == "cpu":
            warn_if_too_late()
        self.model, self.examples, self.recipe = model, examples, recipe
        self.team, self.sharded = team, sharded
        self.spread = team.spread(model, sharded)
        self.pretrain_examples = [example.supervise_all() for example in examples] if recipe.pretrain_steps else []
        groups = decay_groups(model, recipe.weight_decay)
        self.optimizer = AdamW(groups, lr=recipe.lr, betas=recipe.betas, explicit=model.is_explicit)
        self.step = 0
        self.figures: dict[str, float] = {}  # of this step, other than the loss

    def train_step(self) -> StepReport:
        """One optimizer step over `batch_size` rows."""
        start = time.perf_counter()
        self.model.train(self.dropout)
        self.step += 1
        rows = self.rows()
        with self.masks():
            loss, supervised = self.gradients(rows)
        lr, grad_norm = self.update(loss, [row.source for row in rows])
        tokens = self.tokens(rows)
        seconds = time.perf_counter() - start
        return StepReport(self.step, loss, lr, grad_norm, supervised, tokens, self.pretraining, seconds, self.figures)

    @property
    def pretraining(self) -> bool:
        return self.step <= self.recipe.pretrain_steps

    @contextmanager
    def masks(self) -> Iterator[None]:
        """The stream that dropout draws from, another for each step and process, so that a resumed run needs no state
        of it; torch's own goes on afterwards as if nothing had been drawn."""
        device = self.model.device
        if not (self.dropout and self.model.config.dropout):
            yield
            return
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            state = np.random.SeedSequence([self.recipe.seed, self.step, self.team.rank])
            torch.manual_seed(int(state.generate_state(1, np.uint64)[0]))
            yield

    def gathered(self) -> nn.Module | None:
        """The model as one process alone would hold it; if it is sharded all must ask, and the first is given it."""
        return gathered(self.model)

    def rows(self) -> list[Row]:
        """The rows of this step, a function of the step and the seed alone."""
        source = self.pretrain_examples if self.pretraining else self.examples
        return [source[i] for i in step_rows(self.step, self.recipe.batch_size, len(source), self.recipe.seed)]

    def tokens(self, rows: Sequence[Example]) -> int:
        """How many tokens the model reads to learn from these rows."""
        return sum(map(used_length, rows))

    def longest(self) -> Sequence[Example]:
        """All rows that may be in memory together, for an estimate of what they need."""
        return self.pretrain_examples or self.examples

    def gradients(self, rows: Sequence[Example]) -> tuple[float, int]:
        """Leave the loss's gradient in the parameters; return the mean over the supervised tokens, and their number.

        grad L = 1/N sum over N processes of the gradient of N/M times their summed NLL, with M the supervised tokens
        of the *whole* step: the engine averages over the processes, and the gradient is that of the mean over tokens
        however the rows were dealt and split into micro-batches of similar length, as many in each process.
        """
        model, recipe, team = self.model, self.recipe, self.team
        lengths, overhead = [used_length(row) for row in rows], OVERHEAD[model.device.type]
        groups = share(lengths, team.rank, team.size, overhead, recipe.micro_batch_size, room(model))
        # Effective batch = micro batch x accumulation steps (document B 7.1), here of unequal micro-batches.
        batches = [collate([rows[i] for i in group], model.device) for group in groups]  # eq 9.6
        supervised = sum(sum(row.supervised[1:]) for row in rows)
        total = torch.zeros((), device=model.device)
        with precision(model, recipe.dtype):
            for batch in batches:
                exchange(self.spread, now=batch is batches[-1])
                loss = cross_entropy(supervised_nll(self.spread, batch), supervised)
                (loss * team.size).backward()  # eq 16.2
                total += loss.detach()
        return float(team.sum(total)), supervised

    def update(self, loss: float, sources: Sequence[str]) -> tuple[float, float]:
        """Clip, check, step; return the learning rate and the norm before clipping. NotFinite changes no weight."""
        recipe = self.recipe
        grad_norm = float(full(torch.nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip)))
        if not math.isfinite(loss + grad_norm):
            self.optimizer.zero_grad()
            self.step -= 1
            raise NotFinite(self.step + 1, loss, grad_norm, sources)
        lr = warmup_then_decay(self.step, recipe.lr, recipe.warmup_steps, recipe.steps, recipe.min_lr)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        # A replica's gradients lie in the buffers that are exchanged; without them the next ones would lie beside.
        self.optimizer.zero_grad(set_to_none=not isinstance(self.spread, Replica))
        return lr, grad_norm
