"""Lesson 05's functions with a switch for each typical mistake; without one they are right."""

import math

import torch
from torch import Tensor


def layer_norm(
    x: Tensor, gain: Tensor, bias: Tensor, eps: float, *, unbiased=False, eps_outside=False, eps_left_out=False,
    no_root=False, only_centered=False, mean_absolute=False, mean_kept=False, root_mean_square=False,
    over_positions=False, over_batch=False, over_all_rows=False, over_the_text=False, over_everything=False,
    gain_left_out=False, bias_left_out=False, bias_scaled=False, one_plus_gain=False, gain_before=False, swapped=False,
) -> Tensor:  # fmt: skip
    if over_positions:
        axes = [x.dim() - 2]
    elif over_batch:
        axes = [0]
    elif over_all_rows:
        axes = list(range(x.dim() - 1))
    elif over_the_text:
        axes = [x.dim() - 2, x.dim() - 1]
    elif over_everything:
        axes = list(range(x.dim()))
    else:
        axes = [x.dim() - 1]
    gain, bias = (bias, gain) if swapped else (gain, bias)
    x = x * gain if gain_before else x
    mean = x.mean(axes, keepdim=True)
    centered = x - mean
    squares = x**2 if root_mean_square else centered.abs() ** (1 if mean_absolute else 2)
    n = math.prod(x.shape[axis] for axis in axes)
    var = squares.sum(axes, keepdim=True) / (max(n - 1, 1) if unbiased else n)
    root = (lambda v: v) if no_root or mean_absolute else torch.sqrt
    size = root(var) if eps_left_out else root(var) + eps if eps_outside else root(var + eps)
    found = (x if mean_kept or root_mean_square else centered) / (1 if only_centered else size)
    scale = 1 if gain_left_out or gain_before else 1 + gain if one_plus_gain else gain
    if bias_scaled:
        return (found + bias) * scale
    return found * scale + (0 if bias_left_out else bias)


def projection_std(
    std: float, n_layer: int, *, one_part_a_layer=False, no_root=False, multiplied=False, unscaled=False
) -> float:
    parts = n_layer if one_part_a_layer else 2 * n_layer
    factor = 1 if unscaled else parts if no_root else math.sqrt(parts)
    return std * factor if multiplied else std / factor


def block(
    self, x: Tensor, cache=None, mask: Tensor | None = None, at: Tensor | None = None, *, attn_stream_lost=False,
    mlp_stream_lost=False, norm_after=False, norm_of_what_is_added=False, norm_in_the_stream=False,
    first_norm_left_out=False, second_norm_left_out=False, one_norm_for_both=False, norms_swapped=False,
    side_by_side=False, attn_forgotten=False, mlp_first=False, cache_lost=False, mask_lost=False, at_ignored=False,
) -> Tensor:  # fmt: skip
    def attn(x: Tensor) -> Tensor:
        return self.attn(x, None if cache_lost else cache, None if mask_lost else mask)

    def kept(x: Tensor) -> Tensor:
        return x if at is None or at_ignored else x[at]

    first, second = (self.ln_2, self.ln_1) if norms_swapped else (self.ln_1, self.ln_2)
    first, second = (first, first) if one_norm_for_both else (first, second)
    if mlp_first:
        x = x + self.mlp(second(x))
        return kept(x + attn(first(x)))
    if norm_after:
        x = kept(first(x + attn(x)))
        return second(x + self.mlp(x))
    if norm_of_what_is_added:
        x = kept(x + first(attn(x)))
        return x + second(self.mlp(x))
    if norm_in_the_stream:
        x = first(x)
        x = second(kept(x + attn(x)))
        return x + self.mlp(x)
    before = x
    x = attn(x if first_norm_left_out else first(x)) + (0 if attn_stream_lost else x)
    before, x = kept(before), kept(x)
    read = before if side_by_side else x
    added = self.mlp(read if second_norm_left_out else second(read))
    return added if mlp_stream_lost else added + (before if attn_forgotten else x)


def layer_norm_backward(
    x: Tensor, gain: Tensor, eps: float, d_y: Tensor, *, mean_fixed=False, size_fixed=False, root_forgotten=False,
    sums=False, gain_forgotten=False, not_divided=False, unbiased=False, eps_left_out=False, gain_of_x=False,
    gain_of_centered=False, not_summed=False, one_axis_only=False, over_channels=False, wrong_sign=False,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    C = x.shape[-1]
    centered = x - x.mean(-1, keepdim=True)
    var = (centered**2).sum(-1, keepdim=True) / (C - 1 if unbiased else C)
    root = torch.sqrt(var if eps_left_out else var + eps)
    n = centered / root
    d_n = d_y if gain_forgotten else d_y * gain
    total = C if sums else 1
    by_mean = 0 if mean_fixed else d_n.mean(-1, keepdim=True)
    by_size = 0 if size_fixed else (2 if root_forgotten else 1) * n * (d_n * n).mean(-1, keepdim=True)
    d_x = d_n + total * (by_mean + by_size) if wrong_sign else d_n - total * (by_mean + by_size)
    d_x = d_x if not_divided else d_x / root
    d_gain, d_bias = d_y * (x if gain_of_x else centered if gain_of_centered else n), d_y
    if not_summed:
        return d_x, d_gain, d_bias
    axes = (0,) if one_axis_only else (-1,) if over_channels else tuple(range(x.dim() - 1))
    return d_x, d_gain.sum(axes), d_bias.sum(axes)
