"""How surprised the model is by the answers of a data set. Read with lesson 14."""

from collections.abc import Callable, Sequence

import torch

from minigpt.learn.batches import collate, used_length
from minigpt.learn.trainer import learned_nll
from minigpt.model.gpt import GPT
from minigpt.text.examples import Example


@torch.inference_mode()
def response_loss(
    model: GPT,
    examples: Sequence[Example],
    batch_size: int = 32,
    dtype: str = "float32",
    progress: Callable[[int], object] = lambda done: None,
) -> tuple[float, int]:
    """The NLL of all learned tokens, summed over the data set, and their number.

    `perplexity` of the two is that of the answers (documents A 6.1, D 6.1), whatever the batch size: only totals are
    divided. `progress` hears how many rows are done.
    """
    was_training = model.training
    model.eval()
    total, count = 0.0, 0
    order = sorted(range(len(examples)), key=lambda i: used_length(examples[i]))  # rows of similar length pad little
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        nll, n = learned_nll(model, collate([examples[i] for i in rows], model.device), dtype)
        total, count = total + float(nll), count + n  # eq 14.1
        progress(len(rows))
    model.train(was_training)
    return total, count
