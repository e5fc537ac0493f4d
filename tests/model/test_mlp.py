"""GELU in the tanh form, and the map that widens to 4 C and comes back."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt.model.mlp import MLP, gelu, gelu_fast

values = st.lists(st.floats(-1e4, 1e4, allow_subnormal=False), min_size=1, max_size=20)


@settings(max_examples=50)
@given(values)
def test_the_fast_form_equals_the_explicit_one_forward_and_backward(numbers: list[float]) -> None:
    """1 + tanh loses its digits far on the left where a sigmoid keeps them, so small results differ absolutely."""
    x = torch.tensor(numbers, dtype=torch.float64, requires_grad=True)
    fast, explicit = gelu_fast(x), gelu(x)
    torch.testing.assert_close(fast, explicit, rtol=1e-12, atol=1e-13)
    upstream = torch.linspace(-2.0, 3.0, len(numbers), dtype=torch.float64)
    (fast_slope,), (slope,) = (torch.autograd.grad(y, x, upstream) for y in (fast, explicit))
    torch.testing.assert_close(fast_slope, slope, rtol=1e-11, atol=1e-11)


@settings(max_examples=50)
@given(values)
def test_float32_and_its_extremes_stay_near_the_exact_value(numbers: list[float]) -> None:
    x = torch.tensor(numbers, dtype=torch.float32, requires_grad=True)
    exact_x = x.detach().double().requires_grad_()
    y, exact = gelu_fast(x), gelu(exact_x)
    torch.testing.assert_close(y.double(), exact, rtol=1e-6, atol=1e-6)
    (slope,), (exact_slope,) = torch.autograd.grad(y.sum(), x), torch.autograd.grad(exact.sum(), exact_x)
    torch.testing.assert_close(slope.double(), exact_slope, rtol=1e-6, atol=3e-6)


@pytest.mark.fast_form
def test_bfloat16_is_rounded_once_forward_and_backward() -> None:
    """As if it had been worked out in float32: several roundings would make several times the error."""
    x = torch.linspace(-6.0, 6.0, 1001).bfloat16().requires_grad_()
    wide = x.detach().float().requires_grad_()
    upstream = torch.linspace(-1.0, 2.0, 1001).bfloat16()
    y, expected = gelu_fast(x), gelu_fast(wide)
    (slope,) = torch.autograd.grad(y, x, upstream)
    (expected_slope,) = torch.autograd.grad(expected, wide, upstream.float())
    assert torch.equal(y, expected.bfloat16())
    assert torch.equal(slope, expected_slope.bfloat16())


def test_gelu_has_the_values_of_its_formula() -> None:
    for x in (-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.7):
        expected = 0.5 * x * (1.0 + math.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))
        for form in (gelu, gelu_fast):
            assert math.isclose(form(torch.tensor(x).double()).item(), expected, rel_tol=1e-7, abs_tol=1e-15)


def test_gelu_is_not_the_exact_form_with_erf() -> None:
    x = torch.tensor([-2.7, 2.7], dtype=torch.float64)
    exact = 0.5 * x * (1.0 + torch.erf(x / math.sqrt(2.0)))
    for form in (gelu, gelu_fast):
        assert (form(x) - exact).abs().min() > 4.6e-4


def test_the_mlp_widens_bends_and_comes_back() -> None:
    torch.manual_seed(0)
    mlp = MLP(6, dropout=0.0).double()
    for parameter in mlp.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(2, 3, 6, dtype=torch.float64)
    expected = gelu(x @ mlp.c_fc.weight + mlp.c_fc.bias) @ mlp.c_proj.weight + mlp.c_proj.bias
    assert mlp.c_fc.weight.shape == (6, 24)
    torch.testing.assert_close(mlp(x), expected, rtol=1e-12, atol=1e-12)


def test_the_mlp_maps_rows_without_a_batch_as_those_within() -> None:
    """`Block` with `at` hands it rows (N, C)."""
    torch.manual_seed(0)
    mlp = MLP(6, dropout=0.0).double()
    for parameter in mlp.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(2, 3, 6, dtype=torch.float64)
    torch.testing.assert_close(mlp(x.flatten(0, 1)), mlp(x).flatten(0, 1), rtol=1e-12, atol=1e-12)


def test_dropout_leaves_the_answer_alone_outside_of_training() -> None:
    torch.manual_seed(0)
    mlp = MLP(6, dropout=0.5)
    for parameter in mlp.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(2, 3, 6)
    assert (mlp.train()(x) == 0.0).any()
    assert torch.equal(mlp.eval()(x), mlp(x))
    assert not (mlp(x) == 0.0).any()
