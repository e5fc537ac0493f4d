"""One answer to each exercise of lesson 15."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from minigpt import GPT
from minigpt.learn.batches import collate
from minigpt.model.gpt import evaluating
from minigpt.preference import likelihood
from minigpt.preference.policy import Draw
from minigpt.text.examples import Example


def preference_nll(margin: Float[Tensor, "*batch"], label_smoothing: float = 0.0) -> Float[Tensor, "*batch"]:
    return -(1 - label_smoothing) * logsigmoid(margin) - label_smoothing * logsigmoid(-margin)


def pair_rows(
    prompt: list[int], chosen: list[int], rejected: list[int], end: int
) -> tuple[tuple[list[int], list[bool]], tuple[list[int], list[bool]]]:
    def row(answer: list[int]) -> tuple[list[int], list[bool]]:
        return [*prompt, *answer, end], [False] * len(prompt) + [True] * (len(answer) + 1)

    return row(chosen), row(rejected)


def log_likelihood(model: GPT, rows: Sequence[Example], micro_batch_size: int = 64) -> Float[Tensor, " N"]:
    batch = collate(rows, model.device)
    with evaluating(model):
        logits = model(batch.ids, at=batch.supervised)[:, : model.config.tokens].float()
    log_P = logits.log_softmax(-1).gather(-1, batch.targets[batch.supervised][:, None])[:, 0]
    return torch.stack([answer.sum() for answer in log_P.split(batch.supervised.sum(1).tolist())])


def leave_one_out(returns: Float[Tensor, "P K"]) -> Float[Tensor, "P K"]:
    K = returns.shape[1]
    return (returns - returns.mean(1, keepdim=True)) * K / (K - 1)


def dpo_loss(
    chosen: Float[Tensor, " B"],
    rejected: Float[Tensor, " B"],
    reference_chosen: Float[Tensor, " B"],
    reference_rejected: Float[Tensor, " B"],
    beta: float,
    label_smoothing: float = 0.0,
) -> Float[Tensor, " B"]:
    margin = beta * (chosen - reference_chosen) - beta * (rejected - reference_rejected)
    return -(1 - label_smoothing) * logsigmoid(margin) - label_smoothing * logsigmoid(-margin)


def rloo_loss(
    policy: GPT, reference: GPT, draws: Sequence[Draw], rewards: Float[Tensor, "P K"], beta: float
) -> Float[Tensor, ""]:
    rows = [likelihood.continued(draw.prompt, draw.answer) for draw in draws]
    log_pi = likelihood.log_likelihood(policy, rows).view(rewards.shape)
    with torch.no_grad():
        log_ref = likelihood.log_likelihood(reference, rows).view(rewards.shape)
        R = rewards - beta * (log_pi - log_ref)
    return -(leave_one_out(R) * log_pi).mean()
