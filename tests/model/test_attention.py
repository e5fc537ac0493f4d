"""softmax(Q K^T / sqrt(d_k) + mask) V, H times side by side."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from minigpt.model.attention import MultiHeadAttention, attend, attend_fast, causal_mask

FORMS = pytest.mark.parametrize("form", [attend, attend_fast])
lengths = st.integers(1, 7)


def random_qkv(B: int, H: int, T: int, S: int, D: int, seed: int = 0) -> list[Tensor]:
    torch.manual_seed(seed)
    return [torch.randn(B, H, n, D, dtype=torch.float64, requires_grad=True) for n in (T, S, S)]


def random_attention(C: int, H: int, dropout: float = 0.0) -> MultiHeadAttention:
    torch.manual_seed(0)
    attention = MultiHeadAttention(C, H, dropout).double()
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    return attention


def assert_forms_agree(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> None:
    outputs = attend(q, k, v, mask), attend_fast(q, k, v, mask)
    torch.testing.assert_close(outputs[1], outputs[0], rtol=1e-10, atol=1e-12)
    upstream = torch.randn_like(outputs[0])
    explicit, fast = (torch.autograd.grad(output, [q, k, v], upstream) for output in outputs)
    torch.testing.assert_close(fast, explicit, rtol=1e-9, atol=1e-11)


@settings(max_examples=25)
@given(B=st.integers(1, 3), H=st.integers(1, 3), T=lengths, earlier=st.integers(0, 4), D=st.integers(1, 5))
def test_the_fast_form_equals_the_explicit_one_under_the_causal_mask(
    B: int, H: int, T: int, earlier: int, D: int
) -> None:
    assert_forms_agree(*random_qkv(B, H, T, T + earlier, D), mask=None)


@settings(max_examples=25)
@given(T=lengths, S=lengths, shared=st.booleans(), seed=st.integers(0, 2**31))
def test_the_fast_form_equals_the_explicit_one_under_any_mask(T: int, S: int, shared: bool, seed: int) -> None:
    q, k, v = random_qkv(2, 2, T, S, 4, seed)
    mask = torch.rand(1 if shared else 2, 1, T, S) < 0.5
    mask[..., 0] = True  # a query that may look nowhere has no answer
    assert_forms_agree(q, k, v, mask)


@FORMS
def test_attention_has_the_values_of_its_formula(form) -> None:
    """Term by term, without a matrix product: scores over sqrt(D), exp, and a weighted mean of what came before."""
    q, k, v = (tensor.detach() for tensor in random_qkv(1, 1, 4, 4, 3))
    for t in range(4):
        scores = [sum(q[0, 0, t, d] * k[0, 0, s, d] for d in range(3)) / math.sqrt(3) for s in range(t + 1)]
        total = sum(math.exp(score) for score in scores)
        expected = sum(math.exp(score) / total * v[0, 0, s] for s, score in enumerate(scores))
        torch.testing.assert_close(form(q, k, v)[0, 0, t], expected, rtol=1e-12, atol=1e-12)


@FORMS
def test_the_weights_that_the_mask_leaves_add_up_to_1(form) -> None:
    """Masked after the softmax, they would not."""
    q, k, _ = random_qkv(2, 2, 6, 6, 4)
    ones = torch.ones(2, 2, 6, 4, dtype=torch.float64)
    torch.testing.assert_close(form(q, k, ones), ones, rtol=0, atol=1e-12)


@FORMS
def test_a_later_position_changes_no_earlier_answer(form) -> None:
    q, k, v = (tensor.detach() for tensor in random_qkv(1, 2, 6, 6, 4))
    before = form(q, k, v)
    for tensor in (q, k, v):
        tensor[:, :, 4:] += 100.0
    after = form(q, k, v)
    assert torch.equal(after[:, :, :4], before[:, :, :4])
    assert (after[:, :, 4:] - before[:, :, 4:]).abs().min() > 1.0


@FORMS
def test_scores_beyond_exp_s_range_overflow_nothing(form) -> None:
    q, k, v = (tensor.detach().float() for tensor in random_qkv(1, 1, 4, 4, 3))
    assert form(1e4 * q, 1e4 * k, v).isfinite().all()


def test_the_last_t_of_s_positions_ask_and_none_looks_ahead() -> None:
    assert causal_mask(2, 4).int().tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert causal_mask(3, 3).int().tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]


def test_each_head_reads_and_writes_its_own_channels() -> None:
    """W_Q, W_K, W_V stand side by side in c_attn, and within each the heads."""
    B, T, C, H, D = 2, 5, 12, 3, 4
    attention = random_attention(C, H)
    x = torch.randn(B, T, C, dtype=torch.float64)
    weight, bias = attention.c_attn.weight, attention.c_attn.bias
    heads = []
    for h in range(H):
        columns = [slice(part * C + h * D, part * C + (h + 1) * D) for part in range(3)]
        q, k, v = ((x @ weight[:, c] + bias[c]).unsqueeze(1) for c in columns)
        heads.append(attend(q, k, v).squeeze(1))
    expected = torch.cat(heads, dim=-1) @ attention.c_proj.weight + attention.c_proj.bias
    torch.testing.assert_close(attention(x), expected, rtol=1e-11, atol=1e-11)


def test_rows_of_a_batch_do_not_see_each_other() -> None:
    attention = random_attention(12, 3)
    x = torch.randn(3, 5, 12, dtype=torch.float64)
    alone = torch.cat([attention(row) for row in x.split(1)])
    torch.testing.assert_close(attention(x), alone, rtol=1e-12, atol=1e-12)


def test_dropout_leaves_the_answer_alone_outside_of_training() -> None:
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    dropped, plain = random_attention(12, 3, dropout=0.5), random_attention(12, 3)
    assert torch.equal(dropped.eval()(x), plain(x))
    dropped.train().dropout.eval()  # what is left is the dropout of the weights
    assert not torch.allclose(dropped(x), plain(x))


def test_dropped_weights_leave_the_mean_answer_as_it_was() -> None:
    """In both forms a weight that stays grows by 1 / (1 - p)."""
    torch.manual_seed(0)
    q, k, v = (tensor.detach().expand(2000, 1, 4, 3) for tensor in random_qkv(1, 1, 4, 4, 3))
    for form in (attend, attend_fast):
        answers = form(q, k, v, None, 0.3)
        error = answers.std(0) / math.sqrt(2000)
        assert ((answers.mean(0) - attend(q, k, v)[0]).abs() <= 5 * error + 1e-12).all()
        assert answers.std(0).max() > 0.1
