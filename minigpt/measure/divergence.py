"""How far a model has gone from another. Read with lesson 15."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from minigpt.learn.batches import collate, split_by_length, used_length
from minigpt.learn.trainer import OVERHEAD, room
from minigpt.model.gpt import GPT, evaluating
from minigpt.preference.likelihood import in_order
from minigpt.text.examples import Example


@torch.inference_mode()
def divergence(policy: GPT, reference: GPT, rows: Sequence[Example], micro_batch_size: int = 64) -> Float[Tensor, " N"]:
    """sum_t KL(pi(. | x, y_<t), ref(. | x, y_<t)) along each row's answer, in nats, over the whole vocabulary in use.

    Its mean over draws of the policy is KL(pi, ref), by the chain rule; unlike the log-ratio of the draws it is never
    below 0, and it varies less.
    """
    found = []
    lengths = [used_length(row) for row in rows]
    groups = split_by_length(lengths, OVERHEAD[policy.device.type], micro_batch_size, room(policy))
    with evaluating(policy), evaluating(reference):
        for group in groups:
            batch = collate([rows[i] for i in group], policy.device)
            log_p, log_q = (
                model(batch.ids, at=batch.supervised)[:, : model.config.tokens].float().log_softmax(-1)
                for model in (policy, reference)
            )
            each = (log_p.exp() * (log_p - log_q)).sum(-1).clamp(min=0)  # rounding alone is below 0
            found += [answer.sum() for answer in each.split(batch.supervised.sum(1).tolist())]
    return torch.stack(found)[in_order(groups, policy.device)]
