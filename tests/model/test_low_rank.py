"""y = x W + b + (alpha / r) (x A) B: beside frozen weights, little is learned."""

import copy
import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from minigpt import GPT, generate
from minigpt.learn.loss import head_nll_fast
from minigpt.learn.optimizer import AdamW, decay_groups
from minigpt.learn.trainer import Recipe, Trainer
from minigpt.model.linear import Linear
from minigpt.model.low_rank import MAPS, GrownEmbedding, LowRankLinear, adapt, is_adapted, merge
from minigpt.run.start import grow_vocabulary
from minigpt.text.examples import Example
from tests.conftest import two_layers

IDS = torch.arange(60).view(2, 30) * 4 % 260


def randomized(model: GPT, scale: float = 0.1) -> GPT:
    """As if it had learned: every number that is not frozen is moved."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(scale * torch.randn_like(parameter))
    return model


def adapted(rank: int = 3, alpha: float = 7.0, new: int = 0, padding: int = 0) -> GPT:
    torch.manual_seed(0)
    return adapt(two_layers(), rank, alpha, new, padding)


@pytest.fixture(params=["explicit", "fast"])
def is_explicit(request: pytest.FixtureRequest) -> bool:
    return request.param == "explicit"


@settings(max_examples=20)
@given(
    n_in=st.integers(1, 5), n_out=st.integers(1, 5), rank=st.integers(1, 3), alpha=st.floats(0.1, 20),
    batch=st.lists(st.integers(0, 3), max_size=2), seed=st.integers(0, 2**31),
)  # fmt: skip
def test_the_formula_is_a_slow_loop_over_inputs_ranks_and_outputs(n_in, n_out, rank, alpha, batch, seed) -> None:
    torch.manual_seed(seed)
    whole = Linear(n_in, n_out).double()
    nn.init.normal_(whole.weight)
    nn.init.normal_(whole.bias)
    layer = LowRankLinear(whole, rank, alpha)
    nn.init.normal_(layer.B)
    x = torch.randn(*batch, n_in, dtype=torch.float64)
    W, b, A, B = (tensor.tolist() for tensor in (layer.weight, layer.bias, layer.A, layer.B))
    slow = []
    for row in x.reshape(-1, n_in).tolist():
        narrow = [sum(row[i] * A[i][k] for i in range(n_in)) for k in range(rank)]
        for o in range(n_out):
            change = sum(narrow[k] * B[k][o] for k in range(rank))
            slow.append(sum(row[i] * W[i][o] for i in range(n_in)) + b[o] + alpha / rank * change)
    with torch.no_grad():
        torch.testing.assert_close(layer(x).flatten().tolist(), slow, rtol=1e-12, atol=1e-11)
        wide = x.reshape(-1, n_in) @ layer.merged() + layer.bias
        torch.testing.assert_close(wide.flatten().tolist(), slow, rtol=1e-12, atol=1e-11)


def test_the_change_starts_at_zero_and_the_first_logits_are_the_models_to_the_byte(is_explicit: bool) -> None:
    model = two_layers().explicit(is_explicit)
    with torch.no_grad():
        before = model(IDS)
        adapt(model, rank=3, alpha=7.0, new_rows=2, padding=1)
        assert torch.equal(model(IDS), before)
        assert torch.equal(merge(model)(IDS), before)
        assert not torch.equal(randomized(model)(IDS), before)


def test_a_starts_uniform_within_one_over_the_root_of_its_inputs_and_follows_the_seed() -> None:
    layers = [module for module in adapted(rank=16).modules() if isinstance(module, LowRankLinear)]
    for layer in layers:
        bound = 1 / math.sqrt(len(layer.A))
        assert bound * 0.95 < layer.A.abs().max() <= bound
        assert layer.A.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.15)
    again = [module for module in adapted(rank=16).modules() if isinstance(module, LowRankLinear)]
    assert all(torch.equal(one.A, other.A) for one, other in zip(layers, again, strict=True))
    assert len({layer.A.sum().item() for layer in layers}) == len(layers) == 4 * 2


def test_what_is_learned_is_16_r_c_a_block_and_the_rows_of_new_tokens(is_explicit: bool) -> None:
    """A row of a token that is not new, or of none, never moves, nor does any weight of the model that was adapted."""
    model = adapted(rank=3, new=2, padding=1).explicit(is_explicit)
    C, L = model.config.n_embd, model.config.n_layer
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 16 * 3 * C * L + 2 * C
    before = copy.deepcopy(model.state_dict())
    rows = [Example(list(range(k, 259, 9)), [True] * len(range(k, 259, 9)), "row") for k in range(4)]
    trainer = Trainer(model, rows, Recipe(5, 4, 2, lr=1e-2, warmup_steps=1))
    for _ in range(5):
        trainer.train_step()
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    wanted = {f"h.{i}.{name}.{own}" for i in range(L) for name in MAPS for own in "AB"} | {"wte.new"}
    assert moved == wanted
    E, E_before = model.wte.weight, torch.cat([before["wte.old"][:257], before["wte.new"], before["wte.old"][257:]])
    assert (E_before != E).any(1).nonzero().flatten().tolist() == [257, 258]


@pytest.mark.parametrize(("new", "padding"), [(0, 0), (1, 0), (3, 2), (260, 0)])
def test_the_table_keeps_its_order_and_the_head_is_tied_to_it(new: int, padding: int) -> None:
    plain, model = two_layers(), adapted(new=new, padding=padding)
    assert torch.equal(model.wte.weight, plain.wte.weight)
    assert isinstance(model.wte, GrownEmbedding) == bool(new)
    if new:
        with torch.no_grad():
            model.wte.new[0] += 1.0
        changed = 260 - padding - new
        with torch.no_grad():
            hidden = model.hidden(IDS % changed if changed else IDS)
            z = hidden @ model.wte.weight.t()
            torch.testing.assert_close(model.logits(hidden), z)
            assert torch.equal(model.wte(torch.tensor([[changed]]))[0, 0], model.wte.new[0])


def test_rows_that_start_from_the_same_mean_are_told_apart_once_they_are_learned() -> None:
    model = two_layers()
    grow_vocabulary(model, 263, multiple_of=64)
    adapt(model, 2, 4.0, new_rows=3, padding=model.config.n_padding_rows)
    hidden = torch.randn(1, model.config.n_embd)
    assert model.logits(hidden)[0, 260:263].unique().numel() == 1
    nll = -model.logits(hidden).log_softmax(-1)[0, 261]
    nll.backward()
    gradient = model.wte.new.grad
    assert torch.equal(gradient[0], gradient[2])
    assert not torch.allclose(gradient[0], gradient[1])


def test_a_merged_model_is_plain_and_computes_the_same_within_rounding(is_explicit: bool) -> None:
    model = randomized(adapted(new=2, padding=1)).explicit(is_explicit)
    plain = merge(model)
    assert is_adapted(model)
    assert not is_adapted(plain)
    assert plain.state_dict().keys() == two_layers().state_dict().keys()
    assert (plain.is_explicit, plain.training, plain.config) == (is_explicit, False, model.config)
    with torch.no_grad():
        found, wanted = plain(IDS), model(IDS)
    print(f"largest difference of a logit {(found - wanted).abs().max():.1e} of {wanted.abs().max():.1f}")
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    assert generate(model, [1, 2, 3], 20, temperature=0.0) == generate(plain, [1, 2, 3], 20, temperature=0.0)


def test_a_merged_model_shares_what_is_not_adapted_and_a_plain_one_is_itself() -> None:
    model = adapted()
    plain = merge(model)
    theirs = dict(model.named_parameters())
    for name, parameter in plain.named_parameters():
        is_map = name.split(".", 2)[-1].removesuffix(".weight") in MAPS
        assert (parameter.data_ptr() == theirs[name].data_ptr()) != is_map, name
    assert merge(plain) is plain


def test_merging_leaves_the_adapted_model_as_it_was() -> None:
    model = randomized(adapted(new=2))
    before, learned = copy.deepcopy(model.state_dict()), [p.requires_grad for p in model.parameters()]
    with torch.no_grad():
        for parameter in merge(model).h.parameters():
            if parameter.dim() == 2:
                parameter.add_(1.0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert [p.requires_grad for p in model.parameters()] == learned  # or all of it would be learned from here on


def test_the_transpose_of_a_square_map_raises_nothing_and_only_the_logits_tell() -> None:
    """attn.c_proj is (C, C): a change that is added transposed has its shape."""
    model = randomized(adapted())
    wrong = merge(model)
    layer = model.h[0].attn.c_proj
    with torch.no_grad():
        wrong.h[0].attn.c_proj.weight.copy_(layer.weight + layer.scale * (layer.A @ layer.B).t())
        difference = (wrong(IDS) - model(IDS)).abs().max()
    assert difference > 1e-2


def test_shapes_alone_can_be_adapted_and_filled_later() -> None:
    model = randomized(adapted(new=2, padding=1))
    with torch.device("meta"):
        shapes = adapt(GPT(model.config), 3, 7.0, new_rows=2, padding=1)
    assert {name: p.requires_grad for name, p in shapes.named_parameters()} == {
        name: p.requires_grad for name, p in model.named_parameters()
    }
    shapes.load_state_dict(model.state_dict(), assign=True)
    assert torch.equal(shapes.eval()(IDS), model(IDS))
    assert torch.equal(copy.deepcopy(model)(IDS), model(IDS))


def test_only_what_is_learned_is_in_a_group_and_the_low_rank_matrices_decay() -> None:
    model = adapted(new=2)
    names = {id(p): name for name, p in model.named_parameters()}
    decayed, kept = ([names[id(p)] for p in group["params"]] for group in decay_groups(model, 0.1))
    assert sorted(decayed) == sorted(f"h.{i}.{name}.{own}" for i in range(2) for name in MAPS for own in "AB")
    assert kept == ["wte.new"]
    AdamW(decay_groups(adapted(), 0.1))  # a group may be empty


def test_with_products_in_bfloat16_what_is_learned_and_its_gradients_stay_float32(is_explicit: bool) -> None:
    losses = {}
    for dtype in ("float32", "bfloat16"):
        model = randomized(adapted(new=2)).explicit(is_explicit)
        rows = [Example(list(range(30)), [False] * 10 + [True] * 20, "row")] * 2
        trainer = Trainer(model, rows, Recipe(3, 2, 2, lr=1e-3, warmup_steps=1, dtype=dtype))
        losses[dtype] = trainer.gradients(rows)[0]
        learned = [p for p in model.parameters() if p.requires_grad]
        assert {p.grad.dtype for p in learned} == {torch.float32}
        assert all(p.grad.abs().max() > 0 for p in learned)
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=2e-2)
    assert losses["bfloat16"] != losses["float32"]


@pytest.mark.fast_form
def test_a_frozen_embedding_costs_the_head_no_gradient() -> None:
    torch.manual_seed(0)
    h, E, y = torch.randn(6, 4, requires_grad=True), torch.randn(9, 4), torch.randint(9, (6,))
    form = partial(head_nll_fast, targets=y)
    (found,) = torch.autograd.grad(form(h, E), h)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.shape) or x, lambda x: x):
        form(h, E)
    assert kept == [h.shape]
    (wanted,) = torch.autograd.grad(form(h, E.requires_grad_()), h)
    assert torch.equal(found, wanted)
