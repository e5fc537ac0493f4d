"""Lesson 13's functions with a switch for each typical mistake; without one they are right."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from minigpt import GPT
from minigpt.learn.batches import Batch
from minigpt.text.examples import Example

from .detective_grader import mistaken as detective  # noqa: F401


def earlier(mask: Tensor) -> Tensor:
    """Shifted by one once more: each position has the mask of the next."""
    return torch.cat([mask[..., 1:], torch.zeros_like(mask[..., :1])], -1)


def later(mask: Tensor) -> Tensor:
    """Not shifted: each position has the mask of the token it reads."""
    return torch.cat([torch.zeros_like(mask[..., :1]), mask[..., :-1]], -1)


def response_nll(
    logits: Tensor, targets: Tensor, supervised: Tensor, *, mask_ignored=False, mask_inverted=False,
    shifted_again=False, mask_shifted_again=False, mask_too_late=False, mean=False, over_all_tokens=False,
    mean_of_means=False, all_counted=False, logits_zeroed=False, wrong_sign=False, no_logarithm=False,
    no_softmax=False, base_2=False, dtype_kept=False,
) -> tuple[Tensor, int]:  # fmt: skip
    R = ~supervised if mask_inverted else torch.ones_like(supervised) if mask_ignored else supervised
    R = earlier(R) if mask_shifted_again else later(R) if mask_too_late else R
    logits = logits if dtype_kept else logits.float()
    if shifted_again:
        logits, targets, R = logits[..., :-1, :], targets[..., 1:], R[..., 1:]
    if logits_zeroed:
        logits = logits * R.unsqueeze(-1)
    P = logits if no_softmax else logits.softmax(-1) if no_logarithm else logits.log_softmax(-1)
    nll = -P.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    chosen = nll if logits_zeroed else nll * R
    if mean_of_means:
        total = (chosen.sum(-1) / R.sum(-1)).mean()
    else:
        total = chosen.sum() / (R.numel() if over_all_tokens else R.sum() if mean else 1)
    total = total / math.log(2) if base_2 else total
    return -total if wrong_sign else total, R.numel() if all_counted else int(R.sum())


def ids_and_mask(
    messages: Sequence[tuple[str, list[int], list[int]]], end: int, after_end: list[int], *, end_untrained=False,
    header_supervised=False, everything=False, prompt_supervised=False, only_last_turn=False, only_first_turn=False,
    every_end=False, after_end_supervised=False, shifted=False, last_end_only=False, users_supervised=False,
) -> tuple[list[int], list[bool]]:  # fmt: skip
    ids: list[int] = []
    supervised: list[bool] = []
    wanted = [i for i, (role, *_) in enumerate(messages) if role == "assistant"]
    wanted = wanted[-1:] if only_last_turn else wanted[:1] if only_first_turn else wanted
    for i, (role, header, content) in enumerate(messages):
        trained = everything or (role == "user" if prompt_supervised else i in wanted)
        trained = trained or (users_supervised and role == "user")
        ending = every_end or (trained and not end_untrained and (not last_end_only or i == len(messages) - 1))
        parts = [(header, trained and (header_supervised or everything)), (content, trained), ([end], ending),
                 (after_end, trained and (after_end_supervised or everything))]  # fmt: skip
        for part, mine in parts:
            ids += part
            supervised += [mine] * len(part)
    return ids, [*supervised[1:], False] if shifted else supervised


def collate(
    examples: Sequence[Example], device: torch.device, pad: int = 0, *, mask_not_shifted=False,
    targets_not_shifted=False, shifted_twice=False, mask_shifted_twice=False, masked_by_id=False,
    padding_supervised=False, padded_left=False, reads_on=False, cut_short=False, one_short=False, pad_ignored=False,
    ignored_by_100=False,
) -> Batch:  # fmt: skip
    last = [max(t for t, is_supervised in enumerate(example.supervised) if is_supervised) for example in examples]
    T = max(len(example.ids) - 1 for example in examples) if reads_on else min(last) if cut_short else max(last)
    T -= one_short
    pad = 0 if pad_ignored else pad

    def padded(rows: list[list], filler: int | bool) -> Tensor:
        if padded_left:
            cut = [row[: n + 1][:T] for row, n in zip(rows, last, strict=True)]
            return torch.tensor([[filler] * (T - len(row)) + row for row in cut])
        return torch.tensor([row[:T] + [filler] * (T - len(row)) for row in rows])

    if padded_left:
        pairs = [(e.ids[:n], e.ids[1 : n + 1], e.supervised[1 : n + 1]) for e, n in zip(examples, last, strict=True)]
    else:
        mask_from = 0 if mask_not_shifted else 2 if shifted_twice or mask_shifted_twice else 1
        targets_from = 0 if targets_not_shifted else 2 if shifted_twice else 1
        pairs = [(e.ids, e.ids[targets_from:], e.supervised[mask_from:]) for e in examples]
    ids, targets, masks = map(list, zip(*pairs, strict=True))
    batch = Batch(padded(ids, pad), padded(targets, -100 if ignored_by_100 else pad), padded(masks, padding_supervised))
    supervised = batch.supervised & (batch.targets != pad) if masked_by_id else batch.supervised
    return Batch(batch.ids, batch.targets, supervised)


def split_gradient(
    rows: Sequence[tuple[Tensor, Tensor, Tensor]], E: Tensor, reduction: str, *, onehot_forgotten=False,
    wrong_sign=False, swapped=False, each_part_by_its_own=False, rows_forgotten=False, responses_counted=False,
    whole_first=False, always_summed=False, read_instead=False,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    tokens = sum(len(targets) for _, targets, _ in rows)
    N_R = sum(int(supervised.sum()) for *_, supervised in rows)
    reduction = "sum" if always_summed else reduction
    parts = [E.new_zeros(E.shape[1]), E.new_zeros(E.shape[1])]
    for p, targets, supervised in rows:
        onehot = torch.eye(len(E), dtype=p.dtype)[targets]
        slopes = (p if onehot_forgotten else p - onehot) @ E
        for i, mine in enumerate((~supervised, supervised)):
            mine = later(mine) if read_instead else mine
            all_tokens = N_R if responses_counted else tokens
            own = len(targets)
            if each_part_by_its_own:
                all_tokens, own = (N_R if i else tokens - N_R), max(1, int(mine.sum()))
            n = 1 if rows_forgotten else len(rows)
            divisor = {"sum": 1, "mean over tokens": all_tokens, "mean over examples": n * own}[reduction]
            parts[i] = parts[i] + slopes[mine].sum(0) / divisor
    g_Q, g_R = (-part if wrong_sign else part for part in parts)
    g_Q = g_Q + g_R if whole_first else g_Q
    return (g_R, g_Q) if swapped else (g_Q, g_R)


def supervised_nll(
    model: GPT, batch: Batch, *, mean=False, over_all_tokens=False, mean_of_means=False, mask_ignored=False,
    mask_inverted=False, mask_too_late=False, shifted_again=False, what_was_read=False,
    masked_by_id=False, wrong_sign=False, prompt_hidden=False,
) -> Tensor:  # fmt: skip
    R = batch.supervised
    R = torch.ones_like(R) if mask_ignored else ~R if mask_inverted else later(R) if mask_too_late else R
    R = batch.targets != 0 if masked_by_id else R
    targets = batch.ids if what_was_read else batch.targets
    ids = batch.ids.masked_fill(~R, 0) if prompt_hidden else batch.ids
    if shifted_again:
        ids, targets, R = ids[:, :-1], targets[:, 1:], R[:, 1:]
    nll = -model(ids, at=R).log_softmax(-1).gather(-1, targets[R].unsqueeze(-1)).squeeze(-1)
    if mean_of_means:
        total = torch.stack([row.mean() for row in nll.split(R.sum(-1).tolist())]).mean()
    else:
        total = nll.sum() / (R.numel() if over_all_tokens else len(nll) if mean else 1)
    return -total if wrong_sign else total
