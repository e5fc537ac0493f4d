"""Eq 16.5: what rounding may cost, what it must leave alone, and that the weights really are lighter."""

import copy
from unittest.mock import patch

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minigpt import GPT, GPTConfig, generate
from minigpt.model import light as module
from minigpt.model.cache import Cache
from minigpt.model.light import LARGEST, LightLinear, light, light_fast, lighten, rounded
from minigpt.model.linear import Linear
from minigpt.model.low_rank import adapt, merge
from minigpt.sample.generation import generate_batch
from minigpt.sample.sampling import GREEDY
from tests.conftest import two_layers

LIGHT = ("bfloat16", "int8")
ROUNDING = 2e-5  # of s: the quotient w / s is itself a float32


def relative(found: torch.Tensor, exact: torch.Tensor) -> float:
    return float((found - exact).norm() / exact.norm())


@settings(max_examples=200)
@example(W=[[190 * 2.0**-149, 0.0, 1.0]], scale=1.0)  # 190 of float32's smallest unit: s would be 1 of them
@given(
    W=st.lists(st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=3, max_size=3), min_size=1, max_size=6),
    scale=st.sampled_from([1.0, 1e-30, 1e-38]),
)
def test_a_weight_is_off_by_half_a_unit_at_most_and_zeros_stay_zeros(W: list[list[float]], scale: float) -> None:
    """Down to numbers that float32 holds with fewer digits."""
    W = torch.tensor(W) * scale
    q, s = rounded(W, "int8")
    assert q.dtype == torch.int8
    assert q.shape == (3, len(W))  # an output's weights are next to each other
    assert q.is_contiguous()
    assert q.int().abs().max() <= LARGEST
    error = (W.double() - (s.unsqueeze(-1) * q.double()).t()).abs()
    assert (error <= s.double() * (0.5 + ROUNDING)).all()
    zeros = (W == 0).all(0)
    assert (s[zeros] == 1).all()
    assert (q[zeros] == 0).all()


def test_each_output_uses_all_of_its_eight_bits() -> None:
    W = torch.tensor([[1.0, 1e-3, -5.0], [-0.5, 1e-5, 2.0]])
    q, _ = rounded(W, "int8")
    assert q.tolist() == [[127, -64], [127, 1], [-127, 51]]


@pytest.mark.parametrize("kernel", [True, False], ids=["integers", "widened"])
@settings(max_examples=40)
@given(
    rows=st.integers(0, 40),
    n_in=st.integers(1, 40),
    n_out=st.integers(1, 20),
    outlier=st.sampled_from([1.0, 1e4]),
    size=st.sampled_from([0.0, 1e-20, 1.0, 1e10]),
)
def test_the_fast_form_differs_by_the_rounding_of_its_own_input(
    kernel: bool, rows: int, n_in: int, n_out: int, outlier: float, size: float
) -> None:
    """At most s_x / 508 a channel, s_x the largest of them over 127; nothing where q is widened."""
    generator = torch.Generator().manual_seed(rows)
    x, W = (torch.randn(shape, generator=generator) for shape in ((rows, n_in), (n_in, n_out)))
    x[:, 0] *= outlier
    x *= size
    b = torch.randn(n_out, generator=generator)
    q, s = rounded(W, "int8")
    wide = q.double() * s.double().unsqueeze(-1)
    exact = x.double() @ wide.t() + b
    largest, weights = x.double().abs().amax(-1, keepdim=True), wide.abs().sum(-1)
    bound = 1e-6 * (x.double().abs() @ wide.abs().t() + b.abs())
    assert (light(x, q, s, b).double().sub(exact).abs() <= bound).all()
    with patch.object(module, "HAS_KERNEL", kernel), patch.object(module, "BLOCK", 100):
        error = light_fast(x, q, s, b).double().sub(exact).abs()
    assert (error <= bound + kernel * largest / LARGEST / (4 * LARGEST) * weights * 1.001).all()


def test_one_rounding_of_the_input_would_lose_what_an_outlier_leaves_over() -> None:
    """The near miss: GPT-2's activations have single channels hundreds of times the others."""
    torch.manual_seed(0)
    x, W = torch.randn(1, 256), torch.randn(256, 64)
    x[0, 0], W[0] = 300.0, 0.0
    q, s = rounded(W, "int8")
    unit = x.abs().max() / LARGEST
    once = light(torch.round(x / unit) * unit, q, s)
    assert relative(once, light(x, q, s)) > 0.2
    with patch.object(module, "HAS_KERNEL", True):
        assert relative(light_fast(x, q, s), light(x, q, s)) < 5e-3


@pytest.mark.parametrize(("weights", "seen", "most"), [("int8", 0.0077, 0.01), ("bfloat16", 0.0017, 0.003)])
@pytest.mark.parametrize("shape", [(768, 2304), (3072, 768)], ids=str)
def test_a_product_of_the_smallest_gpt2_is_off_by_less_than_a_hundredth(
    shape: tuple[int, int], weights: str, seen: float, most: float
) -> None:
    torch.manual_seed(0)
    x, W = torch.randn(4, shape[0]), 0.02 * torch.randn(shape)
    error = relative(light(x, *rounded(W, weights)), x @ W)
    assert seen / 2 < error < most


@pytest.mark.parametrize(("weights", "most"), [("bfloat16", 0.506), ("int8", 0.258)])
def test_a_light_model_holds_half_or_a_quarter_of_the_bytes(weights: str, most: float) -> None:
    """Counted: tools that look for torch's own Linear find none in a GPT-2, and leave it as heavy as it was."""
    with torch.device("meta"):
        model = GPT(GPTConfig.named("gpt2"))
    lighter = lighten(model, weights)
    assert not [part for part in lighter.modules() if isinstance(part, Linear) and not isinstance(part, LightLinear)]
    bytes_held = [sum(tensor.nbytes for tensor in (*m.parameters(), *m.buffers())) for m in (model, lighter)]
    assert bytes_held[1] / bytes_held[0] < most
    narrow = {p.dtype for p in lighter.parameters()} - {torch.float32}
    assert narrow == {getattr(torch, weights)}
    matrices = [name for name, p in lighter.named_parameters() if p.dim() == 2 and p.dtype == torch.float32]
    assert matrices == ["wpe.weight"]


@pytest.mark.parametrize("weights", LIGHT)
def test_the_model_that_was_rounded_is_not_changed_and_not_copied(small_model: GPT, weights: str) -> None:
    before = copy.deepcopy(small_model.state_dict())
    lighter = lighten(small_model.train(), weights)
    assert all(torch.equal(small_model.state_dict()[name], tensor) for name, tensor in before.items())
    assert all(parameter.requires_grad for parameter in small_model.parameters())
    assert not any(parameter.requires_grad for parameter in lighter.parameters())
    assert not lighter.training
    kept = {p.data_ptr() for p in lighter.parameters() if p.dtype == torch.float32} - {0}
    shared = kept & {p.data_ptr() for p in small_model.parameters()}
    assert len(shared) == sum(p.dim() == 1 for p in small_model.parameters()) + 1  # biases, LayerNorms, and wpe
    assert lighten(small_model, "float32") is small_model


@pytest.mark.parametrize("explicit", [True, False], ids=["explicit", "fast"])
@pytest.mark.parametrize("weights", LIGHT)
@torch.no_grad()
def test_a_light_model_is_the_model_with_its_weights_rounded(model: GPT, weights: str, explicit: bool) -> None:
    """Every map and both uses of the table, by a plain model whose weights are s q in float32."""
    lighter, plain = lighten(model, weights).explicit(explicit), copy.deepcopy(model)
    for name, parameter in plain.named_parameters():
        if parameter.dim() == 2 and name != "wpe.weight":
            W = parameter.t() if name == "wte.weight" else parameter
            q, s = rounded(W, weights)
            W.copy_((q.float() * s.unsqueeze(-1)).t())
    ids = torch.randint(model.config.vocab_size, (3, 20), generator=torch.Generator().manual_seed(0))
    expected = plain(ids)
    assert relative(lighter(ids), expected) < (1e-6 if explicit else 3e-4)
    assert relative(model(ids), expected) > 1e-4
    torch.testing.assert_close(lighter.wte(ids), plain.wte(ids), rtol=0, atol=0)
    hidden = torch.randn(2, 3, model.config.n_embd)
    torch.testing.assert_close(lighter.logits(hidden)[1, 2], lighter.logits(hidden[1, 2]), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_an_adapter_is_merged_before_the_weights_are_rounded(small_model: GPT) -> None:
    """Rounding W alone would lose all that the adapter learned."""
    ids = torch.arange(20).unsqueeze(0)
    adapted = adapt(small_model, 2, 4.0)
    for block in adapted.h:
        torch.nn.init.normal_(block.mlp.c_fc.B)
    assert relative(lighten(adapted, "int8")(ids), adapted(ids)) < 0.05
    assert torch.equal(lighten(adapted, "int8")(ids), lighten(merge(adapted), "int8")(ids))


@pytest.mark.parametrize("weights", LIGHT)
@torch.no_grad()
def test_keys_and_values_stay_float32_and_a_text_goes_on_as_without_them(model: GPT, weights: str) -> None:
    lighter = lighten(model, weights)
    prompts = [[1, 2, 3], [4], [5, 6]]
    alone = []
    for prompt in prompts:
        ids = list(prompt)
        for _ in range(8):
            ids.append(int(lighter(torch.tensor([ids]))[0, -1, : model.config.tokens].argmax()))
        alone.append(ids[len(prompt) :])
    with patch("minigpt.sample.generation.Cache", wraps=Cache) as cache:
        assert [generate(lighter, prompt, 8, temperature=0.0) for prompt in prompts] == alone
        assert generate_batch(lighter, prompts, 8, GREEDY) == alone
    assert {call.args[-1] for call in cache.call_args_list} == {torch.float32}


def test_a_light_model_is_not_saved(tmp_path) -> None:
    with pytest.raises(ValueError, match="A model with rounded weights is not saved"):
        lighten(two_layers(), "int8").save_pretrained(tmp_path)
    assert not [*tmp_path.iterdir()]
