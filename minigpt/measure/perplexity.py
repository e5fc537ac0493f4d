"""Negative log-likelihood of the responses of a data set."""

from collections.abc import Callable, Sequence

import torch

from minigpt.learn.batches import collate, used_length
from minigpt.learn.trainer import room, supervised_token_nll
from minigpt.model.gpt import GPT
from minigpt.text.examples import Example


@torch.inference_mode()
def row_losses(
    model: GPT,
    examples: Sequence[Example],
    batch_size: int = 32,
    dtype: str = "float32",
    progress: Callable[[int], object] = lambda done: None,
) -> list[tuple[float, int]]:
    """Per row, the summed NLL of its supervised tokens, and their number. `progress` gets the number finished."""
    was_training = model.training
    model.eval()
    losses = [(0.0, 0)] * len(examples)
    order = sorted(range(len(examples)), key=lambda i: used_length(examples[i]))  # rows of similar length pad little
    while order:
        n = batch_size
        while n > 1 and n * used_length(examples[order[:n][-1]]) > room(model):
            n -= 1
        rows, order = order[:n], order[n:]
        batch = collate([examples[i] for i in rows], model.device)
        counts = batch.supervised.sum(1).tolist()
        sums = [nll.sum() for nll in supervised_token_nll(model, batch, dtype).split(counts)]
        for i, nll, count in zip(rows, torch.stack(sums).tolist(), counts, strict=True):
            losses[i] = nll, count
        progress(len(rows))
    model.train(was_training)
    return losses


def response_loss(
    model: GPT, examples: Sequence[Example], batch_size: int = 32, dtype: str = "float32"
) -> tuple[float, int]:
    """The NLL of all supervised tokens, summed over the data set, and their number.

    `perplexity` of the two is that of the responses (documents A 6.1, D 6.1), whatever the batch size: only totals are
    divided.
    """
    losses = row_losses(model, examples, batch_size, dtype)
    return sum(nll for nll, _ in losses), sum(count for _, count in losses)  # eq 14.1
