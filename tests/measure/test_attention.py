"""attention_weights: the weights that the model attends with, in either form."""

import pytest
import torch
from torch import Tensor

from minigpt import GPT, GPTConfig, attention_weights
from minigpt.model.attention import attend, attend_fast, split_heads

IDS = torch.randint(260, (2, 13), generator=torch.Generator().manual_seed(0))
FORMS = pytest.mark.parametrize("explicit", [True, False], ids=["explicit", "fast"])


@FORMS
def test_rows_add_up_to_1_and_nothing_is_taken_from_later_positions(small_model: GPT, explicit: bool) -> None:
    layers = attention_weights(small_model.explicit(explicit), IDS)
    assert [tuple(weights.shape) for weights in layers] == [(2, 4, 13, 13)] * 2
    for weights in layers:
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4, 13), rtol=0, atol=1e-6)
        assert (weights.triu(1) == 0).all()
        assert (weights.tril() >= 0).all()


@FORMS
def test_the_weighted_mean_of_the_values_is_what_attention_gives(small_model: GPT, explicit: bool) -> None:
    """13 positions and 8 channels a head: the weights come in two parts, the second one not full."""
    small_model.explicit(explicit)
    seen: list[Tensor] = []
    hooks = [block.attn.c_attn.register_forward_hook(lambda _, __, qkv: seen.append(qkv)) for block in small_model.h]
    small_model.hidden(IDS)
    for hook in hooks:
        hook.remove()
    for weights, qkv in zip(attention_weights(small_model, IDS), seen, strict=True):
        q, k, v = split_heads(qkv, 4)
        for form in (attend, attend_fast):
            torch.testing.assert_close(weights @ v, form(q, k, v), rtol=1e-5, atol=1e-6)


def test_the_model_is_left_as_it_was() -> None:
    torch.manual_seed(0)
    model = GPT(GPTConfig.named("tiny", n_embd=16, n_head=2, dropout=0.5)).train()
    first, second = attention_weights(model, IDS), attention_weights(model, IDS)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True)), "without dropout"
    assert model.training
    assert not any(block.attn.c_attn._forward_hooks for block in model.h)
    with pytest.raises(ValueError, match="do not fit"):
        attention_weights(model, torch.zeros(1, 513, dtype=torch.int64))
    assert not any(block.attn.c_attn._forward_hooks for block in model.h)


def test_a_model_that_compares_nothing_looks_everywhere_alike() -> None:
    """All scores 0: position t takes 1/t from each."""
    model = GPT(GPTConfig.named("tiny", n_embd=16, n_head=2))
    with torch.no_grad():
        for block in model.h:
            block.attn.c_attn.weight.zero_()
    for weights in attention_weights(model, IDS):
        expected = torch.ones(13, 13).tril() / torch.arange(1, 14).unsqueeze(1)
        torch.testing.assert_close(weights, expected.expand_as(weights))
