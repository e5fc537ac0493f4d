"""Lessons 08 and 13: the loss against torch's, what the mask leaves out, and perplexity's two forms."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from minigpt.learn.loss import TokenNLL, cross_entropy, perplexity, response_nll, sequence_nll, token_nll


def random_case(*shape: int, V: int = 50, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, targets and a mask that holds both values."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3.0 * torch.randn(*shape, V, generator=generator)
    targets = torch.randint(V, shape, generator=generator)
    return logits.requires_grad_(), targets, torch.rand(shape, generator=generator) < 0.5


@pytest.mark.parametrize("shape", [(), (7,), (3, 5), (2, 3, 4)])
def test_token_nll_is_torchs_cross_entropy(shape: tuple[int, ...]) -> None:
    logits, targets, _ = random_case(*shape)
    expected = F.cross_entropy(logits.reshape(-1, 50), targets.reshape(-1), reduction="none").view(shape)
    torch.testing.assert_close(token_nll(logits, targets), expected, rtol=1e-6, atol=1e-6)


def test_its_gradient_is_that_of_torchs_cross_entropy() -> None:
    logits, targets, _ = random_case(3, 5)
    weights = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
    (token_nll(logits, targets) * weights).sum().backward()
    ours, logits.grad = logits.grad, None
    (F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none") * weights.flatten()).sum().backward()
    torch.testing.assert_close(ours, logits.grad, rtol=1e-6, atol=1e-7)


def test_its_gradient_is_that_of_its_own_values() -> None:
    """Finite differences in float64, where they are exact enough to see a wrong digit."""
    logits, targets, _ = random_case(2, 3, V=6)
    assert torch.autograd.gradcheck(lambda z: TokenNLL.apply(z, targets), logits.detach().double().requires_grad_())


def test_large_logits_neither_overflow_nor_lose_the_loss() -> None:
    logits = torch.tensor([[1e4, 0.0], [0.0, 1e4]], requires_grad=True)
    nll = token_nll(logits, torch.tensor([0, 0]))
    assert nll.tolist() == [0.0, 1e4]
    nll.sum().backward()
    assert logits.grad.tolist() == [[0.0, 0.0], [-1.0, 1.0]]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_summed_in_float32(dtype: torch.dtype) -> None:
    """In bfloat16 itself, log-sum-exp would be off in the third digit."""
    logits, targets, _ = random_case(40, V=2000)
    half = logits.detach().to(dtype).requires_grad_()
    nll = token_nll(half, targets)
    assert nll.dtype == torch.float32
    assert torch.equal(nll, token_nll(half.detach().float(), targets))
    nll.sum().backward()
    assert half.grad.dtype == dtype


def test_response_nll_is_the_sum_over_learned_tokens_and_their_number() -> None:
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
    torch.testing.assert_close(
        cross_entropy(logits, targets), F.cross_entropy(logits.flatten(0, 1), targets.flatten()), rtol=1e-6, atol=0
    )
    assert sequence_nll(logits, targets).item() == pytest.approx(15 * cross_entropy(logits, targets).item(), rel=1e-6)


def test_perplexity_of_a_sum_is_that_of_its_mean() -> None:
    """D's exp(L) holds for the mean alone, A's exp(L / T) for the sum."""
    logits, targets, _ = random_case(3, 5)
    total, mean = sequence_nll(logits, targets).item(), cross_entropy(logits, targets).item()
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
