"""Lesson 09's functions with a switch for each typical mistake; without one they are right."""

import math
from collections.abc import Sequence

from torch import Tensor

from minigpt.learn.trainer import Trainer, collate, precision, supervised_nll
from minigpt.text.examples import Example


def descend(
    theta: Tensor, direction: Tensor, eta: float, *,
    not_in_place=False, uphill=False, rate_forgotten=False, sign_only=False, unit_length=False, shrunk=False,
) -> None:  # fmt: skip
    d = direction.sign() if sign_only else direction / direction.norm() if unit_length else direction
    d = theta * direction if shrunk else d
    moved = theta - (-1 if uphill else 1) * (1 if rate_forgotten else eta) * d
    if not not_in_place:
        theta[...] = moved


def warmup_then_decay(
    step: int, lr_max: float, warmup_steps: int, total_steps: int, lr_min: float = 0.0, *,
    from_zero=False, one_too_long=False, never_ends=False, no_decay=False, straight=False, of_all_steps=False,
    reaches_zero=False, quarter=False, whole=False, min_ignored=False, min_added=False, rises_again=False,
    peak_skipped=False,
) -> float:  # fmt: skip
    if (step <= warmup_steps or never_ends) and warmup_steps:
        return lr_max * (step - from_zero) / (warmup_steps + one_too_long)
    if no_decay:
        return lr_max
    past, length = step - 1 - warmup_steps, total_steps - warmup_steps
    if of_all_steps:
        past, length = step - 1, total_steps
    if reaches_zero:
        length -= 1
    if peak_skipped:
        past += 1
    progress = past / max(1, length)
    progress = progress if rises_again else min(1.0, progress)
    turn = math.pi / 2 if quarter else 2 * math.pi if whole else math.pi
    share = 1 - progress if straight else math.cos(turn * progress) if quarter else (1 + math.cos(turn * progress)) / 2
    if min_ignored:
        return lr_max * share
    return lr_min + (lr_max if min_added else lr_max - lr_min) * share


def gradients(
    self: Trainer, rows: Sequence[Example], *,
    mean_of_means=False, sum_of_means=False, not_divided=False, by_rows=False, by_micro_batches=False,
    by_tokens_read=False, all_supervised=False, only_the_last=False, rest_dropped=False, loss_of_the_last=False,
    loss_summed=False, rows_counted=False, first_token_counted=False, running_count=False, no_backward=False,
    sum_of_means_in_gradient=False, mean_of_means_in_gradient=False,
) -> tuple[float, int]:  # fmt: skip
    n, model = self.recipe.micro_batch_size, self.model
    first, last = 0, len(rows) - len(rows) % n if rest_dropped else len(rows)
    parts = [rows[i : min(i + n, last)] for i in range(first, last, n)]
    if all_supervised:
        parts = [[row.supervise_all() for row in part] for part in parts]
    batches = [collate(part, model.device) for part in parts]
    counts = [int(batch.supervised.sum()) for batch in batches]
    if first_token_counted:
        counts = [sum(sum(row.supervised) for row in part) for part in parts]
    count, total, nll, so_far = sum(counts), 0.0, 0.0, 0
    with precision(model, self.recipe.dtype):
        for batch, own in zip(batches, counts, strict=True):
            if only_the_last:
                model.zero_grad()
            divisor = own * len(batches) if mean_of_means else own if sum_of_means else 1 if not_divided else count
            divisor = len(rows) if by_rows else len(batches) if by_micro_batches else divisor
            divisor = sum(len(row.ids) - 1 for part in parts for row in part) if by_tokens_read else divisor
            so_far += own
            divisor = so_far if running_count else divisor
            summed = supervised_nll(model, batch)
            behind = own if sum_of_means_in_gradient else own * len(batches) if mean_of_means_in_gradient else divisor
            if not no_backward:
                (summed / behind).backward()
            nll += summed.item()
            total = summed.item() / divisor if loss_of_the_last else total + summed.item() / divisor
    return nll if loss_summed else total, len(rows) if rows_counted else count


def adam(
    theta: Tensor, g: Tensor, m: Tensor, v: Tensor, t: int, group: dict, *,
    not_corrected=False, always_corrected=False, correction_kept=False, only_m_corrected=False, power_forgotten=False,
    from_step_0=False, not_squared=False, of_m=False, betas_swapped=False, shares_swapped=False, eps_inside=False,
    eps_forgotten=False, no_root=False, no_momentum=False, moments_rebound=False, theta_rebound=False, uphill=False,
    decayed=False,
) -> None:  # fmt: skip
    (b1, b2), eta, eps = group["betas"], group["lr"], group["eps"]
    if betas_swapped:
        b1, b2 = b2, b1
    a1, a2 = (1 - b1, 1 - b2) if shares_swapped else (b1, b2)
    new_m = a1 * m + (1 - a1) * g
    new_v = a2 * v + (1 - a2) * (g if not_squared else new_m**2 if of_m else g**2)
    m_hat, v_hat = new_m, new_v
    if (group["bias_correction"] or always_corrected) and not not_corrected:
        power = 1 if power_forgotten else t - 1 if from_step_0 else t
        m_hat, v_hat = m_hat / divisor(b1, power), v_hat if only_m_corrected else v_hat / divisor(b2, power)
    if not moments_rebound:
        m[...], v[...] = (m_hat, v_hat) if correction_kept else (new_m, new_v)
    if no_root:
        below = v_hat + eps
    else:
        below = (v_hat + eps).sqrt() if eps_inside else v_hat.sqrt() + (0 if eps_forgotten else eps)
    shrink = 1 - eta * group["weight_decay"] if decayed else 1
    if not theta_rebound:
        theta[...] = shrink * theta - (-eta if uphill else eta) * (g if no_momentum else m_hat) / below


def divisor(beta: float, power: int) -> float:
    return (1 - beta**power) or math.nan


def adamw(
    theta: Tensor, g: Tensor, m: Tensor, v: Tensor, t: int, group: dict, *,
    not_decayed=False, l2=False, rate_left_out=False, grown=False, shrunk_after=False, scaled_by_v=False,
    decay_squared=False, **switches: bool,
) -> None:  # fmt: skip
    eta, share = group["lr"], group["weight_decay"]
    before = theta.clone()
    factor = 1 + eta * share if grown else 1 - share if rate_left_out else 1 - eta * share
    factor = 1 - (eta * share) ** 2 if decay_squared else factor
    apart = not (not_decayed or l2 or scaled_by_v or shrunk_after)
    if apart:
        theta *= factor
    adam(theta, g + share * theta if l2 else g, m, v, t, group, **switches)
    if shrunk_after:
        theta *= factor
    if scaled_by_v:
        v_hat = v / (1 - group["betas"][1] ** t) if group["bias_correction"] else v
        theta -= eta * share * before / (v_hat.sqrt() + group["eps"])
