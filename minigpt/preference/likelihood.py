"""How likely a whole answer is. Read with lesson 15."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from minigpt.learn.batches import collate, split_by_length, used_length
from minigpt.learn.loss import token_nll, token_nll_fast
from minigpt.learn.trainer import OVERHEAD, room
from minigpt.model.gpt import GPT, evaluating
from minigpt.text.examples import Example
from minigpt.text.template import Message, Template


def answer_row(template: Template, prompt: Sequence[Message], answer: str, source: str = "") -> Example:
    """The ids of the prompt, of the answer and of the token that ends it; only the last two are supervised."""
    asked, said = template.prompt(prompt), [*template.tokenizer.encode(answer), template.end]
    return continued(asked, said, source)


def continued(prompt: Sequence[int], answer: Sequence[int], source: str = "") -> Example:
    """A prompt and an answer that are ids already, of which only the answer is supervised."""
    return Example([*prompt, *answer], [False] * len(prompt) + [True] * len(answer), source)


def log_likelihood(model: GPT, rows: Sequence[Example], micro_batch_size: int = 64) -> Float[Tensor, " N"]:
    """log pi(y | x) of each row, in nats: the sum over the answer's tokens and its end of log P(y_t | x, y_<t).

    A sum, as the probability is a product; over the tokens in use alone, the distribution that `generate` draws from;
    and without dropout. Differentiable where gradients are on; float32.
    """
    found = []
    lengths = [used_length(row) for row in rows]
    groups = split_by_length(lengths, OVERHEAD[model.device.type], micro_batch_size, room(model))
    form = token_nll if model.is_explicit else token_nll_fast
    with evaluating(model):
        for group in groups:
            batch = collate([rows[i] for i in group], model.device)
            logits = model(batch.ids, at=batch.supervised)[:, : model.config.tokens]
            log_P = -form(logits, batch.targets[batch.supervised])
            found += [answer.sum() for answer in log_P.split(batch.supervised.sum(1).tolist())]  # eq 15.5
    return torch.stack(found)[in_order(groups, model.device)]


def in_order(groups: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """Where each row is found once the groups are put one behind another."""
    return torch.tensor([i for group in groups for i in group], device=device).argsort()
