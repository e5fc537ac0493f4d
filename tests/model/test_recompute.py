"""--recompute: less is kept of a forward pass, and the same bytes are learned."""

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from minigpt import GPT, generate
from minigpt.learn.batches import collate
from minigpt.learn.trainer import precision, supervised_nll
from minigpt.model.low_rank import adapt
from minigpt.run.start import set_dropout
from minigpt.text.examples import Example


def learned(model: GPT, recompute: bool, dtype: str = "float32") -> list[Tensor]:
    """The loss of two ragged rows, and every gradient, all draws from one seed."""
    rows = [Example(list(range(n, 3 * n)), [False] * 5 + [True] * (2 * n - 5), f"row {n}") for n in (14, 9)]
    model.recompute = recompute
    model.train()
    torch.manual_seed(1)
    with precision(model, dtype):
        loss = supervised_nll(model, collate(rows, model.device))
        loss.backward()
    found = [loss.detach(), *(p.grad for p in model.parameters() if p.requires_grad)]
    model.zero_grad(set_to_none=True)
    return found


def counted(model: GPT, work: Callable[[], object]) -> list[int]:
    """How many times `work` runs each block."""
    runs = [0] * len(model.h)

    def count(i: int) -> Callable[..., None]:
        def hook(*_: object) -> None:
            runs[i] += 1

        return hook

    hooks = [block.register_forward_pre_hook(count(i)) for i, block in enumerate(model.h)]
    work()
    for hook in hooks:
        hook.remove()
    return runs


@pytest.mark.fast_form
@pytest.mark.parametrize("explicit", [True, False], ids=["explicit", "fast"])
@pytest.mark.parametrize("dropout", [0.0, 0.2])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_loss_and_every_gradient_are_the_same_bytes(
    small_model: GPT, explicit: bool, dropout: float, dtype: str
) -> None:
    set_dropout(small_model.explicit(explicit), dropout)
    kept, again = (learned(small_model, recompute, dtype) for recompute in (False, True))
    assert all(map(torch.equal, kept, again))


@pytest.mark.fast_form
def test_with_adapters_on_frozen_weights_the_bytes_are_the_same_too(small_model: GPT) -> None:
    """The kind of recomputing that is reentrant would lose every gradient: no input of the first block has one."""
    adapt(small_model, 4, 8.0)
    kept, again = (learned(small_model, recompute) for recompute in (False, True))
    assert len(kept) == 1 + 2 * 4 * len(small_model.h)
    assert all(map(torch.equal, kept, again))
    assert max(float(gradient.abs().max()) for gradient in again[1:]) > 0


COMPILED = """
import torch
from minigpt.model.low_rank import adapt
from minigpt.run.start import set_dropout
from tests.conftest import two_layers
from tests.model.test_recompute import learned
model = two_layers()
set_dropout(model.explicit(False), 0.2)
for block in model.h:
    block.compile(dynamic=True, backend="aot_eager")
assert all(map(torch.equal, learned(model, False), learned(model, True)))
"""


@pytest.mark.slow
def test_with_compiled_blocks_the_bytes_are_the_same_too() -> None:
    """Without the compiler's last stage, which takes a minute and needs C++; in a process without checked annotations,
    which cannot be traced."""
    subprocess.run([sys.executable, "-c", COMPILED], check=True)


def test_each_block_runs_twice_in_training_and_once_otherwise(small_model: GPT) -> None:
    small_model.recompute = True
    assert counted(small_model, lambda: learned(small_model, True)) == [2, 2]
    assert counted(small_model, lambda: learned(small_model, False)) == [1, 1]
    small_model.recompute = True
    once = counted(small_model, lambda: generate(small_model, [1, 2, 3], max_new_tokens=1))
    assert once == [1, 1]
