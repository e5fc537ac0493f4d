"""One token through the plain sequence of formulas, and through the modules: the same logits."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt import GPT, GPTConfig
from minigpt.model.cache import Cache
from minigpt.model.step import Step
from tests.conftest import two_layers

TOLERANCE = 1e-5  # float32: sums of other lengths round otherwise


def two_caches(model: GPT, lengths: list[int], capacity: int) -> list[Cache]:
    """The same prompts of these lengths read into each."""
    caches = [Cache(model.config, len(lengths), capacity, model.device) for _ in range(2)]
    prompts = torch.randint(model.config.vocab_size, (len(lengths), max(lengths)))
    for cache in caches:
        model.hidden(prompts, cache)
        cache.trim(lengths)
    return caches


def assert_the_same(model: GPT, lengths: list[int], steps: int) -> None:
    mine, theirs = two_caches(model, lengths, max(lengths) + steps)
    step = Step(model)
    for _ in range(steps):
        ids = torch.randint(model.config.vocab_size, (len(lengths),))
        torch.testing.assert_close(step(ids, mine), model(ids.unsqueeze(1), theirs)[:, 0], rtol=0, atol=TOLERANCE)
    assert mine.lengths == theirs.lengths


@settings(deadline=None, max_examples=30)
@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=20), seed=st.integers(0, 2**31))
@torch.no_grad()
def test_a_step_gives_the_models_logits(lengths: list[int], seed: int) -> None:
    """Of one text, a few, and more than a few; of one length and of several; three steps on."""
    model = two_layers()
    torch.manual_seed(seed)
    assert_the_same(model, lengths, 3)


@torch.no_grad()
def test_a_step_is_taken_without_dropout_and_after_the_vocabulary_has_grown() -> None:
    torch.manual_seed(0)
    model = GPT(GPTConfig.named("tiny", n_ctx=64, n_embd=32, n_head=4, n_layer=2, dropout=0.5)).eval()
    model.grow(300, multiple_of=64)
    assert_the_same(model, [5, 3], 2)


@torch.no_grad()
def test_a_step_beyond_the_caches_edge_is_refused() -> None:
    model = two_layers()
    cache, _ = two_caches(model, [5], 5)
    with pytest.raises(ValueError, match="1 more do not fit"):
        Step(model)(torch.tensor([1]), cache)
