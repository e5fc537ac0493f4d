"""What each position gathers from those before it. Read with lesson 03."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from minigpt.model.cache import LayerCache
from minigpt.model.linear import Linear


def causal_mask(T: int, S: int, device: torch.device | None = None) -> Bool[Tensor, "T S"]:
    """True where a query may look: the T queries are the last of the S positions, and none looks ahead."""
    return torch.ones(T, S, dtype=torch.bool, device=device).tril(S - T)


def attend(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B H S D"],
    v: Float[Tensor, "B H S D"],
    visible: Bool[Tensor, "#B 1 T S"] | None = None,
    dropout: float = 0.0,
) -> Float[Tensor, "B H T D"]:
    """softmax(Q K^T / sqrt(d_k)) V (document B 2.1, which leaves out the mask), spelled out.

    `visible` says which of the S keys each query may look at; None is the causal mask.
    """
    T, S, D = q.shape[-2], k.shape[-2], q.shape[-1]
    if visible is None:
        visible = causal_mask(T, S, q.device)
    scores = q @ k.transpose(-2, -1) / math.sqrt(D)
    scores = scores.masked_fill(~visible, float("-inf"))  # eq 3.3
    weights = F.dropout(torch.softmax(scores, dim=-1), dropout)
    return weights @ v  # eq 3.2


def attend_fused(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B H S D"],
    v: Float[Tensor, "B H S D"],
    visible: Bool[Tensor, "#B 1 T S"] | None = None,
    dropout: float = 0.0,
) -> Float[Tensor, "B H T D"]:
    """`attend` through torch's kernel, which never holds the (T, S) scores in memory."""
    T, S = q.shape[-2], k.shape[-2]
    if visible is None and 1 < T < S:
        visible = causal_mask(
            T, S, q.device
        )  # the kernel's own mask lets the first of T queries see the first key only
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=visible, dropout_p=dropout, is_causal=visible is None and T > 1
    )


class MultiHeadAttention(nn.Module):
    """H attentions side by side, each over D = C / H channels, and a linear map that mixes them (document B 2.1).

    Every position is a key and a value; with `at`, only those positions (N of them) ask and get an answer (N, C).
    """

    def __init__(self, n_embd: int, n_head: int, dropout: float) -> None:
        super().__init__()
        self.n_head = n_head
        self.c_attn = Linear(n_embd, 3 * n_embd)  # W_Q, W_K, W_V side by side
        self.c_proj = Linear(n_embd, n_embd)  # W_O
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "B T C"],
        cache: LayerCache | None = None,
        visible: Bool[Tensor, "#B 1 T S"] | None = None,
        at: Bool[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "*at C"]:
        B, T, C = x.shape
        q, k, v = self.c_attn(x).view(B, T, 3, self.n_head, C // self.n_head).permute(2, 0, 3, 1, 4)  # eq 3.1
        if cache is not None:
            k, v = cache.extend(k, v)
        heads = attend_fused(q, k, v, visible, self.dropout.p if self.training else 0.0)
        concatenated = heads.transpose(1, 2).reshape(B, T, C)
        if at is not None:
            concatenated = concatenated[at]
        return self.dropout(self.c_proj(concatenated))  # eq 3.4
