"""Causal multi-head self-attention: eq 3.1-3.4. Read with lesson 03."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from minigpt.model.cache import LayerCache
from minigpt.model.linear import Linear


def causal_mask(T: int, S: int, device: torch.device | None = None) -> Bool[Tensor, "T S"]:
    """True where a query may attend: the T queries are the last of the S positions, and none attends to a later one."""
    return torch.ones(T, S, dtype=torch.bool, device=device).tril(S - T)


def split_heads(qkv: Float[Tensor, "B T three_C"], n_head: int) -> Float[Tensor, "3 B H T D"]:
    """q, k and v of each head: W_Q, W_K, W_V are side by side in c_attn, and within each of them the heads."""
    return qkv.unflatten(-1, (3, n_head, -1)).permute(2, 0, 3, 1, 4)  # (B, T, 3, H, D) to (3, B, H, T, D)


def attend(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B H S D"],
    v: Float[Tensor, "B H S D"],
    mask: Bool[Tensor, "#B 1 T S"] | None = None,
    dropout: float = 0.0,
) -> Float[Tensor, "B H T D"]:
    """softmax(Q K^T / sqrt(d_k)) V (document B 2.1, which leaves out the mask).

    `mask` is True where a query may attend to a key; None is the causal mask.
    """
    T, S, D = q.shape[-2], k.shape[-2], q.shape[-1]
    mask = causal_mask(T, S, q.device) if mask is None else mask
    scores = q @ k.transpose(-2, -1) / math.sqrt(D)  # eq 3.2
    scores = scores.masked_fill(~mask, float("-inf"))  # eq 3.3
    return F.dropout(torch.softmax(scores, dim=-1), dropout) @ v  # eq 3.2


def attend_fast(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B H S D"],
    v: Float[Tensor, "B H S D"],
    mask: Bool[Tensor, "#B 1 T S"] | None = None,
    dropout: float = 0.0,
) -> Float[Tensor, "B H T D"]:
    """`attend` by torch's kernel, without the (T, S) scores; equal both ways: tests/model/test_attention.py."""
    T, S = q.shape[-2], k.shape[-2]
    if mask is None and 1 < T < S:  # the kernel's own causal mask would let the first query see the first key only
        mask = causal_mask(T, S, q.device)
    causal = bool(mask is None and T > 1)  # a bool also where torch.compile traces it for any T
    return F.scaled_dot_product_attention(q, k, v, mask, dropout, is_causal=causal)  # eq 3.2, fast


class MultiHeadAttention(nn.Module):
    """H attentions side by side, each over D = C / H channels, and a linear map that mixes them (document B 2.1)."""

    def __init__(self, n_embd: int, n_head: int, dropout: float) -> None:
        super().__init__()
        self.n_head = n_head
        self.c_attn = Linear(n_embd, 3 * n_embd)  # W_Q, W_K, W_V side by side
        self.c_proj = Linear(n_embd, n_embd)  # W_O
        self.dropout = nn.Dropout(dropout)
        self.explicit = True

    def forward(
        self, x: Float[Tensor, "B T C"], cache: LayerCache | None = None, mask: Bool[Tensor, "#B 1 T S"] | None = None
    ) -> Float[Tensor, "B T C"]:
        q, k, v = split_heads(self.c_attn(x), self.n_head)  # eq 3.1
        if cache is not None:
            k, v = cache.extend(k, v)
        form = attend if self.explicit else attend_fast
        heads = form(q, k, v, mask, self.dropout.p if self.training else 0.0)
        return self.dropout(self.c_proj(heads.transpose(1, 2).flatten(2)))  # eq 3.4
