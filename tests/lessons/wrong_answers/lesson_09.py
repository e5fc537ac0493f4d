"""Wrong answers of lesson 09."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from minigpt.learn.trainer import Trainer, collate, precision, supervised_nll
from minigpt.text.examples import Example

ANSWERS: dict[tuple[str, str], list[Callable]] = {}


def never_stops_rising(step: int, lr_max: float, warmup_steps: int, total_steps: int, lr_min: float = 0.0) -> float:
    return lr_max * step / max(1, warmup_steps)


def counted_from_0(step: int, lr_max: float, warmup_steps: int, total_steps: int, lr_min: float = 0.0) -> float:
    step -= 1
    if step < warmup_steps:
        return lr_max * step / warmup_steps
    progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return lr_min + (lr_max - lr_min) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def as_nanogpt_has_it(step: int, lr_max: float, warmup_steps: int, total_steps: int, lr_min: float = 0.0) -> float:
    step -= 1
    if step < warmup_steps:
        return lr_max * (step + 1) / (warmup_steps + 1)
    if step > total_steps:
        return lr_min
    progress = (step - warmup_steps) / (total_steps - warmup_steps)
    return lr_min + 0.5 * (1 + math.cos(math.pi * progress)) * (lr_max - lr_min)


def warmup_times_cosine(step: int, lr_max: float, warmup_steps: int, total_steps: int, lr_min: float = 0.0) -> float:
    up = min(1.0, step / max(1, warmup_steps))
    return up * (lr_min + (lr_max - lr_min) * (1 + math.cos(math.pi * min(1.0, step / total_steps))) / 2)


def straight_down(step: int, lr_max: float, warmup_steps: int, total_steps: int, lr_min: float = 0.0) -> float:
    if step <= warmup_steps:
        return lr_max * step / warmup_steps
    left = (total_steps - step + 1) / max(1, total_steps - warmup_steps)
    return lr_min + (lr_max - lr_min) * max(0.0, left)


def in_degrees(step: int, lr_max: float, warmup_steps: int, total_steps: int, lr_min: float = 0.0) -> float:
    if step <= warmup_steps:
        return lr_max * step / warmup_steps
    progress = (step - 1 - warmup_steps) / max(1, total_steps - warmup_steps)
    return lr_min + (lr_max - lr_min) * (1 + math.cos(180 * min(1.0, progress))) / 2


def full_rate_during_the_warmup(
    step: int, lr_max: float, warmup_steps: int, total_steps: int, lr_min: float = 0.0
) -> float:
    progress = (step - 1 - warmup_steps) / max(1, total_steps - warmup_steps)
    return lr_min + (lr_max - lr_min) * (1 + math.cos(math.pi * min(1.0, max(0.0, progress)))) / 2


def from_the_least_rate_up(step: int, lr_max: float, warmup_steps: int, total_steps: int, lr_min: float = 0.0) -> float:
    if step <= warmup_steps:
        return lr_min + (lr_max - lr_min) * step / warmup_steps
    progress = (step - 1 - warmup_steps) / max(1, total_steps - warmup_steps)
    return lr_min + (lr_max - lr_min) * (1 + math.cos(math.pi * min(1.0, progress))) / 2


def floor_by_max(step: int, lr_max: float, warmup_steps: int, total_steps: int, lr_min: float = 0.0) -> float:
    if step <= warmup_steps:
        return lr_max * step / warmup_steps
    progress = (step - 1 - warmup_steps) / max(1, total_steps - warmup_steps)
    return max(lr_min, lr_max * (1 + math.cos(math.pi * min(1.0, progress))) / 2)


def last_step_at_the_floor(step: int, lr_max: float, warmup_steps: int, total_steps: int, lr_min: float = 0.0) -> float:
    if step <= warmup_steps:
        return lr_max * step / warmup_steps
    progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return lr_min + (lr_max - lr_min) * (1 + math.cos(math.pi * min(1.0, progress))) / 2


def whole_division(step: int, lr_max: float, warmup_steps: int, total_steps: int, lr_min: float = 0.0) -> float:
    if step <= warmup_steps:
        return lr_max * (step // warmup_steps)
    progress = (step - 1 - warmup_steps) / max(1, total_steps - warmup_steps)
    return lr_min + (lr_max - lr_min) * (1 + math.cos(math.pi * min(1.0, progress))) / 2


ANSWERS["09_optimization", "warmup_then_decay"] = [
    never_stops_rising, counted_from_0, as_nanogpt_has_it, warmup_times_cosine, straight_down, in_degrees,
    full_rate_during_the_warmup, from_the_least_rate_up, floor_by_max, last_step_at_the_floor, whole_division,
]  # fmt: skip


def parts_of(self: Trainer, rows: Sequence[Example]) -> list:
    n = self.recipe.micro_batch_size
    return [collate(rows[i : i + n], self.model.device) for i in range(0, len(rows), n)]


def each_by_its_own_tokens(self: Trainer, rows: Sequence[Example]) -> tuple[float, int]:
    batches, total, count = parts_of(self, rows), 0.0, 0
    for batch in batches:
        own = int(batch.supervised.sum())
        loss = supervised_nll(self.model, batch) / own / len(batches)
        loss.backward()
        total, count = total + loss.item(), count + own
    return total, count


def right_loss_but_a_gradient_of_means(self: Trainer, rows: Sequence[Example]) -> tuple[float, int]:
    batches, total, count = parts_of(self, rows), 0.0, 0
    for batch in batches:
        own, nll = int(batch.supervised.sum()), supervised_nll(self.model, batch)
        (nll / own / len(batches)).backward()
        total, count = total + nll.item(), count + own
    return total / count, count


def divided_by_what_came_so_far(self: Trainer, rows: Sequence[Example]) -> tuple[float, int]:
    total, count = 0.0, 0
    for batch in parts_of(self, rows):
        count += int(batch.supervised.sum())
        loss = supervised_nll(self.model, batch) / count
        loss.backward()
        total += loss.item()
    return total, count


def steps_from_the_recipe(self: Trainer, rows: Sequence[Example]) -> tuple[float, int]:
    """With the number of micro-batches that a full step would have, over means."""
    steps, total, count = self.recipe.batch_size // self.recipe.micro_batch_size, 0.0, 0
    for batch in parts_of(self, rows):
        own = int(batch.supervised.sum())
        loss = supervised_nll(self.model, batch) / own / steps
        loss.backward()
        total, count = total + loss.item(), count + own
    return total, count


def row_by_row(self: Trainer, rows: Sequence[Example]) -> tuple[float, int]:
    """The mean of the rows' means."""
    total, count = 0.0, 0
    for row in rows:
        batch = collate([row], self.model.device)
        own = int(batch.supervised.sum())
        loss = supervised_nll(self.model, batch) / own / len(rows)
        loss.backward()
        total, count = total + loss.item(), count + own
    return total, count


def with_the_padding(self: Trainer, rows: Sequence[Example]) -> tuple[float, int]:
    batches = parts_of(self, rows)
    count, total = sum(batch.targets.numel() for batch in batches), 0.0
    for batch in batches:
        loss = supervised_nll(self.model, batch) / count
        loss.backward()
        total += loss.item()
    return total, count


def forgot_backward(self: Trainer, rows: Sequence[Example]) -> tuple[float, int]:
    batches = parts_of(self, rows)
    count = sum(int(batch.supervised.sum()) for batch in batches)
    with precision(self.model, self.recipe.dtype):
        return sum(supervised_nll(self.model, batch).item() for batch in batches) / count, count


def the_first_micro_batch_only(self: Trainer, rows: Sequence[Example]) -> tuple[float, int]:
    batch = parts_of(self, rows)[0]
    count = int(batch.supervised.sum())
    loss = supervised_nll(self.model, batch) / count
    loss.backward()
    return loss.item(), count


def steps_at_once(self: Trainer, rows: Sequence[Example]) -> tuple[float, int]:
    """Takes an optimizer step after each micro-batch."""
    batches = parts_of(self, rows)
    count, total = sum(int(batch.supervised.sum()) for batch in batches), 0.0
    for batch in batches:
        loss = supervised_nll(self.model, batch) / count
        loss.backward()
        self.optimizer.step()
        total += loss.item()
    return total, count


def a_tensor_as_loss(self: Trainer, rows: Sequence[Example]) -> tuple[Tensor, int]:
    batches = parts_of(self, rows)
    count = sum(int(batch.supervised.sum()) for batch in batches)
    loss = sum(supervised_nll(self.model, batch) for batch in batches) / count
    loss.backward()
    return loss, count


def zeroed_before_each(self: Trainer, rows: Sequence[Example]) -> tuple[float, int]:
    batches, total = parts_of(self, rows), 0.0
    count = sum(int(batch.supervised.sum()) for batch in batches)
    for batch in batches:
        self.optimizer.zero_grad()
        loss = supervised_nll(self.model, batch) / count
        loss.backward()
        total += loss.item()
    return total, count


def mean_over_rows_of_sums(self: Trainer, rows: Sequence[Example]) -> tuple[float, int]:
    total, count = 0.0, 0
    for batch in parts_of(self, rows):
        loss = supervised_nll(self.model, batch) / len(rows)
        loss.backward()
        total, count = total + loss.item(), count + int(batch.supervised.sum())
    return total, count


def never_the_last_part(self: Trainer, rows: Sequence[Example]) -> tuple[float, int]:
    """As many micro-batches as fit, rounded down."""
    n, total = self.recipe.micro_batch_size, 0.0
    batches = [collate(rows[i * n : (i + 1) * n], self.model.device) for i in range(len(rows) // n)]
    count = sum(int(batch.supervised.sum()) for batch in batches)
    for batch in batches:
        loss = supervised_nll(self.model, batch) / count
        loss.backward()
        total += loss.item()
    return total, count


ANSWERS["09_optimization", "gradients"] = [
    each_by_its_own_tokens, right_loss_but_a_gradient_of_means, divided_by_what_came_so_far, steps_from_the_recipe,
    row_by_row, with_the_padding, forgot_backward, the_first_micro_batch_only, steps_at_once, a_tensor_as_loss,
    zeroed_before_each, mean_over_rows_of_sums, never_the_last_part,
]  # fmt: skip


def as_document_d_has_it(theta: Tensor, g: Tensor, m: Tensor, v: Tensor, t: int, group: dict) -> None:
    b1, b2 = group["betas"]
    m.mul_(b1).add_(g, alpha=1 - b1)
    v.mul_(b2).addcmul_(g, g, value=1 - b2)
    theta.sub_(group["lr"] * m / (v.sqrt() + group["eps"]))


def always_as_torch_has_it(theta: Tensor, g: Tensor, m: Tensor, v: Tensor, t: int, group: dict) -> None:
    b1, b2 = group["betas"]
    m.lerp_(g, 1 - b1)
    v.mul_(b2).addcmul_(g, g, value=1 - b2)
    theta.addcdiv_(m / (1 - b1**t), (v / (1 - b2**t)).sqrt() + group["eps"], value=-group["lr"])


def the_paper_s_efficient_order(theta: Tensor, g: Tensor, m: Tensor, v: Tensor, t: int, group: dict) -> None:
    """One corrected rate, but eps without its own correction."""
    b1, b2 = group["betas"]
    m.mul_(b1).add_(g, alpha=1 - b1)
    v.mul_(b2).addcmul_(g, g, value=1 - b2)
    eta = group["lr"] * (math.sqrt(1 - b2**t) / (1 - b1**t) if group["bias_correction"] else 1.0)
    theta -= eta * m / (v.sqrt() + group["eps"])


def new_names_instead_of_new_numbers(theta: Tensor, g: Tensor, m: Tensor, v: Tensor, t: int, group: dict) -> None:
    b1, b2 = group["betas"]
    m = b1 * m + (1 - b1) * g
    v = b2 * v + (1 - b2) * g**2
    m_hat, v_hat = (m / (1 - b1**t), v / (1 - b2**t)) if group["bias_correction"] else (m, v)
    theta = theta - group["lr"] * m_hat / (v_hat.sqrt() + group["eps"])


def corrected_in_place(theta: Tensor, g: Tensor, m: Tensor, v: Tensor, t: int, group: dict) -> None:
    b1, b2 = group["betas"]
    m.mul_(b1).add_(g, alpha=1 - b1)
    v.mul_(b2).addcmul_(g, g, value=1 - b2)
    if group["bias_correction"]:
        m /= 1 - b1**t
        v /= 1 - b2**t
    theta -= group["lr"] * m / (v.sqrt() + group["eps"])


def root_of_the_sum(theta: Tensor, g: Tensor, m: Tensor, v: Tensor, t: int, group: dict) -> None:
    b1, b2 = group["betas"]
    m.mul_(b1).add_(g, alpha=1 - b1)
    v.mul_(b2).addcmul_(g, g, value=1 - b2)
    c1, c2 = (1 - b1**t, 1 - b2**t) if group["bias_correction"] else (1.0, 1.0)
    theta -= group["lr"] * (m / c1) / torch.sqrt(v / c2 + group["eps"])


def only_the_gradient_above(theta: Tensor, g: Tensor, m: Tensor, v: Tensor, t: int, group: dict) -> None:
    """RMSProp: the mean of squares below, but the gradient itself above."""
    b1, b2 = group["betas"]
    m.mul_(b1).add_(g, alpha=1 - b1)
    v.mul_(b2).addcmul_(g, g, value=1 - b2)
    c2 = 1 - b2**t if group["bias_correction"] else 1.0
    theta -= group["lr"] * g / ((v / c2).sqrt() + group["eps"])


def one_v_for_the_whole_tensor(theta: Tensor, g: Tensor, m: Tensor, v: Tensor, t: int, group: dict) -> None:
    b1, b2 = group["betas"]
    m.mul_(b1).add_(g, alpha=1 - b1)
    v.mul_(b2).add_((1 - b2) * (g**2).mean())
    c1, c2 = (1 - b1**t, 1 - b2**t) if group["bias_correction"] else (1.0, 1.0)
    theta -= group["lr"] * (m / c1) / ((v / c2).sqrt() + group["eps"])


def t_from_0(theta: Tensor, g: Tensor, m: Tensor, v: Tensor, t: int, group: dict) -> None:
    b1, b2 = group["betas"]
    m.mul_(b1).add_(g, alpha=1 - b1)
    v.mul_(b2).addcmul_(g, g, value=1 - b2)
    c1, c2 = (1 - b1 ** (t + 1), 1 - b2 ** (t + 1)) if group["bias_correction"] else (1.0, 1.0)
    theta -= group["lr"] * (m / c1) / ((v / c2).sqrt() + group["eps"])


def correction_without_its_root(theta: Tensor, g: Tensor, m: Tensor, v: Tensor, t: int, group: dict) -> None:
    """Folded into the rate, where 1 - b2^t must be under a root."""
    b1, b2 = group["betas"]
    m.mul_(b1).add_(g, alpha=1 - b1)
    v.mul_(b2).addcmul_(g, g, value=1 - b2)
    eta = group["lr"] * ((1 - b2**t) / (1 - b1**t) if group["bias_correction"] else 1.0)
    theta -= eta * m / (v.sqrt() + group["eps"])


def l2_in_the_gradient(theta: Tensor, g: Tensor, m: Tensor, v: Tensor, t: int, group: dict) -> None:
    always_as_torch_has_it(theta, g + group.get("weight_decay", 0.0) * theta, m, v, t, group)


def gradient_squared_in_place(theta: Tensor, g: Tensor, m: Tensor, v: Tensor, t: int, group: dict) -> None:
    b1, b2 = group["betas"]
    m.mul_(b1).add_(g, alpha=1 - b1)
    v.mul_(b2).add_(g.pow_(2), alpha=1 - b2)
    c1, c2 = (1 - b1**t, 1 - b2**t) if group["bias_correction"] else (1.0, 1.0)
    theta -= group["lr"] * (m / c1) / ((v / c2).sqrt() + group["eps"])


def betas_the_other_way_round(theta: Tensor, g: Tensor, m: Tensor, v: Tensor, t: int, group: dict) -> None:
    b2, b1 = group["betas"]
    m.mul_(b1).add_(g, alpha=1 - b1)
    v.mul_(b2).addcmul_(g, g, value=1 - b2)
    c1, c2 = (1 - b1**t, 1 - b2**t) if group["bias_correction"] else (1.0, 1.0)
    theta -= group["lr"] * (m / c1) / ((v / c2).sqrt() + group["eps"])


ANSWERS["09_optimization", "adam"] = [
    as_document_d_has_it, always_as_torch_has_it, the_paper_s_efficient_order, new_names_instead_of_new_numbers,
    corrected_in_place, root_of_the_sum, only_the_gradient_above, one_v_for_the_whole_tensor, t_from_0,
    correction_without_its_root, l2_in_the_gradient, gradient_squared_in_place, betas_the_other_way_round,
]  # fmt: skip
