"""y = x W + b."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from minigpt.model.linear import FEW, PARTS, Linear, linear, linear_fast


def random_linear(n_in: int, n_out: int) -> Linear:
    torch.manual_seed(0)
    linear = Linear(n_in, n_out).double()
    torch.nn.init.normal_(linear.weight)
    torch.nn.init.normal_(linear.bias)
    return linear


@settings(max_examples=25)
@given(batch=st.lists(st.integers(0, 4), min_size=1, max_size=3), n_in=st.integers(1, 5), n_out=st.integers(1, 5))
def test_any_leading_shape_is_mapped_row_by_row_forward_and_backward(batch: list[int], n_in: int, n_out: int) -> None:
    """An axis of length 0 too: `GPT.hidden` with an `at` that picks nothing."""
    linear = random_linear(n_in, n_out)
    x = torch.randn(*batch, n_in, dtype=torch.float64, requires_grad=True)
    y, expected = linear(x), F.linear(x, linear.weight.T, linear.bias)
    assert y.shape == (*batch, n_out)
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)
    upstream = torch.randn_like(expected)
    inputs = [x, linear.weight, linear.bias]
    gradients = torch.autograd.grad(y, inputs, upstream)
    torch.testing.assert_close(gradients, torch.autograd.grad(expected, inputs, upstream), rtol=1e-12, atol=1e-12)


def test_the_weight_is_stored_in_by_out_as_in_the_official_file() -> None:
    assert random_linear(3, 5).weight.shape == (3, 5)
    assert random_linear(3, 5).bias.shape == (5,)


def test_the_bias_is_added_once_a_position() -> None:
    linear = random_linear(3, 5)
    torch.testing.assert_close(linear(torch.zeros(2, 4, 3).double()), linear.bias.expand(2, 4, 5), rtol=0, atol=0)


def test_an_input_that_is_no_contiguous_block_is_read_in_the_right_order() -> None:
    linear = random_linear(3, 5)
    x = torch.randn(3, 4, 2, dtype=torch.float64).transpose(0, 2)
    torch.testing.assert_close(linear(x), x @ linear.weight + linear.bias, rtol=1e-12, atol=1e-12)


@settings(max_examples=40)
@given(rows=st.integers(0, 2 * FEW), n_in=st.integers(1, 4 * PARTS), n_out=st.integers(1, 5))
def test_a_product_of_few_rows_is_that_of_many(rows: int, n_in: int, n_out: int) -> None:
    """Below and above the number of rows that is split up, for any n_in that the parts divide or not."""
    torch.manual_seed(rows)
    x, W, b = torch.randn(rows, n_in), torch.randn(n_in, n_out), torch.randn(n_out)
    with torch.inference_mode():
        exact = linear(x.double(), W.double(), b.double())
        for form in (linear, linear_fast):
            torch.testing.assert_close(form(x, W, b).double(), exact, rtol=1e-6, atol=3e-6)
