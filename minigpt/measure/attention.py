"""Where each position of a text looks, in every layer and head. Read with lesson 03."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from minigpt.model.attention import attend, split_heads
from minigpt.model.gpt import GPT


@torch.no_grad()  # not inference_mode, whose tensors no later computation with gradients may use
def attention_weights(model: GPT, ids: Int[Tensor, "B T"]) -> list[Float[Tensor, "B H T T"]]:
    """softmax(Q K^T / sqrt(d_k) + mask) of each layer, eq 3.2 and 3.3: [layer][b, h, t, s] is what t takes from s.

    A text's row adds up to 1, and is 0 for s > t. Dropout is off. Raises what `GPT.hidden` raises.
    """
    found: list[Tensor] = []
    # A hook, so that no forward pass has to carry weights that only this measurement wants.
    hooks = [
        block.attn.c_attn.register_forward_hook(
            lambda _, __, qkv, n_head=block.attn.n_head: found.append(weights(*split_heads(qkv, n_head)[:2]))
        )
        for block in model.h
    ]
    was_training = model.training
    model.eval()
    try:
        model.hidden(ids)
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return found


def weights(q: Float[Tensor, "B H T D"], k: Float[Tensor, "B H T D"]) -> Float[Tensor, "B H T T"]:
    """The weights that `attend` works with: a weighted mean of one-hot values *is* the weights. D keys at a time."""
    T, D = q.shape[-2:]
    one_hot = F.pad(torch.eye(T).to(q), (0, -T % D))
    return torch.cat([attend(q, k, columns.expand_as(k)) for columns in one_hot.split(D, dim=1)], dim=-1)[..., :T]
