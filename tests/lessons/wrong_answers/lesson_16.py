"""Wrong answers to lesson 16's exercises."""

import math

import torch
import torch.nn.functional as F

from minigpt.learn.batches import split_by_length

# --- own_loss ---


def mean_of_own(nll, supervised, size):
    return torch.mean(nll)


def sum_over_M(nll, supervised, size):
    return nll.sum() / supervised


def by_own_count_with_guard(nll, supervised, size):
    return nll.sum() / max(1, len(nll))


def mean_times_N(nll, supervised, size):
    return size * nll.mean()


def mean_over_N(nll, supervised, size):
    return nll.mean() / size


def weighted_mean(nll, supervised, size):
    return nll.mean() * len(nll) / supervised


def times_M(nll, supervised, size):
    return nll.sum() * supervised / size


def weighted_by_share(nll, supervised, size):
    return nll.sum() * len(nll) / supervised


def no_reduction(nll, supervised, size):
    return nll * size / supervised


def as_a_number(nll, supervised, size):
    return nll.sum().item() * size / supervised


def whole_division(nll, supervised, size):
    return nll.sum() / (supervised // size)


def detached(nll, supervised, size):
    return nll.detach().sum() * size / supervised


OWN_LOSS = [
    mean_of_own, sum_over_M, by_own_count_with_guard, mean_times_N, mean_over_N, weighted_mean, times_M,
    weighted_by_share, no_reduction, as_a_number, whole_division, detached,
]  # fmt: skip

# --- light ---


def integers_alone(x, q, s, b=0.0):
    return x @ q.to(x.dtype).t() + b


def without_bias(x, q, s, b=0.0):
    return (x @ q.to(x.dtype).t()) * s


def bias_inside(x, q, s, b=0.0):
    return (x @ q.to(x.dtype).t() + b) * s


def mixed_dtypes(x, q, s, b=0.0):
    return x @ q.t() * s + b


def untransposed(x, q, s, b=0.0):
    return x @ q.to(x.dtype) * s + b


def over_the_unit(x, q, s, b=0.0):
    return x @ q.to(x.dtype).t() / s + b


def in_float32(x, q, s, b=0.0):
    return (x.float() @ q.float().t()) * s.float() + b


def unit_by_row(x, q, s, b=0.0):
    return (x @ q.to(x.dtype).t()) * s[: len(x), None] + b


def input_to_integers(x, q, s, b=0.0):
    return (x.to(torch.int8).to(x.dtype) @ q.to(x.dtype).t()) * s + b


def largest_not_unit(x, q, s, b=0.0):
    return (x @ q.to(x.dtype).t()) * s / 127 + b


def by_linear(x, q, s, b=0.0):
    return F.linear(x, q.to(x.dtype)) * s


def in_bfloat16(x, q, s, b=0.0):
    return (x.bfloat16() @ q.bfloat16().t()).to(x.dtype) * s + b


LIGHT = [
    integers_alone, without_bias, bias_inside, mixed_dtypes, untransposed, over_the_unit, in_float32, unit_by_row,
    input_to_integers, largest_not_unit, by_linear, in_bfloat16,
]  # fmt: skip

# --- rounded ---


def in_eight_bits(W, s, weights):
    if weights == "bfloat16":
        return W.t().to(torch.bfloat16).contiguous(), torch.ones(W.shape[1])
    return (W / s).round().to(torch.int8).t().contiguous(), s


def guarded(s):
    return torch.where(s == 0, torch.ones_like(s), s)


def of_the_matrix(W, weights):
    return in_eight_bits(W, (W.abs().max() / 127).expand(W.shape[1]), weights)


def of_each_input(W, weights):
    return in_eight_bits(W, guarded(W.abs().amax(1) / 127), weights)


def signed_largest(W, weights):
    return in_eight_bits(W, guarded(W.amax(0) / 127), weights)


def truncated(W, weights):
    q, s = in_eight_bits(W, guarded(W.abs().amax(0) / 127), weights)
    return (q if weights == "bfloat16" else (W / s).to(torch.int8).t().contiguous()), s


def zero_units(W, weights):
    if weights == "bfloat16":
        return in_eight_bits(W, W.amax(0), weights)
    s = W.abs().amax(0) / 127
    return (W / s).nan_to_num(0.0).round().to(torch.int8).t().contiguous(), s


def with_an_epsilon(W, weights):
    return in_eight_bits(W, W.abs().amax(0) / 127 + 1e-8, weights)


def by_128(W, weights):
    s = guarded(W.abs().amax(0) / 128)
    q, _ = in_eight_bits(W, s, "bfloat16")
    return (q if weights == "bfloat16" else (W / s).round().clamp(-128, 127).to(torch.int8).t().contiguous()), s


def as_stored(W, weights):
    q, s = in_eight_bits(W, guarded(W.abs().amax(0) / 127), weights)
    return q.t().contiguous(), s


def with_the_axis_kept(W, weights):
    q, s = in_eight_bits(W, guarded(W.abs().amax(0, keepdim=True) / 127), weights)
    return q, s


def still_floating(W, weights):
    s = guarded(W.abs().amax(0) / 127)
    return (W / s).round().t().contiguous(), s


def only_int8(W, weights):
    return in_eight_bits(W, guarded(W.abs().amax(0) / 127), "int8")


def by_the_mean(W, weights):
    return in_eight_bits(W, guarded(W.abs().mean(0) / 127), weights)


ROUNDED = [
    of_the_matrix, of_each_input, signed_largest, truncated, zero_units, with_an_epsilon, by_128, as_stored,
    with_the_axis_kept, still_floating, only_int8, by_the_mean,
]  # fmt: skip

# --- share ---


def as_they_came(lengths, hand, hands, overhead, most, room=math.inf):
    own = list(range(len(lengths)))[hand::hands]
    return [[own[i] for i in g] for g in split_by_length([lengths[i] for i in own], overhead, most, room)]


def of_own_rows(lengths, hand, hands, overhead, most, room=math.inf):
    own = sorted(range(len(lengths)), key=lambda i: lengths[i])[hand::hands]
    return [[own[i] for i in g] for g in split_by_length([lengths[i] for i in own], overhead, most, room)]


def stretches(lengths, hand, hands, overhead, most, room=math.inf):
    n = len(lengths) // hands
    own = sorted(range(len(lengths)), key=lambda i: lengths[i])[hand * n : hand * n + n]
    return [[own[i] for i in g] for g in split_by_length([lengths[i] for i in own], overhead, most, room)]


def no_room(lengths, hand, hands, overhead, most, room=math.inf):
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    deals = [order[i : i + hands] for i in range(0, len(order), hands)]
    groups = split_by_length([lengths[deal[-1]] for deal in deals], overhead, most)
    return [[deals[i][hand] for i in g] for g in groups]


def places_in_the_order(lengths, hand, hands, overhead, most, room=math.inf):
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    longest = [lengths[i] for i in order[hands - 1 :: hands]]
    return [[hands * i + hand for i in g] for g in split_by_length(longest, overhead, most, room)]


def deals_alone(lengths, hand, hands, overhead, most, room=math.inf):
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    return split_by_length([lengths[i] for i in order[hands - 1 :: hands]], overhead, most, room)


def groups_then_dealt(lengths, hand, hands, overhead, most, room=math.inf):
    return [g[hand::hands] for g in split_by_length(lengths, overhead, most * hands, room) if g[hand::hands]]


def whole_groups(lengths, hand, hands, overhead, most, room=math.inf):
    return split_by_length(lengths, overhead, most, room)[hand::hands]


def longest_first(lengths, hand, hands, overhead, most, room=math.inf):
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    deals = [order[i : i + hands] for i in range(0, len(order), hands)]
    groups = split_by_length([lengths[deal[0]] for deal in deals], overhead, most, room)
    return [[deals[i][hand] for i in g] for g in groups]


def first_of_each_deal(lengths, hand, hands, overhead, most, room=math.inf):
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    deals = [order[i : i + hands] for i in range(0, len(order), hands)]
    groups = split_by_length([lengths[deal[0]] for deal in deals], overhead, most, room)
    return [[deals[i][hand] for i in g] for g in groups]


def one_list(lengths, hand, hands, overhead, most, room=math.inf):
    return [sorted(range(len(lengths)), key=lambda i: lengths[i])[hand::hands]]


def counted_from_one(lengths, hand, hands, overhead, most, room=math.inf):
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    deals = [order[i : i + hands] for i in range(0, len(order), hands)]
    groups = split_by_length([lengths[deal[-1]] for deal in deals], overhead, most, room)
    return [[deals[i][hand - 1] for i in g] for g in groups]


SHARE = [
    as_they_came, of_own_rows, stretches, no_room, places_in_the_order, deals_alone, groups_then_dealt, whole_groups,
    longest_first, first_of_each_deal, one_list, counted_from_one,
]  # fmt: skip

# --- computed_again ---


def back(block, x, d_y):
    x = x.detach().requires_grad_()
    d_x, *rest = torch.autograd.grad(block(x), [x, *block.parameters()], d_y)
    return d_x, rest


def without_a_seed(block, x, d_y, seed):
    torch.manual_seed(0)
    return back(block, x, d_y)


def evaluated(block, x, d_y, seed):
    torch.manual_seed(seed)
    was = block.training
    block.eval()
    found = back(block, x, d_y)
    block.train(was)
    return found


def of_ones(block, x, d_y, seed):
    torch.manual_seed(seed)
    return back(block, x, torch.ones_like(x))


def of_the_mean(block, x, d_y, seed):
    torch.manual_seed(seed)
    return back(block, x, torch.full_like(x, 1 / x.numel()))


def after_a_first_pass(block, x, d_y, seed):
    torch.manual_seed(seed)
    block(x)
    return back(block, x, d_y)


def by_backward(block, x, d_y, seed):
    torch.manual_seed(seed)
    x = x.detach().requires_grad_()
    block(x).backward(d_y)
    found = x.grad, [p.grad.clone() for p in block.parameters()]
    return found  # and leaves .grad behind


def no_graph(block, x, d_y, seed):
    torch.manual_seed(seed)
    with torch.no_grad():
        y = block(x)
    return torch.autograd.grad(y, [x, *block.parameters()], d_y)


def x_without_a_gradient(block, x, d_y, seed):
    torch.manual_seed(seed)
    d_x, *rest = torch.autograd.grad(block(x), [x, *block.parameters()], d_y)
    return d_x, rest


def weights_alone(block, x, d_y, seed):
    torch.manual_seed(seed)
    d_x, rest = back(block, x, d_y)
    return d_x, [g for g in rest if g.dim() == 2]


def residual_alone(block, x, d_y, seed):
    torch.manual_seed(seed)
    return d_y, back(block, x, d_y)[1]


def d_y_twice(block, x, d_y, seed):
    torch.manual_seed(seed)
    x = x.detach().requires_grad_()
    d_x, *rest = torch.autograd.grad((block(x) * d_y).sum() * 2, [x, *block.parameters()])
    return d_x, rest


def flat(block, x, d_y, seed):
    torch.manual_seed(seed)
    d_x, rest = back(block, x, d_y)
    return d_x, torch.cat([g.flatten() for g in rest])


AGAIN = [
    without_a_seed, evaluated, of_ones, of_the_mean, after_a_first_pass, by_backward, no_graph, x_without_a_gradient,
    weights_alone, residual_alone, d_y_twice, flat,
]  # fmt: skip

# --- low_rank ---


def unscaled(self, x):
    return x @ self.weight + self.bias + x @ self.A @ self.B


def by_alpha(self, x):
    return x @ self.weight + self.bias + self.alpha * (x @ self.A @ self.B)


def change_alone(self, x):
    return self.scale * (x @ self.A @ self.B)


def no_bias(self, x):
    return x @ self.weight + self.scale * (x @ self.A @ self.B)


def all_scaled(self, x):
    return self.scale * (x @ self.weight + x @ self.A @ self.B) + self.bias


def product_first(self, x):
    return x @ self.weight + self.bias + self.scale * (x @ (self.A @ self.B))


def into_the_weight(self, x):
    return x @ (self.weight + self.scale * self.A @ self.B) + self.bias


def a_detached(self, x):
    return x @ self.weight + self.bias + self.scale * (x @ self.A.detach() @ self.B)


def b_detached(self, x):
    return x @ self.weight + self.bias + self.scale * (x @ self.A @ self.B.detach())


def transposed(self, x):
    return x @ self.weight.t() + self.bias + self.scale * (x @ self.A @ self.B)


def with_relu(self, x):
    return x @ self.weight + self.bias + self.scale * (F.relu(x @ self.A) @ self.B)


def rs_lora(self, x):
    return x @ self.weight + self.bias + self.alpha / math.sqrt(self.rank) * (x @ self.A @ self.B)


def sides_swapped(self, x):
    return x @ self.weight + self.bias + self.scale * (x @ self.B.t() @ self.A.t())


LOW_RANK = [
    unscaled, by_alpha, change_alone, no_bias, all_scaled, product_first, into_the_weight, a_detached, b_detached,
    transposed, with_relu, rs_lora, sides_swapped,
]  # fmt: skip

ANSWERS = {
    ("16_further", "own_loss"): OWN_LOSS,
    ("16_further", "light"): LIGHT,
    ("16_further", "rounded"): ROUNDED,
    ("16_further", "share"): SHARE,
    ("16_further", "computed_again"): AGAIN,
    ("16_further", "low_rank"): LOW_RANK,
}
