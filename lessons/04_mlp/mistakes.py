"""Lesson 04's functions with a switch for each typical mistake; without one they are right."""

import math

import torch
from torch import Tensor

CUBIC = 0.044715


def gelu(
    x: Tensor, *, with_erf=False, logistic=False, silu=False, relu=False, single_sigmoid=False, not_times_x=False,
    half_forgotten=False, one_forgotten=False, minus=False, no_root=False, root_sign_forgotten=False,
    root_turned=False, cube_forgotten=False, squared=False, cube_outside=False, exponentials=False,
) -> Tensor:  # fmt: skip
    ratio = math.pi / 2.0 if root_turned else 2.0 / math.pi
    root = 1.0 if no_root else ratio if root_sign_forgotten else math.sqrt(ratio)
    cubic = 0.0 if cube_forgotten else CUBIC * x ** (2 if squared else 3)
    inside = root * x + cubic if cube_outside else root * (x + cubic)
    if with_erf:
        bent = torch.erf(x / math.sqrt(2.0))
    elif exponentials:
        large = torch.exp(2.0 * inside)
        bent = (large - 1.0) / (large + 1.0)
    else:
        bent = torch.tanh(inside)
    doubled = (0.0 if one_forgotten else 1.0) + (-bent if minus else bent)
    if relu:
        doubled = 2.0 * (x > 0)
    elif logistic or silu or single_sigmoid:
        doubled = 2.0 * torch.sigmoid(1.702 * x if logistic else x if silu else inside)
    share = doubled if half_forgotten else 0.5 * doubled
    return share if not_times_x else x * share


def linear(
    x: Tensor, W: Tensor, b: Tensor, *, transposed=False, other_way_round=False, elementwise=False,
    bias_forgotten=False, bias_before=False, bias_by_row=False,
) -> Tensor:  # fmt: skip
    W = W.mT if transposed else W
    x = x + b if bias_before else x
    product = x * W if elementwise else W @ x if other_way_round else x @ W
    if bias_forgotten or bias_before:
        return product
    return product + (b[:, None] if bias_by_row else b)


def unit_outputs(
    x: Tensor, W_1: Tensor, b_1: Tensor, W_2: Tensor, *, no_gelu=False, gelu_last=False, bias_forgotten=False,
    bias_late=False, rows_of_W_1=False, columns_of_W_2=False, added_up=False, **switches: bool,
) -> Tensor:  # fmt: skip
    u = x @ (W_1.mT if rows_of_W_1 else W_1)
    u = u if bias_forgotten or bias_late else u + b_1
    activations = u if no_gelu or gelu_last else gelu(u, **switches)
    activations = activations + b_1 if bias_late else activations
    found = activations[:, :, None] * (W_2.mT if columns_of_W_2 else W_2)
    found = gelu(found) if gelu_last else found
    return found.sum(1) if added_up else found


def gelu_backward(
    x: Tensor, d_y: Tensor, *, of_erf=False, first_term_only=False, second_term_only=False, x_forgotten=False,
    inside_forgotten=False, root_forgotten=False, three_forgotten=False, not_squared=False, sum_of_squares=False,
    upstream_forgotten=False,
) -> Tensor:  # fmt: skip
    root = math.sqrt(2.0 / math.pi)
    tanh = torch.tanh(root * (x + CUBIC * x**3))
    inside = (1.0 if root_forgotten else root) * (1.0 + (1.0 if three_forgotten else 3.0) * CUBIC * x**2)
    square = tanh if not_squared else tanh**2
    first = 0.5 * (1.0 + tanh)
    second = 0.5 * (1.0 + square if sum_of_squares else 1.0 - square) * (1.0 if inside_forgotten else inside)
    if of_erf:
        first = 0.5 * (1.0 + torch.erf(x / math.sqrt(2.0)))
        second = torch.exp(-0.5 * x**2) / math.sqrt(2.0 * math.pi)
    second = second if x_forgotten else x * second
    slope = first if first_term_only else second if second_term_only else first + second
    return slope if upstream_forgotten else d_y * slope
