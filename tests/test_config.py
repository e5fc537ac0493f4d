"""A GPT-2's shape: the official numbers, and what is refused."""

import dataclasses
import math

import jaxtyping
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt import GPT, GPTConfig
from minigpt.config import SIZES

OFFICIAL = {
    "gpt2": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
}


@pytest.mark.parametrize("name", OFFICIAL)
def test_an_official_size_has_its_published_number_of_parameters(name: str) -> None:
    config = GPTConfig.named(name)
    assert config.parameter_count == OFFICIAL[name]
    assert (config.vocab_size, config.n_ctx, config.head_width, config.bos_token_id) == (50257, 1024, 64, 50256)


def test_the_shape_that_the_documents_call_1_5_billion_has_half_of_it() -> None:
    """36 layers, 1280 wide, 20 heads: that is GPT-2 large; the 1.5 billion are GPT-2 XL's 48 layers, 1600 wide."""
    large = GPTConfig(n_layer=36, n_embd=1280, n_head=20)
    assert large == GPTConfig.named("gpt2-large")
    assert large.parameter_count == 774_030_080


def test_tiny_has_about_a_million_parameters() -> None:
    assert 0.9e6 < GPTConfig.named("tiny").parameter_count < 1.1e6


@settings(max_examples=25)
@given(
    vocab_size=st.integers(1, 300), n_ctx=st.integers(1, 64), head_width=st.integers(1, 8),
    n_head=st.integers(1, 4), n_layer=st.integers(1, 3),
)  # fmt: skip
def test_the_formula_counts_what_the_model_holds(
    vocab_size: int, n_ctx: int, head_width: int, n_head: int, n_layer: int
) -> None:
    config = GPTConfig(vocab_size, n_ctx, head_width * n_head, n_head, n_layer)
    with torch.device("meta"):
        model = GPT(config)
    assert sum(p.numel() for p in model.parameters()) == config.parameter_count
    assert config.head_width == head_width


@pytest.mark.parametrize("name", ["vocab_size", "n_ctx", "n_embd", "n_head", "n_layer"])
@pytest.mark.parametrize("value", [0, -1, 2.0, "2", None, True])
def test_a_size_that_is_no_positive_whole_number_is_refused_by_name(
    name: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A config.json can hold any type, and nobody checks annotations outside of the tests."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ValueError, match=rf"^{name} is {value!r}; it must be a whole number of at least 1\.$"):
        GPTConfig(**{name: value})


def test_heads_that_cannot_share_the_channels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"n_embd is 768 and n_head is 7; the heads must share the channels evenly\."):
        GPTConfig(n_head=7)


@pytest.mark.parametrize("value", [-0.1, 1.0, 1.5, math.nan])
def test_a_dropout_that_is_no_share_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"dropout is .*; it must be at least 0 and below 1\."):
        GPTConfig(dropout=value)


@pytest.mark.parametrize("value", [0.0, -1e-5, math.nan])
def test_an_epsilon_that_does_not_keep_the_root_from_0_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"layer_norm_epsilon is .*; it must be above 0\."):
        GPTConfig(layer_norm_epsilon=value)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"There is no size called 'gpt3'; the sizes are gpt2, .*, tiny\."):
        GPTConfig.named("gpt3")


def test_single_fields_of_a_named_size_can_be_changed_and_the_size_stays() -> None:
    before = {name: dict(values) for name, values in SIZES.items()}
    config = GPTConfig.named("gpt2-xl", n_layer=2, dropout=0.1)
    assert config == dataclasses.replace(GPTConfig.named("gpt2-xl"), n_layer=2, dropout=0.1)
    assert before == SIZES


def test_a_config_cannot_be_changed_behind_a_model_s_back() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        GPTConfig().n_layer = 3
