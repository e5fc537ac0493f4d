"""Three mistakes that look right, each shown to be far outside of the tolerance that the comparisons keep."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.activations import ACT2FN

from minigpt import GPTConfig
from minigpt.model.attention import attend, attend_fast, causal_mask
from minigpt.model.layer_norm import layer_norm, layer_norm_fast
from minigpt.model.mlp import gelu, gelu_fast
from tests.reference.pair import Pair, largest_difference, make_pair, random_ids

LOGIT = 1e-5


def gelu_with_erf(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="none")


def attend_masking_after_softmax(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, dropout: float = 0.0
) -> Tensor:
    weights = torch.softmax(q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1]), dim=-1)
    return weights.masked_fill(~causal_mask(q.shape[-2], k.shape[-2]), 0.0) @ v


def layer_norm_with_unbiased_variance(x: Tensor, gain: Tensor, bias: Tensor, eps: float) -> Tensor:
    return (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, correction=1, keepdim=True) + eps) * gain + bias


MISTAKES = {
    "erf": ("minigpt.model.mlp.gelu", gelu_with_erf),
    "mask after softmax": ("minigpt.model.attention.attend", attend_masking_after_softmax),
    "unbiased variance": ("minigpt.model.layer_norm.layer_norm", layer_norm_with_unbiased_variance),
}


@pytest.fixture(scope="module")
def tiny() -> Pair:
    return make_pair(GPTConfig.named("tiny"), noise=0.07)


@pytest.mark.parametrize("explicit", [True, False], ids=["explicit", "fast"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_comparison_of_logits_sees_each_mistake(
    mistake: str, explicit: bool, tiny: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = random_ids(tiny.ours.config, B=2, T=48)
    with torch.no_grad():
        expected = tiny.theirs(ids).logits
        tiny.ours.explicit(explicit)
        assert largest_difference(tiny.ours(ids), expected) <= LOGIT
        place, wrong = MISTAKES[mistake]
        monkeypatch.setattr(place if explicit else f"{place}_fast", wrong)
        difference = largest_difference(tiny.ours(ids), expected)
    print(f"{mistake}: largest difference of a logit {difference:.2e}, {difference / LOGIT:.0f} times the tolerance")
    assert difference > 20 * LOGIT


def test_gelu_is_the_tanh_form_of_the_reference() -> None:
    """Up to 4.7e-4 lie between the two forms, near |x| = 2.7: a tolerance of 1e-3 would see nothing."""
    x = torch.linspace(-6.0, 6.0, 4801)
    expected = ACT2FN["gelu_new"](x)
    explicit, fast = largest_difference(gelu(x), expected), largest_difference(gelu_fast(x), expected)
    to_erf = (gelu_fast(x) - gelu_with_erf(x)).abs()
    print(f"gelu {explicit:.2e}, fast {fast:.2e}; to erf {to_erf.max():.2e} at |x| = {x[to_erf.argmax()].abs():.2f}")
    assert max(explicit, fast) <= 1e-6
    assert 4.6e-4 < to_erf.max() < 4.8e-4


def test_the_mask_stands_before_the_softmax() -> None:
    """With all values 1, each answer is the sum of the weights that are left after the mask: 1, not less."""
    q, k = torch.randn(2, 1, 2, 8, 4, generator=torch.Generator().manual_seed(0)).unbind()
    v = torch.ones(1, 2, 8, 4)
    masked_after = largest_difference(attend_masking_after_softmax(q, k, v), v)
    differences = {f.__name__: largest_difference(f(q, k, v), v) for f in (attend, attend_fast)}
    print(f"{differences}; masked after the softmax: {masked_after:.2e}")
    assert max(differences.values()) <= 1e-6
    assert masked_after > 0.5


def test_layer_norm_has_the_biased_variance() -> None:
    x, gain, bias = torch.randn(3, 64, 32, generator=torch.Generator().manual_seed(0)).unbind()
    gain, bias = gain[0], bias[0]
    expected = F.layer_norm(x, (32,), gain, bias, 1e-5)  # the reference's LayerNorm
    explicit = largest_difference(layer_norm(x, gain, bias, 1e-5), expected)
    fast = largest_difference(layer_norm_fast(x, gain, bias, 1e-5), expected)
    unbiased = largest_difference(layer_norm_with_unbiased_variance(x, gain, bias, 1e-5), expected)
    print(f"layer_norm {explicit:.2e}, fast {fast:.2e}; with the unbiased variance {unbiased:.2e}")
    assert max(explicit, fast) <= 2e-6
    assert unbiased > 1e-2
