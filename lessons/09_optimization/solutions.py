"""One answer to each exercise of lesson 09."""

import math
from collections.abc import Sequence

from torch import Tensor

from minigpt.learn.trainer import Trainer, collate, precision, supervised_nll
from minigpt.text.examples import Example


def descend(theta: Tensor, direction: Tensor, eta: float) -> None:
    theta -= eta * direction


def warmup_then_decay(step: int, lr_max: float, warmup_steps: int, total_steps: int, lr_min: float = 0.0) -> float:
    if step <= warmup_steps:
        return lr_max * step / warmup_steps
    progress = min(1.0, (step - 1 - warmup_steps) / max(1, total_steps - warmup_steps))
    return lr_min + (lr_max - lr_min) * (1 + math.cos(math.pi * progress)) / 2


def gradients(self: Trainer, rows: Sequence[Example]) -> tuple[float, int]:
    n = self.recipe.micro_batch_size
    batches = [collate(rows[i : i + n], self.model.device) for i in range(0, len(rows), n)]
    supervised = sum(int(batch.supervised.sum()) for batch in batches)
    total = 0.0
    with precision(self.model, self.recipe.dtype):
        for batch in batches:
            loss = supervised_nll(self.model, batch) / supervised
            loss.backward()
            total += loss.item()
    return total, supervised


def adam(theta: Tensor, g: Tensor, m: Tensor, v: Tensor, t: int, group: dict) -> None:
    b1, b2 = group["betas"]
    m[...] = b1 * m + (1 - b1) * g
    v[...] = b2 * v + (1 - b2) * g**2
    corrections = (1 - b1**t, 1 - b2**t) if group["bias_correction"] else (1, 1)
    descend(theta, m / corrections[0] / ((v / corrections[1]).sqrt() + group["eps"]), group["lr"])


def adamw(theta: Tensor, g: Tensor, m: Tensor, v: Tensor, t: int, group: dict) -> None:
    theta *= 1 - group["lr"] * group["weight_decay"]
    adam(theta, g, m, v, t, group)
