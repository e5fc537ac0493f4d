"""Lesson 15's exercises: `pytest lessons/15_preferences` says how far you are.

turtle: a formula, 5 to 10 minutes; dog: a small program, 15 to 30; lion: measured against the real thing.
"""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from minigpt import GPT
from minigpt.preference.policy import Draw
from minigpt.text.examples import Example


def preference_nll(margin: Float[Tensor, "*batch"], label_smoothing: float = 0.0) -> Float[Tensor, "*batch"]:
    """Turtle, 5 minutes. (15.3): -log sigmoid(margin) of each pair.

    `label_smoothing` is the share e of pairs held to be labeled the wrong way round: 1 - e of the loss is that of the
    margin, e that of the pair turned around. A margin of -1000 costs 1000 nats, not infinity: torch has a function for
    log sigmoid.
    """
    raise NotImplementedError


def pair_rows(
    prompt: list[int], chosen: list[int], rejected: list[int], end: int
) -> tuple[tuple[list[int], list[bool]], tuple[list[int], list[bool]]]:
    """Turtle, 5 minutes. The rows of both sides of a pair, the chosen one first: ids, and which are supervised.

    Both read the same prompt, and both answers end; the mask is that of the ids, not shifted.
    """
    raise NotImplementedError


def log_likelihood(model: GPT, rows: Sequence[Example], micro_batch_size: int = 64) -> Float[Tensor, " N"]:
    """Turtle, 10 minutes. (15.5), log pi(y | x) of each row, in float32.

    A row has the lists `ids` and `supervised`, and its answer is what is supervised. One at a time will do; a batch, by
    `collate` of minigpt.learn.batches (lesson 13), is faster. model(ids (B, T)) gives logits (B, T, V). Some of the V
    are padding that no tokenizer uses and no generation draws: the probabilities are those of the first
    model.config.tokens. Dropout is off, whatever mode the model is in. Gradients come through.
    """
    raise NotImplementedError


def leave_one_out(returns: Float[Tensor, "P K"]) -> Float[Tensor, "P K"]:
    """Dog, 15 minutes. R_i - b_i, with b_i of (15.7), for K answers to each of P prompts. No loop is needed."""
    raise NotImplementedError


def dpo_loss(
    chosen: Float[Tensor, " B"],
    rejected: Float[Tensor, " B"],
    reference_chosen: Float[Tensor, " B"],
    reference_rejected: Float[Tensor, " B"],
    beta: float,
    label_smoothing: float = 0.0,
) -> Float[Tensor, " B"]:
    """Dog, 15 minutes. (15.4) of each pair, from the log-likelihoods of both sides under the model and the reference.

    `label_smoothing` as in `preference_nll`.
    """
    raise NotImplementedError


def rloo_loss(
    policy: GPT, reference: GPT, draws: Sequence[Draw], rewards: Float[Tensor, "P K"], beta: float
) -> Float[Tensor, ""]:
    """Lion, 40 minutes. A loss whose gradient is minus (15.6), with the baselines of (15.7).

    `draws` are K answers to each of P prompts, prompt after prompt, each with the ids `prompt` and `answer`; an answer
    has its end token already if it was drawn. Only the answers are supervised. You may use the package:
    minigpt.preference.likelihood has continued(prompt, answer), which makes a row, and log_likelihood.

    The judge puts it into the package's training loop, on the paper model with the lesson's reward and beta. After 100
    steps of 64 draws it has to be within 0.06 of the optimum in total variation.
    """
    raise NotImplementedError
