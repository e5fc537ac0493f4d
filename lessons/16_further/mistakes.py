"""Lesson 16's functions with a switch for each typical mistake; without one they are right."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from minigpt.learn.batches import split_by_length


def own_loss(
    nll: Tensor, supervised: int, size: int, *, own_mean=False, not_undone=False, mean_of_the_step=False,
    divided_by_size=False, summed=False, size_squared=False, tokens_per_process=False,
    own_mean_undone=False,
) -> Tensor:  # fmt: skip
    if own_mean:
        return nll.mean()
    if own_mean_undone:
        return nll.mean() * size
    if mean_of_the_step:
        return nll.mean() * size / supervised
    if tokens_per_process:
        return nll.sum() / (supervised // size)
    if summed:
        return nll.sum()
    factor = 1 if not_undone else 1 / size if divided_by_size else size**2 if size_squared else size
    return nll.sum() * factor / supervised


def light(
    x: Tensor, q: Tensor, s: Tensor, b: Tensor | float = 0.0, *, unit_forgotten=False, bias_forgotten=False,
    bias_scaled=False, divided=False, not_transposed=False, unit_of_inputs=False, unit_squared=False,
    input_rounded=False,
) -> Tensor:  # fmt: skip
    x = x.round() if input_rounded else x
    q = q.to(x.dtype)
    if not_transposed and q.shape[0] == q.shape[1]:
        y = x @ q
    elif unit_of_inputs and q.shape[0] == q.shape[1]:
        return (x * s) @ q.t() + b
    else:
        y = x @ q.t()
    unit = 1.0 if unit_forgotten else 1 / s if divided else s**2 if unit_squared else s
    if bias_forgotten:
        return y * unit
    return (y + b) * unit if bias_scaled else y * unit + b


def rounded(
    W: Tensor, weights: str, *, one_unit=False, of_inputs=False, cut_off=False, sign_ignored=False, up_to_128=False,
    zeros_divided=False, not_transposed=False, always_int8=False, unit_inverted=False,
    four_bits=False, floored=False,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    if weights == "bfloat16" and not always_int8:
        q = W.to(torch.bfloat16)
        return (q if not_transposed else q.t().contiguous()), torch.ones_like(W[0])
    most = 128 if up_to_128 else 7 if four_bits else 127
    size = W if sign_ignored else W.abs()
    largest = size.amax(0)
    if one_unit:
        largest = size.amax().expand_as(largest)
    if of_inputs and W.shape[0] == W.shape[1]:
        largest = size.amax(1)
    s = largest / most
    if not zeros_divided:
        s = torch.where(s == 0, 1.0, s)
    ratio = (W / s).nan_to_num(0.0)
    q = ratio.trunc() if cut_off else ratio.floor() if floored else ratio.round()
    q = q.clamp(-128, 127).to(torch.int8)
    return (q if not_transposed else q.t().contiguous()), (1 / s if unit_inverted else s)


def share(
    lengths: Sequence[int], hand: int, hands: int, overhead: int, most: int, room: float = math.inf, *,
    unsorted=False, longest_first=False, in_blocks=False, own_grouped=False, shortest_of_a_deal=False, next_hand=False,
    lengths_given=False, room_ignored=False, equal_ones_turned=False, ungrouped=False, most_shared=False,
) -> list[list[int]]:  # fmt: skip
    order = list(range(len(lengths)))
    if not unsorted:
        order = sorted(reversed(order) if equal_ones_turned else order, key=lambda i: lengths[i])
    order = order[::-1] if longest_first else order
    n, which = len(order) // hands, (hand + 1) % hands if next_hand else hand
    own = order[which * n : (which + 1) * n] if in_blocks else order[which::hands]
    deals = [order[i::n] if in_blocks else order[i * hands : (i + 1) * hands] for i in range(n)]
    longest = [(min if shortest_of_a_deal else max)(lengths[i] for i in deal) for deal in deals]
    if own_grouped:
        longest = [lengths[i] for i in own]
    groups = split_by_length(
        longest, overhead, max(1, most // hands) if most_shared else most, math.inf if room_ignored else room
    )
    found = [[own[i] for i in group] for group in groups]
    if ungrouped:
        found = [own]
    return [[lengths[i] for i in group] for group in found] if lengths_given else found


def computed_again(
    block: nn.Module, x: Tensor, d_y: Tensor, seed: int, *, other_masks=False, no_masks=False, of_the_sum=False,
    stream_alone=False, of_the_mean=False, seed_after=False, parameters_first=False,
) -> tuple[Tensor, list[Tensor]]:  # fmt: skip
    x = x.detach().requires_grad_()
    torch.manual_seed(seed + 1 if other_masks else seed)
    was = block.training
    block.train(was and not no_masks)
    if seed_after:  # what was drawn in the first pass comes first
        with torch.no_grad():
            block(x)
    y = block(x)
    block.train(was)
    d_y = torch.ones_like(d_y) if of_the_sum else torch.full_like(d_y, 1 / d_y.numel()) if of_the_mean else d_y
    d_x, *rest = torch.autograd.grad(y, [x, *block.parameters()], d_y)
    d_x = d_y if stream_alone else d_x
    return (rest[0], [*rest[1:], d_x]) if parameters_first else (d_x, rest)


def low_rank(
    self: nn.Module, x: Tensor, *, scale_forgotten=False, alpha_alone=False, rank_alone=False, root_of_rank=False,
    everything_scaled=False, frozen_scaled=False, frozen_forgotten=False, bias_forgotten=False, bias_twice=False,
    subtracted=False, bent=False, in_place_of_bias=False, scaled_twice=False,
) -> Tensor:  # fmt: skip
    scale = 1.0 if scale_forgotten else self.scale
    scale = self.alpha if alpha_alone else 1 / self.rank if rank_alone else scale
    scale = self.alpha / self.rank**0.5 if root_of_rank else scale**2 if scaled_twice else scale
    whole = x @ self.weight + (2 if bias_twice else 0 if bias_forgotten else 1) * self.bias
    hidden = x @ self.A
    change = (hidden.relu() if bent else hidden) @ self.B
    if frozen_forgotten:
        return scale * change
    if in_place_of_bias:
        return x @ self.weight + scale * (change + self.bias)
    if everything_scaled:
        return scale * (whole + change)
    if frozen_scaled:
        return scale * whole + change
    return whole - scale * change if subtracted else whole + scale * change
