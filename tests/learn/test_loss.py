"""Lessons 08 and 13: the loss against torch's, what the mask leaves out, and perplexity's two forms."""

import math
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from minigpt.learn import loss as loss_module
from minigpt.learn.loss import (
    cross_entropy,
    head_nll,
    head_nll_fast,
    perplexity,
    response_nll,
    sequence_nll,
    token_nll,
    token_nll_fast,
)


def random_case(*shape: int, V: int = 50, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, targets and a mask that holds both values."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3.0 * torch.randn(*shape, V, generator=generator)
    targets = torch.randint(V, shape, generator=generator)
    return logits.requires_grad_(), targets, torch.rand(shape, generator=generator) < 0.5


FORMS = pytest.mark.parametrize("form", [token_nll, token_nll_fast])


@settings(max_examples=30)
@given(shape=st.lists(st.integers(1, 4), max_size=3), V=st.integers(1, 60), seed=st.integers(0, 2**31))
def test_the_fast_form_equals_the_explicit_one_forward_and_backward(shape: list[int], V: int, seed: int) -> None:
    """In float32, within a few units of the last digit of the numbers that are subtracted."""
    logits, targets, _ = random_case(*shape, V=V, seed=seed)
    upstream = torch.randn(shape)
    results = [(nll := form(logits, targets), *torch.autograd.grad(nll, logits, upstream)) for form in FORMS.args[1]]
    torch.testing.assert_close(results[1], results[0], rtol=2e-6, atol=2e-6)


@FORMS
def test_token_nll_is_minus_the_logarithm_of_softmax_and_its_gradient_softmax_minus_one_hot(form) -> None:
    logits, targets, _ = random_case(3, 5)
    nll = form(logits, targets)
    P = torch.softmax(logits.detach().double(), -1)
    one_hot = F.one_hot(targets, 50)
    torch.testing.assert_close(nll.double(), -(P * one_hot).sum(-1).log(), rtol=1e-6, atol=1e-6)
    (gradient,) = torch.autograd.grad(nll.sum(), logits)
    torch.testing.assert_close(gradient.double(), P - one_hot, rtol=1e-5, atol=1e-6)


@settings(max_examples=30)
@given(N=st.integers(0, 9), rows=st.integers(0, 4), seed=st.integers(0, 2**31))
def test_head_and_loss_in_chunks_equal_torchs_and_the_two_explicit_lines(N: int, rows: int, seed: int) -> None:
    """Chunks of any number of rows, none at all included, also where not even one has room;
    against torch in float64, where only a wrong term differs."""
    torch.manual_seed(seed)
    h, E = torch.randn(N, 5).double().requires_grad_(), torch.randn(11, 5).double().requires_grad_()
    y = torch.randint(11, (N,))
    with mock.patch.object(loss_module, "CHUNK_BYTES", 4 * 11 * rows):
        total, in_float32 = head_nll_fast(h, E, y), head_nll_fast(h.float(), E.float(), y)
    expected = F.cross_entropy(h @ E.t(), y, reduction="sum")
    torch.testing.assert_close(total, expected, rtol=1e-12, atol=1e-12)
    found, wanted = (torch.autograd.grad(0.3 * nll, [h, E], retain_graph=True) for nll in (total, expected))
    torch.testing.assert_close(found, wanted, rtol=1e-11, atol=1e-12)
    explicit = head_nll(h.float(), E.float(), y)
    torch.testing.assert_close(in_float32, explicit, rtol=2e-6, atol=2e-6)
    found, wanted = (torch.autograd.grad(nll, [h, E]) for nll in (in_float32, explicit))
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.fast_form
def test_the_logits_of_all_rows_never_exist_at_once() -> None:
    h, E, y = torch.randn(64, 4, requires_grad=True), torch.randn(50, 4, requires_grad=True), torch.randint(50, (64,))
    sizes: list[int] = []
    log_softmax = F.log_softmax

    def seen(z: Tensor, *args, **settings) -> Tensor:
        sizes.append(len(z))
        return log_softmax(z, *args, **settings)

    with mock.patch.object(loss_module, "CHUNK_BYTES", 4 * 50 * 10), mock.patch.object(F, "log_softmax", seen):
        head_nll_fast(h, E, y).backward()
    assert sizes == [10] * 6 + [4]


@FORMS
def test_large_logits_neither_overflow_nor_lose_the_loss(form) -> None:
    logits = torch.tensor([[1e4, 0.0], [0.0, 1e4]], requires_grad=True)
    nll = form(logits, torch.tensor([0, 0]))
    assert nll.tolist() == [0.0, 1e4]
    nll.sum().backward()
    assert logits.grad.tolist() == [[0.0, 0.0], [-1.0, 1.0]]


@FORMS
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_summed_in_float32(form, dtype: torch.dtype) -> None:
    """In bfloat16 itself, log-sum-exp would be off in the third digit."""
    logits, targets, _ = random_case(40, V=2000)
    half = logits.detach().to(dtype).requires_grad_()
    nll = form(half, targets)
    assert nll.dtype == torch.float32
    assert torch.equal(nll, form(half.detach().float(), targets))
    nll.sum().backward()
    assert half.grad.dtype == dtype


def test_response_nll_is_the_sum_over_supervised_tokens_and_their_number() -> None:
    logits, targets, supervised = random_case(4, 6)
    total, count = response_nll(logits, targets, supervised)
    expected = sum(token_nll(logits, targets)[b, t].item() for b, t in supervised.nonzero().tolist())
    assert total.item() == pytest.approx(expected, rel=1e-6)
    assert count == supervised.sum().item()


def test_response_nll_is_torchs_sum_with_ignored_targets() -> None:
    logits, targets, supervised = random_case(4, 6)
    ignored = targets.masked_fill(~supervised, -100)
    response_nll(logits, targets, supervised)[0].backward()
    ours, logits.grad = logits.grad, None
    loss = F.cross_entropy(logits.flatten(0, 1), ignored.flatten(), reduction="sum", ignore_index=-100)
    loss.backward()
    torch.testing.assert_close(response_nll(logits, targets, supervised)[0], loss, rtol=1e-6, atol=0)
    torch.testing.assert_close(ours, logits.grad, rtol=1e-6, atol=1e-7)
    assert not ours[~supervised].any(), "nothing is learned where nothing is supervised"


def test_what_an_instruction_would_have_predicted_changes_nothing() -> None:
    logits, targets, supervised = random_case(4, 6)
    changed = torch.where(supervised, targets, (targets + 1) % 50)
    assert response_nll(logits, targets, supervised)[0] == response_nll(logits, changed, supervised)[0]
    answers_changed = torch.where(supervised, (targets + 1) % 50, targets)
    assert response_nll(logits, targets, supervised)[0] != response_nll(logits, answers_changed, supervised)[0]


def test_the_documents_sum_and_mean_differ_by_the_number_of_tokens() -> None:
    """Documents A, B and C sum the loss, D averages it."""
    logits, targets, _ = random_case(3, 5)
    torch.testing.assert_close(sequence_nll(logits, targets), token_nll(logits, targets).sum(), rtol=1e-6, atol=0)
    expected = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    torch.testing.assert_close(cross_entropy(sequence_nll(logits, targets), 15), expected, rtol=1e-6, atol=0)
    assert sequence_nll(logits, targets).item() == pytest.approx(15 * expected.item(), rel=1e-6)


def test_perplexity_of_a_sum_is_that_of_its_mean() -> None:
    """D's exp(L) holds for the mean alone, A's exp(L / T) for the sum."""
    logits, targets, _ = random_case(3, 5)
    total = sequence_nll(logits, targets)
    total, mean = total.item(), cross_entropy(total, 15).item()
    assert perplexity(total, 15) == pytest.approx(perplexity(mean), rel=1e-5)
    assert perplexity(total) > 1e10 * perplexity(mean), "the sum in the mean's formula is another number altogether"


def test_the_documents_example_is_consistent() -> None:
    assert round(perplexity(1.95), 2) == 7.03


def test_a_uniform_guess_is_as_perplexed_as_there_are_tokens() -> None:
    nll = sequence_nll(torch.zeros(9, 260), torch.arange(9))
    assert perplexity(nll.item(), 9) == pytest.approx(260, rel=1e-5)


def test_perplexity_beyond_all_numbers_is_infinite() -> None:
    assert perplexity(1e6) == math.inf
    assert perplexity(1e6, 1000) == math.inf
    assert perplexity(1e6, 10_000) == math.exp(100)
    assert perplexity(math.inf) == math.inf


@pytest.mark.parametrize("count", [0, -1])
def test_perplexity_of_no_token_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"at least one token; got {count}"):
        perplexity(0.0, count)


@pytest.mark.fast_form
def test_a_second_backward_pass_through_the_chunked_head_raises_and_is_never_a_wrong_gradient() -> None:
    """The first scales the gradient in place."""
    h, E = torch.randn(3, 4, requires_grad=True), torch.randn(5, 4, requires_grad=True)
    loss = 2.0 * head_nll_fast(h, E, torch.tensor([1, 0, 4]))
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
