"""Lesson 09's exercises: `pytest lessons/09_optimization` says how far you are.

turtle: a formula, 5 to 10 minutes; dog: a small program, 15 to 30; lion: measured against the real thing.
"""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from minigpt.learn.trainer import Trainer
from minigpt.text.examples import Example


def descend(theta: Float[Tensor, "*shape"], direction: Float[Tensor, "*shape"], eta: float) -> None:
    """Turtle, 5 minutes. (9.1), in place: `theta` itself is different afterwards, and nothing is returned."""
    raise NotImplementedError


def warmup_then_decay(step: int, lr_max: float, warmup_steps: int, total_steps: int, lr_min: float = 0.0) -> float:
    """Turtle, 10 minutes. The learning rate of step 1, 2, ..., total_steps: (9.5), then half a cosine.

    The step after the warmup still has lr_max. From there the rate falls as (1 + cos x) / 2 for x from 0 toward pi,
    and lr_min would be reached one step after the last. Later steps keep it. Without a warmup step 1 has lr_max.
    """
    raise NotImplementedError


def gradients(self: Trainer, rows: Sequence[Example]) -> tuple[float, int]:
    """Dog, 25 minutes. The gradient of a step by accumulation, inside the package's trainer.

    Take the rows in micro-batches of at most self.recipe.micro_batch_size. Leave in the parameters of self.model the
    gradient of the mean NLL over the supervised tokens of all `rows`, and return that mean and the number of those
    tokens. The optimizer has cleared the gradients before. From the package, with
    `from minigpt.learn.trainer import collate, precision, supervised_nll`, come

        collate(rows, device)           rows as one Batch; its field `supervised` is True at each supervised target
        supervised_nll(model, batch)    the NLL of a batch, summed over its supervised tokens
        precision(model, dtype)         `with precision(self.model, self.recipe.dtype):` around the forward and backward
                                        passes; it makes --dtype bfloat16 work, and in float32 changes nothing
    """
    raise NotImplementedError


def adam(
    theta: Float[Tensor, "*shape"],
    g: Float[Tensor, "*shape"],
    m: Float[Tensor, "*shape"],
    v: Float[Tensor, "*shape"],
    t: int,
    group: dict,
) -> None:
    """Lion, 30 minutes. (9.2) to (9.4): step t of one tensor, in place; theta, m and v are different afterwards.

    `group` has "betas" (a pair), "lr", "eps" and "bias_correction"; where that is False, it is the documents' form.
    It may also have "weight_decay", which is none of this function's business. When this one is right, let it train
    the whole default job: python -m lessons.harness.mine lessons/09_optimization/exercises.py minigpt.train
    """
    raise NotImplementedError


def adamw(
    theta: Float[Tensor, "*shape"],
    g: Float[Tensor, "*shape"],
    m: Float[Tensor, "*shape"],
    v: Float[Tensor, "*shape"],
    t: int,
    group: dict,
) -> None:
    """Lion, 15 minutes. `adam` with weight decay as AdamW has it: theta shrinks first, apart from the moments.

    Now group["weight_decay"] counts. You may call your `adam`. torch.optim.AdamW is the judge, for 100 steps.
    """
    raise NotImplementedError
