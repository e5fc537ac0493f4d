"""One answer to each exercise of lesson 13."""

from collections.abc import Sequence

import torch
from torch import Tensor

from minigpt import GPT
from minigpt.learn.batches import Batch
from minigpt.text.examples import Example

from .detective_grader import solve as detective  # noqa: F401


def response_nll(logits: Tensor, targets: Tensor, supervised: Tensor) -> tuple[Tensor, int]:
    log_P = logits[supervised].float().log_softmax(-1)  # (N, V): only the positions in R
    return -log_P.gather(-1, targets[supervised].unsqueeze(-1)).sum(), int(supervised.sum())


def ids_and_mask(
    messages: Sequence[tuple[str, list[int], list[int]]], end: int, after_end: list[int]
) -> tuple[list[int], list[bool]]:
    ids: list[int] = []
    supervised: list[bool] = []
    for role, header, content in messages:
        said = [*content, end]
        ids += [*header, *said, *after_end]
        supervised += [False] * len(header) + [role == "assistant"] * len(said) + [False] * len(after_end)
    return ids, supervised


def collate(examples: Sequence[Example], device: torch.device, pad: int = 0) -> Batch:
    T = max(t for example in examples for t, is_supervised in enumerate(example.supervised) if is_supervised)

    def padded(rows: list[list], filler: int | bool) -> Tensor:
        return torch.tensor([row[:T] + [filler] * (T - len(row)) for row in rows], device=device)

    return Batch(
        padded([example.ids for example in examples], pad),
        padded([example.ids[1:] for example in examples], pad),
        padded([example.supervised[1:] for example in examples], False),
    )


def split_gradient(rows: Sequence[tuple[Tensor, Tensor, Tensor]], E: Tensor, reduction: str) -> tuple[Tensor, Tensor]:
    tokens = sum(len(targets) for _, targets, _ in rows)
    g_Q, g_R = E.new_zeros(E.shape[1]), E.new_zeros(E.shape[1])
    for p, targets, supervised in rows:
        divisor = {"sum": 1, "mean over tokens": tokens, "mean over examples": len(rows) * len(targets)}[reduction]
        slopes = (p - torch.eye(len(E), dtype=p.dtype)[targets]) @ E / divisor  # (T, C)
        g_Q = g_Q + slopes[~supervised].sum(0)
        g_R = g_R + slopes[supervised].sum(0)
    return g_Q, g_R


def supervised_nll(model: GPT, batch: Batch) -> Tensor:
    log_P = model(batch.ids, at=batch.supervised).log_softmax(-1)  # (N, V)
    return -log_P.gather(-1, batch.targets[batch.supervised].unsqueeze(-1)).sum()
