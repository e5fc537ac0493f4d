"""Mean 0, variance 1 (the biased one), gain and bias; the fast form equals the explicit one."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from minigpt.model.layer_norm import LayerNorm, layer_norm, layer_norm_fast

EPS = 1e-5
shapes = st.lists(st.integers(1, 4), min_size=2, max_size=4)


@settings(max_examples=30)
@given(shape=shapes, scale=st.floats(1e-3, 1e3), offset=st.floats(-100, 100), seed=st.integers(0, 2**31))
def test_the_fast_form_equals_the_explicit_one_and_torch_forward_and_backward(
    shape: list[int], scale: float, offset: float, seed: int
) -> None:
    torch.manual_seed(seed)
    x = (scale * torch.randn(shape, dtype=torch.float64) + offset).requires_grad_()
    gain, bias = (torch.randn(shape[-1], dtype=torch.float64, requires_grad=True) for _ in range(2))
    upstream = torch.randn(shape, dtype=torch.float64)
    outputs = {
        "fast": layer_norm_fast(x, gain, bias, EPS),
        "explicit": layer_norm(x, gain, bias, EPS),
        "torch": F.layer_norm(x, shape[-1:], gain, bias, EPS),
    }
    results = {name: (y, *torch.autograd.grad(y, [x, gain, bias], upstream)) for name, y in outputs.items()}
    torch.testing.assert_close(results["fast"], results["explicit"], rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(results["explicit"], results["torch"], rtol=1e-8, atol=1e-8)


def test_float32_rounds_the_fast_form_no_more_than_the_explicit_one() -> None:
    torch.manual_seed(0)
    x, upstream = torch.randn(64, 768) + 3.0, torch.randn(64, 768)
    gain, bias = torch.randn(768), torch.randn(768)

    def results(form, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
        inputs = [tensor.to(dtype).requires_grad_() for tensor in (x, gain, bias)]
        y = form(*inputs, EPS)
        return (y.detach(), *torch.autograd.grad(y, inputs, upstream.to(dtype)))

    exact = results(layer_norm, torch.float64)
    for form in (layer_norm, layer_norm_fast):
        for result, expected in zip(results(form, torch.float32), exact, strict=True):
            assert (result - expected).norm() / expected.norm() <= 5e-7


def test_each_position_gets_mean_0_and_biased_variance_1() -> None:
    torch.manual_seed(0)
    y = LayerNorm(8, 1e-12).double()(5.0 * torch.randn(3, 4, 8, dtype=torch.float64) + 2.0)
    torch.testing.assert_close(y.mean(-1), torch.zeros(3, 4).double(), rtol=0, atol=1e-10)
    torch.testing.assert_close(y.var(-1, correction=0), torch.ones(3, 4).double(), rtol=0, atol=1e-10)


@pytest.mark.parametrize("form", [layer_norm, layer_norm_fast])
def test_eps_stands_inside_the_root(form) -> None:
    """A variance as small as eps makes sqrt(2 eps); eps outside of the root would make sqrt(eps) + eps."""
    spread = math.sqrt(EPS)
    x = torch.tensor([[-spread, spread]], dtype=torch.float64)
    y = form(x, torch.ones(2).double(), torch.zeros(2).double(), EPS)
    torch.testing.assert_close(y, torch.tensor([[-1.0, 1.0]]).double() / math.sqrt(2.0), rtol=1e-9, atol=0)


def test_a_position_with_equal_channels_becomes_the_bias() -> None:
    norm = LayerNorm(4, EPS)
    norm.bias.data = torch.tensor([1.0, 2.0, 3.0, 4.0])
    x = torch.full((1, 4), 7.0, requires_grad=True)
    y = norm(x)
    assert torch.equal(y[0], norm.bias)
    assert torch.autograd.grad(y[0, 0], x)[0].isfinite().all()


def test_the_start_is_gain_1_and_bias_0() -> None:
    norm = LayerNorm(4, EPS)
    assert norm.weight.tolist() == [1.0] * 4
    assert norm.bias.tolist() == [0.0] * 4
