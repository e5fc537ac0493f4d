"""With the cache, the same logits as without; and what it refuses."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from minigpt import GPT
from minigpt.model.cache import Cache

TOLERANCE = 1e-5  # float32: a chunk's matrix products round otherwise than the whole's


def random_ids(model: GPT, B: int, T: int, seed: int = 0) -> Tensor:
    return torch.randint(model.config.vocab_size, (B, T), generator=torch.Generator().manual_seed(seed))


def new_cache(model: GPT, B: int, capacity: int = 64) -> Cache:
    return Cache(model.config, B, capacity, model.device)


def in_chunks(model: GPT, ids: Tensor, chunks: list[int], cache: Cache) -> Tensor:
    return torch.cat([model(part, cache=cache) for part in ids.split(chunks, dim=1)], dim=1)


def assert_same_logits(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max().item() <= TOLERANCE


@settings(max_examples=30)
@given(chunks=st.lists(st.integers(1, 6), min_size=1, max_size=8), B=st.integers(1, 3), seed=st.integers(0, 2**31))
@torch.no_grad()
def test_any_chunks_of_a_batch_give_the_logits_of_the_whole(model: GPT, chunks: list[int], B: int, seed: int) -> None:
    """[1] is a prompt of one token; [6, 1, 1] is generation."""
    ids = random_ids(model, B, sum(chunks), seed)
    assert_same_logits(in_chunks(model, ids, chunks, new_cache(model, B)), model(ids))


@pytest.mark.parametrize("chunks", [[64], [1] * 64, [63, 1], [1, 63], [32, 32]])
@torch.no_grad()
def test_the_context_can_be_filled_to_its_edge_and_no_further(model: GPT, chunks: list[int]) -> None:
    ids, cache = random_ids(model, 2, 64), new_cache(model, 2)
    assert_same_logits(in_chunks(model, ids, chunks, cache), model(ids))
    with pytest.raises(ValueError, match=r"The cache holds 64 of 64 positions; 1 more do not fit\."):
        model(ids[:, :1], cache=cache)


@settings(max_examples=30)
@given(
    prompts=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    chunks=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    seed=st.integers(0, 2**31),
)
@torch.no_grad()
def test_a_prompt_among_longer_ones_goes_on_as_it_would_alone(
    model: GPT, prompts: list[int], chunks: list[int], seed: int
) -> None:
    """Right-padded together, then trimmed to their lengths: the padding is never seen and no position moves."""
    B, T, more = len(prompts), max(prompts), sum(chunks)
    padded, rest = random_ids(model, B, T, seed), random_ids(model, B, more, seed + 1)
    cache = new_cache(model, B)
    start = model(padded, cache=cache)
    cache.trim(prompts)
    continued = in_chunks(model, rest, chunks, cache)
    for b, length in enumerate(prompts):
        alone = model(torch.cat([padded[b : b + 1, :length], rest[b : b + 1]], dim=1))
        assert_same_logits(start[b : b + 1, :length], alone[:, :length])
        assert_same_logits(continued[b : b + 1], alone[:, length:])


@settings(max_examples=20)
@given(
    prompts=st.lists(st.integers(1, 9), min_size=4, max_size=4),
    rows=st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True),
)
@torch.no_grad()
def test_the_rows_that_stay_go_on_as_if_the_others_had_never_been(
    model: GPT, prompts: list[int], rows: list[int]
) -> None:
    padded, rest = random_ids(model, 4, max(prompts)), random_ids(model, len(rows), 2, seed=1)
    cache = new_cache(model, 4)
    model(padded, cache=cache)
    cache.trim(prompts)
    cache.select_rows(rows)
    continued = in_chunks(model, rest, [1, 1], cache)
    for i, row in enumerate(rows):
        alone = model(torch.cat([padded[row : row + 1, : prompts[row]], rest[i : i + 1]], dim=1))
        assert_same_logits(continued[i : i + 1], alone[:, -2:])


@torch.no_grad()
def test_trimming_takes_back_what_was_read(model: GPT) -> None:
    ids, other = random_ids(model, 1, 10), random_ids(model, 1, 10, seed=1)
    cache = new_cache(model, 1, capacity=12)
    model(torch.cat([ids[:, :4], other[:, :6]], dim=1), cache=cache)
    cache.trim([4])
    assert_same_logits(model(ids[:, 4:], cache=cache), model(ids)[:, 4:])


@torch.no_grad()
def test_a_refused_chunk_leaves_the_cache_as_it_was(model: GPT) -> None:
    ids, cache = random_ids(model, 1, 8), new_cache(model, 1, capacity=8)
    start = model(ids[:, :6], cache=cache)
    with pytest.raises(ValueError, match=r"The cache holds 6 of 8 positions; 3 more do not fit\."):
        model(ids[:, :3], cache=cache)
    with pytest.raises(ValueError, match="outside the vocabulary"):
        model(torch.tensor([[260]]), cache=cache)
    assert_same_logits(torch.cat([start, model(ids[:, 6:], cache=cache)], dim=1), model(ids))


@torch.no_grad()
def test_the_last_position_alone_can_be_asked_for(model: GPT) -> None:
    ids, cache = random_ids(model, 2, 9), new_cache(model, 2)
    model(ids[:, :4], cache=cache)
    at = torch.zeros(2, 5, dtype=torch.bool)
    at[:, -1] = True
    assert_same_logits(model.logits(model.hidden(ids[:, 4:], cache=cache, at=at)), model(ids)[:, -1])


@pytest.mark.parametrize("capacity", [0, -1, 65])
def test_a_capacity_that_the_model_has_no_positions_for_is_refused(model: GPT, capacity: int) -> None:
    with pytest.raises(ValueError, match=rf"A cache cannot have {capacity} positions; this model allows 1 to 64\."):
        new_cache(model, 1, capacity)
