"""Lesson 13's exercises: `pytest lessons/13_response_loss` says how far you are.

turtle: a formula, 5 to 10 minutes; dog: a small program, 15 to 30; lion: measured against the real thing.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from minigpt import GPT
from minigpt.learn.batches import Batch
from minigpt.text.examples import Example


def response_nll(
    logits: Float[Tensor, "*batch V"], targets: Int[Tensor, "*batch"], supervised: Bool[Tensor, "*batch"]
) -> tuple[Float[Tensor, ""], int]:
    """Turtle, 10 minutes. (13.1), L_response = -sum over t in R of log P(x_t | x_<t), and |R| as an int.

    The targets and the mask are shifted already: logits[b, t] predict targets[b, t], and it belongs to R where
    supervised[b, t] is True. Compute in float32, whatever the logits are in.
    """
    raise NotImplementedError


def ids_and_mask(
    messages: Sequence[tuple[str, list[int], list[int]]], end: int, after_end: list[int]
) -> tuple[list[int], list[bool]]:
    """Turtle, 10 minutes. The ids of a conversation, and for each of them whether it is supervised.

    A message is (role, header, content); the role is "system", "user" or "assistant". Its ids are the header's, the
    content's, `end`, and those in `after_end`. Supervised are the content and the end of every assistant's message.
    The mask is that of the ids, not yet shifted.
    """
    raise NotImplementedError


def collate(examples: Sequence[Example], device: torch.device, pad: int = 0) -> Batch:
    """Dog, 20 minutes. These rows as one Batch(ids, targets, supervised) of tensors (B, T) on the device.

    An example has the lists `ids` and `supervised`. At t the model reads ids[t] and predicts targets[t], the next id;
    supervised[t] says whether that target is supervised. Rows are padded on the right, ids and targets with `pad`,
    which may be the id of a token that occurs in the rows. T is the smallest that loses no supervised target.
    """
    raise NotImplementedError


def split_gradient(
    rows: Sequence[tuple[Float[Tensor, "_ V"], Int[Tensor, " _"], Bool[Tensor, " _"]]],
    E: Float[Tensor, "V C"],
    reduction: str,
) -> tuple[Float[Tensor, " C"], Float[Tensor, " C"]]:
    """Dog, 20 minutes. (13.2) for `ln_f.bias`, without autograd: g_Q and g_R, the parts of the prompts and responses.

    A row is (p, targets, supervised): the probabilities (T, V) that the model gives, with a T of its own. The loss is
    over every token; `reduction` is "sum", "mean over tokens" or "mean over examples". At one position the gradient of
    its NLL is (p - onehot) E.
    """
    raise NotImplementedError


def detective() -> dict[str, str]:
    """Dog, 25 minutes. Which bug each run of detective.md has, in the words of its list of suspects.

    {"A": "no bug", "B": "learning rate x 30", ...}, a suspect for each of the letters A to J.
    """
    raise NotImplementedError


def supervised_nll(model: GPT, batch: Batch) -> Float[Tensor, ""]:
    """Lion, 30 minutes. (13.1) for a whole batch, from its ids: what the trainer differentiates.

    The judge takes twelve training steps through it, which have to lose exactly what the package's own lose. It also
    counts the positions whose logits you compute: only the supervised ones are needed, and they are a tenth of the
    built-in data. What does model(batch.ids, at=...) do? When this one is right, train through it:
    python -m lessons.harness.mine lessons/13_response_loss/exercises.py minigpt.train --steps 100
    """
    raise NotImplementedError
