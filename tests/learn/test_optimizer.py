"""Lesson 09: the optimizers against torch's, and against the documents' formulas written out."""

import copy
import inspect
import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from minigpt import GPT, GPTConfig
from minigpt.learn.optimizer import SGD, Adam, AdamW, adam, adam_fast, decay_groups

SHAPES = [(3, 4), (5,), (2, 2, 2)]
STEPS = 100


def random_tensors(seed: int, dtype: torch.dtype = torch.float32) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator, dtype=dtype)) for shape in SHAPES]


def run(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], first: int, last: int) -> None:
    """Steps `first` to `last`, each with its own random gradients, of sizes from 1e-3 to 10."""
    for step in range(first, last + 1):
        generator = torch.Generator().manual_seed(1000 + step)
        for p in parameters:
            size = 10.0 ** (4.0 * torch.rand(1, generator=generator).item() - 3.0)
            p.grad = size * torch.randn(p.shape, generator=generator, dtype=p.dtype)
        optimizer.step()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda p: SGD(p, lr=0.05), lambda p: torch.optim.SGD(p, lr=0.05)),
        (lambda p: Adam(p, lr=1e-2), lambda p: torch.optim.Adam(p, lr=1e-2)),
        (lambda p: Adam(p, lr=1e-2, explicit=False), lambda p: torch.optim.Adam(p, lr=1e-2)),
        (
            lambda p: Adam(p, lr=1e-2, betas=(0.8, 0.95), eps=1e-4),
            lambda p: torch.optim.Adam(p, lr=1e-2, betas=(0.8, 0.95), eps=1e-4),
        ),
        (lambda p: AdamW(p, lr=1e-2), lambda p: torch.optim.AdamW(p, lr=1e-2)),
        (lambda p: AdamW(p, lr=1e-2, explicit=False), lambda p: torch.optim.AdamW(p, lr=1e-2)),
        (
            lambda p: AdamW(p, lr=1e-2, betas=(0.9, 0.99), weight_decay=0.3),
            lambda p: torch.optim.AdamW(p, lr=1e-2, betas=(0.9, 0.99), weight_decay=0.3),
        ),
    ],
    ids=[
        "SGD",
        "Adam",
        "fast Adam",
        "Adam, other betas and eps",
        "AdamW",
        "fast AdamW",
        "AdamW, strong decay",
    ],
)
def test_a_hundred_steps_are_torchs(ours: Callable, theirs: Callable) -> None:
    mine, reference = random_tensors(0), random_tensors(0)
    run(ours(mine), mine, 1, STEPS)
    run(theirs(reference), reference, 1, STEPS)
    difference = max((a - b).abs().max().item() for a, b in zip(mine, reference, strict=True))
    print(f"largest difference {difference:.1e}")
    for a, b in zip(mine, reference, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


def test_the_documents_adam_is_its_formulas_one_number_at_a_time() -> None:
    parameters = random_tensors(0, torch.float64)
    theta = [number for p in parameters for number in p.flatten().tolist()]
    m, v = [0.0] * len(theta), [0.0] * len(theta)
    optimizer = Adam(parameters, lr=1e-2, bias_correction=False)
    for step in range(1, STEPS + 1):
        run(optimizer, parameters, step, step)
        for i, g in enumerate(number for p in parameters for number in p.grad.flatten().tolist()):
            m[i] = 0.9 * m[i] + (1 - 0.9) * g
            v[i] = 0.999 * v[i] + (1 - 0.999) * g**2
            theta[i] -= 1e-2 * m[i] / (math.sqrt(v[i]) + 1e-8)
    found = [number for p in parameters for number in p.flatten().tolist()]
    assert found == pytest.approx(theta, rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.8, 0.99)])
def test_the_documents_first_step_is_longer_by_what_the_correction_divides_by(betas: tuple[float, float]) -> None:
    moved = []
    for bias_correction in (False, True):
        p = nn.Parameter(torch.zeros(3, dtype=torch.float64))
        p.grad = torch.tensor([1.0, -20.0, 300.0], dtype=torch.float64)
        Adam([p], lr=1e-2, betas=betas, bias_correction=bias_correction).step()
        moved.append(p.detach())
    longer = (1 - betas[0]) / math.sqrt(1 - betas[1])
    assert (moved[0] / moved[1]).tolist() == pytest.approx([longer] * 3, rel=1e-6)
    assert moved[1].tolist() == pytest.approx([-1e-2, 1e-2, -1e-2], rel=1e-6)


@settings(max_examples=20)
@given(t=st.integers(1, 1000), scale=st.floats(1e-4, 1e2), seed=st.integers(0, 2**31))
def test_the_fast_update_equals_the_explicit_one(t: int, scale: float, seed: int) -> None:
    """Any step number, from any moments; in float64, so that only a wrong term can differ."""
    torch.manual_seed(seed)
    theta, g, m = (scale * torch.randn(5, dtype=torch.float64) for _ in range(3))
    tensors = theta, g, m, scale**2 * torch.rand(5, dtype=torch.float64)
    group = dict(lr=0.1, betas=(0.8, 0.95), eps=1e-4, bias_correction=True)
    mine, fast = ([tensor.clone() for tensor in tensors] for _ in range(2))
    adam(*mine, t, group)
    adam_fast(*([tensor] for tensor in fast), t, group)
    torch.testing.assert_close(fast, mine, rtol=1e-6, atol=0)


@pytest.mark.parametrize("make", [Adam, AdamW, partial(AdamW, explicit=False)])
def test_a_restored_state_goes_on_to_the_last_bit(make: type[Adam]) -> None:
    whole, halves = random_tensors(0), random_tensors(0)
    run(make(whole, lr=1e-2), whole, 1, 10)
    first = make(halves, lr=1e-2)
    run(first, halves, 1, 5)
    second = make(halves, lr=0.5)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    run(second, halves, 6, 10)
    for a, b in zip(whole, halves, strict=True):
        assert torch.equal(a, b)


def test_without_its_state_it_does_not_go_on_the_same() -> None:
    """What the test before relies on."""
    whole, halves = random_tensors(0), random_tensors(0)
    run(Adam(whole, lr=1e-2), whole, 1, 10)
    run(Adam(halves, lr=1e-2), halves, 1, 5)
    run(Adam(halves, lr=1e-2), halves, 6, 10)
    assert not torch.equal(whole[0], halves[0])


def test_a_parameter_without_a_gradient_stays_as_it_is() -> None:
    still, moving = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    moving.grad = torch.ones(2)
    AdamW([still, moving], lr=0.1, weight_decay=0.5).step()
    assert still.tolist() == [1.0, 1.0]
    assert (moving != 1.0).all()


def test_weight_decay_never_enters_the_moments() -> None:
    """With no gradient at all, a parameter shrinks by eta * weight_decay a step; torch.optim.Adam's would not."""
    p = nn.Parameter(torch.tensor([2.0, -3.0], dtype=torch.float64))
    optimizer = AdamW([p], lr=0.1, weight_decay=0.5)
    for _ in range(3):
        p.grad = torch.zeros_like(p)
        optimizer.step()
    assert p.tolist() == pytest.approx([2.0 * 0.95**3, -3.0 * 0.95**3], rel=1e-12)


@pytest.mark.parametrize("make", [SGD, Adam])
def test_a_closure_is_called_with_gradients_on_and_its_loss_returned(make: type[torch.optim.Optimizer]) -> None:
    p = nn.Parameter(torch.tensor([3.0]))
    optimizer = make([p], lr=0.1)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (p**2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 9.0
    assert p.item() < 3.0


def test_each_parameter_is_in_one_group_and_only_the_layers_matrices_decay() -> None:
    model = GPT(GPTConfig.named("tiny", n_ctx=16, n_embd=8, n_head=2, n_layer=2))
    name_of = {id(p): name for name, p in model.named_parameters()}
    decayed, kept = decay_groups(model, 0.1)
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.1, 0.0)
    names = [[name_of[id(p)] for p in group["params"]] for group in (decayed, kept)]
    assert sorted(names[0] + names[1]) == sorted(name_of.values())
    matrices = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    assert set(names[0]) == {f"h.{layer}.{matrix}.weight" for layer in range(2) for matrix in matrices}


@pytest.mark.parametrize(("ours", "theirs"), [(Adam, torch.optim.Adam), (AdamW, torch.optim.AdamW)])
def test_the_defaults_are_torchs(ours: type, theirs: type) -> None:
    wanted = inspect.signature(theirs).parameters
    given = inspect.signature(ours).parameters
    shared = [name for name in given if name in wanted and wanted[name].default is not inspect.Parameter.empty]
    assert set(shared) >= {"lr", "betas", "eps"}
    assert given["explicit"].default is True
    assert {name: given[name].default for name in shared} == {name: wanted[name].default for name in shared}


@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize("bias_correction", [True, False])
def test_the_kernel_runs_where_it_is_asked_for_and_has_the_form(
    explicit: bool, bias_correction: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []
    monkeypatch.setattr("minigpt.learn.optimizer.adam_fast", lambda *given: taken.append("kernel"))
    parameter = nn.Parameter(torch.ones(2))
    parameter.grad = torch.ones(2)
    Adam([parameter], bias_correction=bias_correction, explicit=explicit).step()
    assert taken == ["kernel"] * (not explicit and bias_correction)
    assert torch.equal(parameter.detach(), torch.ones(2)) == bool(taken)
