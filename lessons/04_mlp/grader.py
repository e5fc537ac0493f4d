"""Lesson 04's grader: what is asked for, on which numbers, and the hint for each typical mistake."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from lessons.harness.grade import Exercise
from lessons.tiny import IDS, paper_model

from . import solutions

MODEL = "minigpt.model."


def paper_mlp() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The paper model's rows after LayerNorm, and the first four units (the fourth does nothing), in float64."""
    model = paper_model().double()
    block, mlp = model.h[0], model.h[0].mlp
    with torch.no_grad():
        x = model.wte(torch.tensor([IDS])) + model.wpe(torch.arange(3))
        rows = block.ln_2(x + block.attn(block.ln_1(x)))[0]
    weights = mlp.c_fc.weight[:, :4], mlp.c_fc.bias[:4], mlp.c_proj.weight[:4]
    return rows, *(part.detach().clone() for part in weights)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@cache
def gelu_cases() -> list[tuple]:
    rows, W_1, b_1, _ = paper_mlp()
    far = torch.tensor([[-1000.0, -30.0], [30.0, 1000.0]], dtype=torch.float64)
    return [(rows @ W_1 + b_1,), (torch.linspace(-6.0, 6.0, 24, dtype=torch.float64).view(2, 3, 4),), (far,)]


@cache
def linear_cases() -> list[tuple]:
    """As many rows as inputs and outputs, so that a transposed W gives wrong numbers and not an error."""
    small = [[1.0, 2.0], [3.0, 4.0]], [[1.0, 0.0], [2.0, -1.0]], [10.0, 20.0]
    return [tuple(map(torch.tensor, small)), (random(3, 3), random(3, 3, seed=1), random(3, seed=2))]


@cache
def unit_cases() -> list[tuple]:
    return [paper_mlp(), (random(2, 3), random(3, 3, seed=1), random(3, seed=2), random(3, 3, seed=3))]


@cache
def backward_cases() -> list[tuple]:
    (u,), (wide,), (far,) = gelu_cases()
    return [(x, random(*x.shape)) for x in (u, wide, far)]


def stopped(name: str, error: Exception, given: str) -> str:
    return f"{name} is right so far, but with {given} it stopped: {type(error).__name__}: {error}"


def any_number_of_outputs(mine: Callable) -> str | None:
    """Rows, inputs and outputs that differ in number."""
    x, W, b = random(2, 3), random(3, 4), random(4)
    try:
        right = torch.allclose(mine(x, W, b), torch.addmm(b, x, W))
    except Exception as error:
        return stopped("linear", error, "2 rows of 3 inputs and 4 outputs")
    return None if right else "linear is right only where rows, inputs and outputs are equally many."


def adds_up_to_the_mlp(mine: Callable) -> str | None:
    """For more units than channels, as in GPT-2."""
    x, W_1, b_1, W_2 = random(2, 3), random(3, 12, seed=1), random(12, seed=2), random(12, 3, seed=3)
    try:
        right = torch.allclose(mine(x, W_1, b_1, W_2).sum(1), solutions.gelu(x @ W_1 + b_1) @ W_2)
    except Exception as error:
        return stopped("unit_outputs", error, "12 units over 3 channels")
    return None if right else "With 12 units over 3 channels, your unit_outputs do not add up to the MLP's output."


def gradcheck(mine: Callable) -> str | None:
    """torch compares the written-out gradient with the slope that it measures by moving each number a little."""

    class Gelu(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x: Tensor) -> Tensor:
            ctx.save_for_backward(x)
            return solutions.gelu(x)

        @staticmethod
        def backward(ctx, d_y: Tensor) -> Tensor:
            return mine(*ctx.saved_tensors, d_y)

    try:
        if torch.autograd.gradcheck(Gelu.apply, (2.0 * random(3, 5, seed=1)).requires_grad_(), raise_exception=False):
            return None
    except Exception as error:
        return stopped("gelu_backward", error, "15 numbers (3, 5)")
    return "torch.autograd.gradcheck measures other slopes than those that gelu_backward gives."


EXERCISES = [
    Exercise("gelu", "turtle", 5, gelu_cases, {
        "with_erf": "This is the exact GELU, with erf. GPT-2 was trained with the tanh form, which differs from it by "
        "up to 4.7e-4.",
        "logistic": "x sigmoid(1.702 x) is another, coarser approximation of x Phi(x), off by up to 0.02. GPT-2 has "
        "the tanh form.",
        "silu": "x sigmoid(x) is another activation, SiLU. The logistic curve is flatter than Phi.",
        "relu": "That is ReLU, max(0, x), with a corner at 0. GELU is smooth, and slightly negative left of 0.",
        "single_sigmoid": "(1 + tanh(z)) / 2 is sigmoid(2 z), not sigmoid(z): a factor of 2 is missing inside.",
        "not_times_x": "You gave Phi(x), the share that is let through. GELU is x times that share.",
        "half_forgotten": "The factor 1/2 is missing: 1 + tanh runs from 0 to 2, a share from 0 to 1.",
        "one_forgotten": "The 1 before the tanh is missing: without it the share runs from -1/2 to 1/2, and large "
        "negative numbers come through as positive ones.",
        "minus": "You have 1 - tanh: this lets the negative numbers through and holds back the positive ones.",
        "no_root": "The factor sqrt(2 / pi) inside the tanh is missing.",
        "root_sign_forgotten": "You have 2 / pi inside the tanh; it is the square root of it.",
        "root_turned": "You have sqrt(pi / 2) inside the tanh; it is sqrt(2 / pi).",
        "cube_forgotten": "The term 0.044715 x^3 inside the tanh is missing.",
        "squared": "You have x^2 inside the tanh where the formula has x^3. An even power treats x and -x alike.",
        "cube_outside": "sqrt(2 / pi) multiplies the whole sum x + 0.044715 x^3: look at your parentheses.",
        "exponentials": "Your tanh is made of exponentials: for large x they are infinite, and inf / inf is NaN. "
        "torch.tanh knows better.",
    }, places=(MODEL + "mlp.gelu", MODEL + "mlp.gelu_fast")),
    Exercise("linear", "turtle", 5, linear_cases, {
        "transposed": "You multiplied by the transpose of W. torch.nn.Linear stores W as (out, in); here it is "
        "(in, out), so x W needs no transposition.",
        "other_way_round": "You computed W x. The inputs are the rows of x, so x stands on the left: x W.",
        "elementwise": "`*` multiplies number by number. The product of matrices, rows times columns, is `@`.",
        "bias_forgotten": "b is missing: every row of outputs gets b added.",
        "bias_before": "You added b to the inputs. It belongs to the outputs: x W + b, not (x + b) W.",
        "bias_by_row": "You added b[i] to row i. b has a number for each output: every row gets the same b.",
    }, places=(MODEL + "linear.linear", MODEL + "linear.linear_fast"), judge=any_number_of_outputs),
    Exercise("unit_outputs", "dog", 20, unit_cases, {
        "no_gelu": "GELU is missing: each unit's activation is GELU(x W_1 + b_1).",
        "gelu_last": "You applied GELU to what the units write. It comes before W_2: a unit writes its whole row, as "
        "strongly as it is active.",
        "bias_forgotten": "b_1 is missing: it says how easily each unit responds.",
        "bias_late": "You added b_1 after GELU. It belongs to the sum that GELU is applied to.",
        "rows_of_W_1": "A unit looks for a column of W_1, which is (C, F); you took the rows.",
        "columns_of_W_2": "A unit writes its row of W_2, which is (F, C); you took the columns.",
        "added_up": "You added the units up, which is the MLP's output. Here they are to be kept apart: (T, F, C).",
        "with_erf": "You used the exact GELU, with erf; GPT-2 has the tanh form.",
        "relu": "You used ReLU: units below 0 write nothing. With GELU they write a little, with a minus.",
    }, judge=adds_up_to_the_mlp),
    Exercise("gelu_backward", "lion", 25, backward_cases, {
        "of_erf": "This is the slope of the exact GELU, Phi(x) + x phi(x). The tanh form has its own, slightly other.",
        "first_term_only": "GELU is a product, x times a share. You held the share fixed: the share grows with x too.",
        "second_term_only": "GELU is a product, x times a share. You held the factor x fixed, and lost the share "
        "itself as a term.",
        "x_forgotten": "In the second term of the product rule a factor is missing: x times the slope of the share.",
        "inside_forgotten": "The chain rule goes on inside the tanh: multiply by the slope of sqrt(2 / pi) (x + "
        "0.044715 x^3).",
        "root_forgotten": "In the slope of what is inside the tanh the factor sqrt(2 / pi) is missing.",
        "three_forgotten": "The slope of x^3 is 3 x^2: the 3 is missing.",
        "not_squared": "The slope of tanh(z) is 1 - tanh(z)^2: the square is missing.",
        "sum_of_squares": "The slope of tanh(z) is 1 - tanh(z)^2, with a minus: it goes to 0 on both sides.",
        "upstream_forgotten": "You gave the slope of GELU. The gradient by x is that times d_y.",
    }, trains=False, judge=gradcheck),
]  # fmt: skip
