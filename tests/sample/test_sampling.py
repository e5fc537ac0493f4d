"""Lesson 07: temperature, top-k and top-p against transformers', and by their own definitions."""

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from minigpt.errors import UserError
from minigpt.sample.sampling import Sampling, keep_top_k, keep_top_p, probabilities, sample


def warped(logits: Tensor, temperature: float, top_k: int | None, top_p: float | None) -> Tensor:
    """The same by transformers, in the order that its `generate` applies them."""
    warpers = [TemperatureLogitsWarper(temperature)]
    warpers += [] if top_k is None else [TopKLogitsWarper(top_k)]
    warpers += [] if top_p is None else [TopPLogitsWarper(top_p)]
    for warper in warpers:
        logits = warper(None, logits)
    return logits.softmax(-1)


@given(
    seed=st.integers(0, 10_000),
    V=st.integers(1, 40),
    ties=st.booleans(),
    temperature=st.sampled_from([0.01, 0.5, 1.0, 1.7, 100.0]),
    top_k=st.none() | st.integers(1, 80),
    top_p=st.none() | st.floats(1e-9, 1.0),
)
@example(seed=0, V=10, ties=True, temperature=1.0, top_k=3, top_p=0.9)
@example(seed=0, V=10, ties=False, temperature=0.5, top_k=80, top_p=1.0)
@example(seed=0, V=10, ties=True, temperature=1.0, top_k=None, top_p=1e-9)
@settings(max_examples=200)
def test_every_token_has_the_probability_that_transformers_gives_it(
    seed: int, V: int, ties: bool, temperature: float, top_k: int | None, top_p: float | None
) -> None:
    """Ties, k above V, p = 1 and tiny p included; which of several equal tokens top-p keeps is free."""
    logits = 3.0 * torch.randn(3, V, generator=torch.Generator().manual_seed(seed))
    if ties:
        logits = logits.round()
    settings = (temperature, top_k, top_p)
    found, wanted = probabilities(logits, *settings), warped(logits, *settings)
    if ties:
        found, wanted = found.sort(-1).values, wanted.sort(-1).values
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-7)


LOGITS = torch.tensor([[0.15, 0.5, 0.05, 0.3]]).log()


def kept(logits: Tensor) -> list[int]:
    return logits[0].isfinite().nonzero().flatten().tolist()


@pytest.mark.parametrize(("k", "tokens"), [(1, [1]), (2, [1, 3]), (3, [0, 1, 3]), (4, [0, 1, 2, 3]), (9, [0, 1, 2, 3])])
def test_top_k_keeps_the_k_best(k: int, tokens: list[int]) -> None:
    found = keep_top_k(LOGITS, k)
    assert kept(found) == tokens
    assert torch.equal(found[0, tokens], LOGITS[0, tokens]), "what stays is not changed"


def test_tokens_as_good_as_the_kth_stay() -> None:
    assert kept(keep_top_k(torch.tensor([[1.0, 2.0, 1.0, 0.0]]), 2)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("p", "tokens"), [(1e-6, [1]), (0.49, [1]), (0.51, [1, 3]), (0.79, [1, 3]), (0.81, [0, 1, 3]), (1.0, [0, 1, 2, 3])]
)
def test_top_p_keeps_the_fewest_tokens_that_reach_p(p: float, tokens: list[int]) -> None:
    found = keep_top_p(LOGITS, p)
    assert kept(found) == tokens
    assert torch.equal(found[0, tokens], LOGITS[0, tokens]), "what stays is not changed"


def test_reaching_p_exactly_is_enough() -> None:
    """Four equal tokens, whose probabilities are exact in binary: two of them are a half."""
    assert len(kept(keep_top_p(torch.zeros(1, 4), 0.5))) == 2


def test_rows_are_cut_each_by_its_own_scores() -> None:
    logits = torch.tensor([[3.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 3.0]])
    assert sample(logits, Sampling(top_k=1)).tolist() == [0, 3]
    assert sample(logits, Sampling(top_p=0.5)).tolist() == [0, 3]


def test_a_token_is_drawn_with_these_probabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, drawn = torch.randn(3, 30, generator=torch.Generator().manual_seed(0)), []
    monkeypatch.setattr(torch, "multinomial", lambda P, *_, **__: drawn.append(P) or P.argmax(-1, keepdim=True))
    sample(logits, Sampling(0.7, 20, 0.9))
    assert torch.equal(drawn[0], probabilities(logits, 0.7, 20, 0.9))


def test_temperature_zero_takes_the_best_whatever_else_is_asked() -> None:
    logits = torch.randn(5, 30, generator=torch.Generator().manual_seed(0))
    best = logits.argmax(-1)
    for top_k, top_p in [(None, None), (7, None), (None, 0.3), (7, 0.3)]:
        assert torch.equal(sample(logits, Sampling(0.0, top_k, top_p)), best)
        assert torch.equal(sample(logits, Sampling(1e-4, top_k, top_p)), best), "as near it"


def test_tokens_are_drawn_as_often_as_they_are_probable() -> None:
    """Within five standard deviations, with a seed of its own."""
    n, temperature = 40_000, 1.5
    drawn = sample(LOGITS.expand(n, -1), Sampling(temperature), torch.Generator().manual_seed(0))
    probabilities = (LOGITS[0] / temperature).softmax(-1)
    share = drawn.bincount(minlength=4) / n
    assert ((share - probabilities).abs() < 5 * (probabilities * (1 - probabilities) / n).sqrt()).all()


def test_bfloat16_scores_are_drawn_from_in_float32() -> None:
    logits = torch.randn(2, 30, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert torch.equal(probabilities(logits, 0.7, 20, 0.9), probabilities(logits.float(), 0.7, 20, 0.9))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ((-0.1, None, None), r"temperature is -0\.1; it must be 0, or from 1e-06"),
        ((float("inf"), None, None), "temperature is inf"),
        ((float("nan"), None, None), "temperature is nan"),
        ((1.0, 0, None), "top-k is 0; it must be from 1"),
        ((1.0, -3, None), "top-k is -3"),
        ((1.0, None, 0.0), r"top-p is 0\.0; it must be above 0 and at most 1"),
        ((1.0, None, 1.1), r"top-p is 1\.1"),
        ((1.0, None, float("nan")), "top-p is nan"),
    ],
)
def test_a_setting_without_a_meaning_is_refused(settings: tuple, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Sampling(*settings)
