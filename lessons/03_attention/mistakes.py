"""Lesson 03's functions with a switch for each typical mistake; without one they are right."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

NEVER = float("-inf")


def causal_mask(T: int, S: int, *, backwards=False, not_itself=False, one_ahead=False, from_the_left=False) -> Tensor:
    ones, last = torch.ones(T, S, dtype=torch.bool), (0 if from_the_left else S - T) - not_itself + one_ahead
    return ones.triu(last) if backwards else ones.tril(last)


def weights(
    q: Tensor, k: Tensor, mask: Tensor, *, unscaled=False, scaled_by_D=False, multiplied=False, scaled_after=False,
    mask_ignored=False, mask_inverted=False, mask_after=False, mask_of_zeros=False, mask_added=False,
    over_queries=False, over_heads=False, no_softmax=False, not_divided=False,
) -> Tensor:  # fmt: skip
    root = math.sqrt(q.shape[-1])
    scale = root**2 if scaled_by_D else 1 / root if multiplied else 1 if unscaled or scaled_after else root
    mask = ~mask if mask_inverted else mask
    scores = q @ k.transpose(-2, -1) / scale
    if mask_added:
        scores = scores + mask.to(scores.dtype)
    elif not (mask_ignored or mask_after):
        scores = scores.masked_fill(~mask, 0.0 if mask_of_zeros or no_softmax else NEVER)
    if no_softmax:
        found = scores
    elif not_divided:
        found = scores.exp()
    else:
        found = scores.softmax(1 if over_heads else -2 if over_queries else -1)
    found = found / root if scaled_after else found
    return found.masked_fill(~mask, 0.0) if mask_after else found


def split_heads(
    qkv: Tensor, n_head: int, *, channels_first=False, heads_outside=False, not_transposed=False, key_first=False
) -> Tensor:
    B, T, three_C = qkv.shape
    D = three_C // 3 // n_head
    if channels_first:  # the heads within the channels
        found = qkv.view(B, T, 3, D, n_head).permute(2, 0, 4, 1, 3)
    elif heads_outside:  # each head's q, k and v side by side
        found = qkv.view(B, T, n_head, 3, D).permute(3, 0, 2, 1, 4)
    elif not_transposed:  # rows of several positions end up in one head
        found = torch.stack([part.reshape(B, n_head, T, D) for part in qkv.split(n_head * D, -1)])
    else:
        found = qkv.view(B, T, 3, n_head, D).permute(2, 0, 3, 1, 4)
    return found[[1, 0, 2]] if key_first else found


def softmax_backward(
    weights: Tensor, d_weights: Tensor, *,
    own_score_only=False, not_weighted=False, weight_forgotten=False, wrong_sign=False, over_queries=False,
) -> Tensor:  # fmt: skip
    if own_score_only:
        found = weights * (1 - weights) * d_weights
    else:
        inside = d_weights if not_weighted else weights * d_weights
        found = d_weights - inside.sum(-2 if over_queries else -1, keepdim=True)
        found = found if weight_forgotten else weights * found
    return -found if wrong_sign else found


def attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, dropout: float = 0.0, *, always_causal=False,
    none_is_everything=False, mask_from_the_left=False, not_itself=False, one_ahead=False, keys_taken=False,
    **switches: bool,
) -> Tensor:  # fmt: skip
    T, S = q.shape[-2], k.shape[-2]
    if mask is None or always_causal:
        mask = causal_mask(T, S, from_the_left=mask_from_the_left, not_itself=not_itself, one_ahead=one_ahead)
        mask = torch.ones_like(mask) if none_is_everything else mask
    return F.dropout(weights(q, k, mask, **switches), dropout) @ (k if keys_taken else v)
