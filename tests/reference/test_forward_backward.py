"""Logits, gradients and ten steps of training beside transformers' GPT2LMHeadModel."""

import copy
import gc
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from minigpt import GPTConfig
from minigpt.learn.optimizer import AdamW, decay_groups
from tests.reference.pair import Pair, largest_difference, make_pair, next_token_loss, random_ids

GRADIENT = 1e-5  # norm of the difference over norm of the reference
LOSS = 1e-5
CASES = {
    # name: (config, noise, largest difference allowed in a logit: wider sums round more)
    "tiny": (GPTConfig.named("tiny"), 0.07, 1e-5),
    "gpt2": (GPTConfig.named("gpt2"), 0.02, 3e-5),
    "gpt2-medium-2-layers": (GPTConfig.named("gpt2-medium", n_layer=2), 0.02, 3e-5),
    "gpt2-large-2-layers": (GPTConfig.named("gpt2-large", n_layer=2), 0.02, 3e-5),
    "gpt2-xl-2-layers": (GPTConfig.named("gpt2-xl", n_layer=2), 0.02, 3e-5),
}


SLOW = [name for name in CASES if name != "tiny"]


def of(*names: str) -> list:
    """These cases; the tests of one stay in one process, so that its pair is made once."""
    group = pytest.mark.xdist_group
    return [pytest.param(n, marks=[group(n), pytest.mark.slow] if n in SLOW else [group(n)]) for n in names]


@pytest.fixture(scope="module", params=of(*CASES))
def case(request: pytest.FixtureRequest) -> Iterator[tuple[str, Pair]]:
    """One pair in memory at a time: pytest runs all tests of one before it makes the next."""
    config, noise, _ = CASES[request.param]
    yield request.param, make_pair(config, noise)
    gc.collect()


def test_logits_equal_the_reference(case: tuple[str, Pair]) -> None:
    name, (ours, theirs) = case
    ids = random_ids(ours.config, B=2, T=48)
    with torch.no_grad():
        expected = theirs(ids).logits
        assert 1.0 < expected.abs().max() < 20.0
        for explicit in (True, False):
            difference = largest_difference(ours.explicit(explicit)(ids), expected)
            print(f"{name}, {form(explicit)}: largest difference of a logit {difference:.2e}")
            assert difference <= CASES[name][2]


def test_every_gradient_equals_the_reference(case: tuple[str, Pair]) -> None:
    """A key bias moves no softmax, so its gradient is rounding alone; it is a third of c_attn.bias, compared whole."""
    name, (ours, theirs) = case
    ids = random_ids(ours.config, B=2, T=32)
    names, parameters = zip(*theirs.transformer.named_parameters(), strict=True)
    assert list(names) == [name for name, _ in ours.named_parameters()]
    expected = torch.autograd.grad(next_token_loss(theirs(ids).logits, ids), parameters)
    for explicit in (True, False):
        gradients = torch.autograd.grad(next_token_loss(ours.explicit(explicit)(ids), ids), list(ours.parameters()))
        relative = {n: ((g - e).norm() / e.norm()).item() for n, g, e in zip(names, gradients, expected, strict=True)}
        worst = max(relative, key=relative.__getitem__)
        print(f"{name}, {form(explicit)}: largest relative difference of a gradient {relative[worst]:.2e}, in {worst}")
        assert relative[worst] <= GRADIENT


def form(explicit: bool) -> str:
    return "explicit" if explicit else "fast"


def ten_losses(
    model: nn.Module, optimizer: Callable[..., torch.optim.Optimizer], logits: Callable[[nn.Module, Tensor], Tensor]
) -> list[float]:
    """A copy of the model trains, so that the pair stays as it is; only one copy is in memory at a time."""
    model = copy.deepcopy(model)
    body = getattr(model, "transformer", model)
    steps = optimizer(decay_groups(body, weight_decay=0.1), lr=3e-4, betas=(0.9, 0.95), eps=1e-8)
    losses = []
    for step in range(10):
        ids = random_ids(model.config, B=2, T=16, seed=step)
        loss = next_token_loss(logits(model, ids), ids)
        losses.append(loss.item())
        steps.zero_grad()
        loss.backward()
        steps.step()
    return losses


@pytest.mark.parametrize("case", of("tiny", "gpt2"), indirect=True)
def test_ten_steps_of_training_give_the_losses_of_the_reference(case: tuple[str, Pair]) -> None:
    """The official size with its fast forms, tiny in both; one run of the reference serves for both."""
    name, (ours, theirs) = case
    fused = name == "gpt2"  # torch's, which takes a third of the time there
    expected = ten_losses(theirs, partial(torch.optim.AdamW, fused=fused), lambda model, ids: model(ids).logits)
    difference = 0.0
    for explicit in (True, False) if name == "tiny" else (False,):
        ours.explicit(explicit)
        losses = ten_losses(ours, partial(AdamW, explicit=explicit), lambda model, ids: model(ids))
        difference = max(difference, *(abs(a - b) for a, b in zip(losses, expected, strict=True)))
    print(f"{name}: largest difference of ten losses {difference:.2e}; the losses {losses[0]:.3f} to {losses[-1]:.3f}")
    assert len(set(losses)) == 10
    assert difference <= LOSS


def test_every_layer_equals_the_reference(case: tuple[str, Pair]) -> None:
    """Where the first difference would stand; relative to the layer's largest value, as the residual stream grows."""
    name, (ours, theirs) = case
    ids = random_ids(ours.config, B=1, T=16)
    seen: list[Tensor] = []
    hooks = [block.register_forward_hook(lambda _, __, output: seen.append(output)) for block in ours.h]
    with torch.no_grad():
        final = ours.hidden(ids)
        expected = theirs(ids, output_hidden_states=True).hidden_states[1:]
    for hook in hooks:
        hook.remove()
    differences = [
        largest_difference(a, b) / b.abs().max().item() for a, b in zip([*seen[:-1], final], expected, strict=True)
    ]
    print(f"{name}: largest relative difference after each layer {max(differences):.2e}")
    assert max(differences) <= 5e-6
