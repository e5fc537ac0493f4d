"""Wrong answers to lesson 08, as they are really written."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F


def flattened_mean(logits: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))


def not_shaped_back(logits: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(logits.float().reshape(-1, logits.shape[-1]), targets.reshape(-1), reduction="none")


def nll_loss_of_probabilities(logits: Tensor, targets: Tensor) -> Tensor:
    P = logits.float().softmax(-1)
    rows = F.nll_loss(P.reshape(-1, P.shape[-1]), targets.reshape(-1), reduction="none")
    return rows.view(targets.shape)


def cross_entropy_of_probabilities(logits: Tensor, targets: Tensor) -> Tensor:
    P = logits.float().softmax(-1)
    return F.cross_entropy(P.reshape(-1, P.shape[-1]), targets.reshape(-1), reduction="none").view(targets.shape)


def one_hot_times_log(logits: Tensor, targets: Tensor) -> Tensor:
    """0 times minus infinity is NaN."""
    return -(F.one_hot(targets, logits.shape[-1]) * logits.float().softmax(-1).log()).sum(-1)


def clamped(logits: Tensor, targets: Tensor) -> Tensor:
    P = logits.float().softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    return -P.clamp(min=1e-12).log()


def last_axis_kept(logits: Tensor, targets: Tensor) -> Tensor:
    return -logits.float().log_softmax(-1).gather(-1, targets.unsqueeze(-1))


def without_the_largest_put_back(logits: Tensor, targets: Tensor) -> Tensor:
    z = logits.float()
    total = (z - z.amax(-1, keepdim=True)).exp().sum(-1)
    return total.log() - z.gather(-1, targets.unsqueeze(-1)).squeeze(-1)


def float_after_the_softmax(logits: Tensor, targets: Tensor) -> Tensor:
    return -logits.log_softmax(-1).float().gather(-1, targets.unsqueeze(-1)).squeeze(-1)


def in_half_precision(logits: Tensor, targets: Tensor) -> Tensor:
    return -logits.log_softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)


def log_2(logits: Tensor, targets: Tensor) -> Tensor:
    return -torch.log2(logits.float().softmax(-1).gather(-1, targets.unsqueeze(-1))).squeeze(-1)


def detached(logits: Tensor, targets: Tensor) -> Tensor:
    return -logits.detach().float().log_softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)


def sigmoid_of_each(logits: Tensor, targets: Tensor) -> Tensor:
    return -F.logsigmoid(logits.float()).gather(-1, targets.unsqueeze(-1)).squeeze(-1)


TOKEN_NLL: list[Callable] = [
    flattened_mean, not_shaped_back, nll_loss_of_probabilities, cross_entropy_of_probabilities, one_hot_times_log,
    clamped, last_axis_kept, without_the_largest_put_back, float_after_the_softmax, in_half_precision,
    log_2, detached, sigmoid_of_each,
]  # fmt: skip


def nll_of(logits: Tensor, targets: Tensor, reduction: str = "sum") -> Tensor:
    return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction=reduction)


def mean_loss_of_each_batch(logits_of: Callable, batches: list[Tensor]) -> float:
    losses = [nll_of(logits_of(ids[:, :-1]), ids[:, 1:], "mean").item() for ids in batches]
    return math.exp(sum(losses) / len(losses))


def running_mean(logits_of: Callable, batches: list[Tensor]) -> float:
    mean = 0.0
    for ids in batches:
        loss = nll_of(logits_of(ids)[:, :-1], ids[:, 1:], "mean").item()
        mean = (mean + loss) / 2 if mean else loss
    return math.exp(mean)


def weighted_by_texts(logits_of: Callable, batches: list[Tensor]) -> float:
    total = sum(nll_of(logits_of(ids)[:, :-1], ids[:, 1:], "mean").item() * len(ids) for ids in batches)
    return math.exp(total / sum(map(len, batches)))


def labels_are_the_inputs(logits_of: Callable, batches: list[Tensor]) -> float:
    total = sum(nll_of(logits_of(ids), ids).item() for ids in batches)
    return math.exp(total / sum(ids.numel() for ids in batches))


def shifted_the_wrong_way(logits_of: Callable, batches: list[Tensor]) -> float:
    total = sum(nll_of(logits_of(ids)[:, 1:], ids[:, :-1]).item() for ids in batches)
    return math.exp(total / sum(ids[:, 1:].numel() for ids in batches))


def rolled(logits_of: Callable, batches: list[Tensor]) -> float:
    total = sum(nll_of(logits_of(ids), torch.roll(ids, -1, 1)).item() for ids in batches)
    return math.exp(total / sum(ids.numel() for ids in batches))


def rolled_and_flattened(logits_of: Callable, batches: list[Tensor]) -> float:
    """The last row of a text predicts the first token of the next one."""
    total = n = 0
    for ids in batches:
        logits = logits_of(ids).flatten(0, 1)
        total += F.cross_entropy(logits[:-1].float(), ids.flatten()[1:], reduction="sum").item()
        n += ids.numel() - 1
    return math.exp(total / n)


def padded_with_0(logits_of: Callable, batches: list[Tensor]) -> float:
    """The padding is predicted too."""
    T = max(ids.shape[1] for ids in batches)
    ids = torch.cat([F.pad(ids, (0, T - ids.shape[1])) for ids in batches])
    return math.exp(nll_of(logits_of(ids)[:, :-1], ids[:, 1:], "mean").item())


def zeros_ignored(logits_of: Callable, batches: list[Tensor]) -> float:
    """Told by its id, the padding takes a real token with it."""
    total = n = 0
    for ids in batches:
        logits, targets = logits_of(ids)[:, :-1].flatten(0, 1).float(), ids[:, 1:].flatten()
        total += F.cross_entropy(logits, targets, ignore_index=0, reduction="sum").item()
        n += (targets != 0).sum().item()
    return math.exp(total / n)


def product_of_probabilities(logits_of: Callable, batches: list[Tensor]) -> float:
    p = 1.0
    for ids in batches:
        p *= logits_of(ids)[:, :-1].softmax(-1).gather(-1, ids[:, 1:, None]).prod().item()
    return 1 / p


def mean_of_one_over_p(logits_of: Callable, batches: list[Tensor]) -> float:
    p = [logits_of(ids)[:, :-1].softmax(-1).gather(-1, ids[:, 1:, None]).flatten() for ids in batches]
    return (1 / torch.cat(p)).mean().item()


def exp_of_each_text(logits_of: Callable, batches: list[Tensor]) -> float:
    found = [math.exp(nll_of(logits_of(row)[:, :-1], row[:, 1:], "mean")) for ids in batches for row in ids.split(1)]
    return sum(found) / len(found)


def divided_in_the_loop(logits_of: Callable, batches: list[Tensor]) -> float:
    total = n = 0
    for ids in batches:
        total += nll_of(logits_of(ids)[:, :-1], ids[:, 1:]).item()
        n += ids[:, 1:].numel()
        total /= n
    return math.exp(total)


TEXT_PERPLEXITY: list[Callable] = [
    mean_loss_of_each_batch, running_mean, weighted_by_texts, labels_are_the_inputs, shifted_the_wrong_way, rolled,
    rolled_and_flattened, padded_with_0, zeros_ignored, product_of_probabilities, mean_of_one_over_p, exp_of_each_text,
    divided_in_the_loop,
]  # fmt: skip


def p_minus_one_at_the_target(logits: Tensor, targets: Tensor) -> Tensor:
    found = torch.zeros_like(logits)
    rows = torch.arange(len(targets))
    found[rows, targets] = (logits.softmax(-1)[rows, targets] - 1) / len(targets)
    return found


def one_over_p(logits: Tensor, targets: Tensor) -> Tensor:
    """The gradient by the probabilities."""
    P = logits.softmax(-1)
    return -F.one_hot(targets, logits.shape[-1]) / P / len(targets)


def times_p_once_more(logits: Tensor, targets: Tensor) -> Tensor:
    P = logits.softmax(-1)
    return P * (P - F.one_hot(targets, logits.shape[-1])) / len(targets)


def squared_error(logits: Tensor, targets: Tensor) -> Tensor:
    return 2 * (logits.softmax(-1) - F.one_hot(targets, logits.shape[-1])) / len(targets)


def of_the_sum(logits: Tensor, targets: Tensor) -> Tensor:
    P = logits.softmax(-1)
    P[torch.arange(len(targets)), targets] -= 1
    return P


def divided_by_the_vocabulary(logits: Tensor, targets: Tensor) -> Tensor:
    return (logits.softmax(-1) - F.one_hot(targets, logits.shape[-1])) / logits.shape[-1]


def one_hot_minus_p(logits: Tensor, targets: Tensor) -> Tensor:
    return (torch.eye(logits.shape[-1])[targets] - logits.softmax(-1)) / len(targets)


def dim_0(logits: Tensor, targets: Tensor) -> Tensor:
    P = torch.softmax(logits, dim=0)
    return (P - F.one_hot(targets, logits.shape[-1])) / logits.shape[0]


def only_for_the_others(logits: Tensor, targets: Tensor) -> Tensor:
    return logits.softmax(-1) * (1 - F.one_hot(targets, logits.shape[-1])) / len(targets)


def same_row_for_all(logits: Tensor, targets: Tensor) -> Tensor:
    counts = torch.bincount(targets, minlength=logits.shape[-1])
    return (logits.softmax(-1) - counts / len(targets)) / len(targets)


def targets_in_a_column(logits: Tensor, targets: Tensor) -> Tensor:
    """Indexing with a column and without the rows takes whole rows."""
    P = logits.softmax(-1)
    P[:, targets] -= 1
    return P / len(targets)


NLL_GRADIENT: list[Callable] = [
    p_minus_one_at_the_target, one_over_p, times_p_once_more, squared_error, of_the_sum, divided_by_the_vocabulary,
    one_hot_minus_p, dim_0, only_for_the_others, same_row_for_all, targets_in_a_column,
]  # fmt: skip
ANSWERS: dict[tuple[str, str], list[Callable]] = {
    ("08_loss", "token_nll"): TOKEN_NLL,
    ("08_loss", "text_perplexity"): TEXT_PERPLEXITY,
    ("08_loss", "nll_gradient"): NLL_GRADIENT,
}
