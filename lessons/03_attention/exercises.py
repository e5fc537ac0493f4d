"""Lesson 03's exercises: `pytest lessons/03_attention` says how far you are.

turtle: a formula, 5 to 10 minutes; dog: a small program, 15 to 30; lion: measured against the real thing.
"""

from jaxtyping import Bool, Float
from torch import Tensor


def causal_mask(T: int, S: int) -> Bool[Tensor, "T S"]:
    """Turtle, 5 minutes. (3.3) as a table: True where a query may look.

    The T queries are the last of the S positions, and none may look at a position after its own.
    """
    raise NotImplementedError


def weights(
    q: Float[Tensor, "B H T D"], k: Float[Tensor, "B H S D"], mask: Bool[Tensor, "T S"]
) -> Float[Tensor, "B H T S"]:
    """Turtle, 10 minutes. softmax(Q K^T / sqrt(d_k)), with nothing for a key where `mask` is False."""
    raise NotImplementedError


def split_heads(qkv: Float[Tensor, "B T three_C"], n_head: int) -> Float[Tensor, "3 B H T D"]:
    """Dog, 15 minutes. What c_attn gives, (B, T, 3 C), as q, k and v, (B, H, T, D) each.

    W_Q, W_K and W_V are side by side in c_attn, and within each of them the heads. No loop is needed.
    """
    raise NotImplementedError


def softmax_backward(
    weights: Float[Tensor, "*rows S"], d_weights: Float[Tensor, "*rows S"]
) -> Float[Tensor, "*rows S"]:
    """Lion, 25 minutes. The gradient of the loss by the scores, for weights = softmax(scores).

    `d_weights` is the gradient by the weights. Write it out, without autograd; torch.autograd.gradcheck is the judge.
    """
    raise NotImplementedError


def attend(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B H S D"],
    v: Float[Tensor, "B H S D"],
    mask: Bool[Tensor, "#B 1 T S"] | None = None,
    dropout: float = 0.0,
) -> Float[Tensor, "B H T D"]:
    """Lion, 30 minutes. (3.2) under (3.3), as the package has it: with `mask` None it is the causal mask.

    In training some of the weights are dropped: torch.nn.functional.dropout(weights, dropout). When this one is right,
    let GPT-2 run on it: pytest --mine lessons/03_attention/exercises.py tests/reference
    """
    raise NotImplementedError
