"""Lesson 10: how much memory a run needs, before it starts and when it was not enough."""

import sys
import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from minigpt import GPT, GPTConfig
from minigpt.errors import UserError
from minigpt.learn.batches import collate
from minigpt.learn.trainer import Recipe, Trainer, supervised_nll
from minigpt.measure.cost import activation_bytes, training_bytes
from minigpt.preference.pair_trainers import DPOTrainer, PairRows
from minigpt.preference.rewards import Prompt
from minigpt.preference.rl_trainer import RLTrainer
from minigpt.run import memory
from minigpt.text.examples import Example


def rows(n: int, T: int, learned: int) -> list[Example]:
    return [Example(list(range(T)), [False] * (T - learned) + [True] * learned, f"row {i}") for i in range(n)]


def kept_bytes(model: GPT, examples: list[Example]) -> int:
    """What autograd keeps of a forward pass, parameters aside."""
    parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        supervised_nll(model, collate(examples, model.device))
    return sum(kept.values())


@pytest.mark.fast_form
@pytest.mark.parametrize("change", [{}, {"n_layer": 6}, {"n_embd": 384}, {"n_head": 2}], ids=str)
@pytest.mark.parametrize("supervised", [99, 40])
@pytest.mark.parametrize("explicit", [True, False], ids=["explicit", "fast"])
def test_the_estimate_of_the_activations_is_what_autograd_keeps_and_little_more(
    change: dict, supervised: int, explicit: bool
) -> None:
    """The logits are there twice when the forward pass ends, and five times while their gradient is made; in chunks
    none of them is there any more, but the gradients are."""
    config = GPTConfig.named("tiny", **change)
    kept = kept_bytes(GPT(config).explicit(explicit), rows(8, 100, supervised))
    logits = 4 * 8 * supervised * config.vocab_size
    estimate = activation_bytes(config, 8, 99, 8 * supervised, explicit) - 3 * logits
    print(f"kept {kept:,}, estimated {estimate:,}: {estimate / kept:.2f} times")
    assert kept <= estimate < 1.35 * kept


class Peak(TorchDispatchMode):
    """The most bytes of tensors that exist at the same time, beside those that `held` already holds."""

    def __init__(self, held: list[torch.Tensor]) -> None:
        super().__init__()
        self.now = self.peak = sum(tensor.nbytes for tensor in held)
        self.known = {tensor.untyped_storage()._cdata for tensor in held}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        results = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(results):
            if isinstance(tensor, torch.Tensor) and (storage := tensor.untyped_storage())._cdata not in self.known:
                self.known.add(storage._cdata)
                self.now += storage.nbytes()
                weakref.finalize(storage, self.free, storage._cdata, storage.nbytes())
        self.peak = max(self.peak, self.now)
        return results

    def free(self, key: int, nbytes: int) -> None:
        self.known.remove(key)
        self.now -= nbytes


@pytest.mark.fast_form
@pytest.mark.parametrize("micro_batch_size", [1, 4])
@pytest.mark.parametrize("change", [{}, {"n_embd": 64}, {"vocab_size": 5000}], ids=str)
@pytest.mark.parametrize("explicit", [True, False], ids=["explicit", "fast"])
def test_the_estimate_is_the_peak_of_a_step(explicit: bool, change: dict, micro_batch_size: int) -> None:
    model = GPT(GPTConfig.named("tiny", **change)).explicit(explicit)
    recipe = Recipe(steps=2, batch_size=4, micro_batch_size=micro_batch_size, lr=1e-3, warmup_steps=0)
    trainer = Trainer(model, rows(4, 129, 129), recipe)
    trainer.train_step()  # makes the moments
    moments = [trainer.optimizer.state[p][name] for p in model.parameters() for name in "mv"]
    with Peak([*model.parameters(), *moments]) as measured:
        trainer.train_step()
    estimate = memory.estimate(trainer)
    print(f"peak {measured.peak:,}, estimated {estimate:,}: {estimate / measured.peak:.3f} times")
    assert 0.97 * measured.peak < estimate < 1.35 * measured.peak


def trainer(micro_batch_size: int = 2) -> Trainer:
    recipe = Recipe(steps=1, batch_size=4, micro_batch_size=micro_batch_size, lr=1e-3, warmup_steps=0)
    return Trainer(GPT(GPTConfig.named("tiny")), [*rows(3, 10, 2), *rows(2, 60, 5)], recipe)


def test_the_estimate_is_of_the_longest_rows_that_a_micro_batch_may_hold() -> None:
    config = GPTConfig.named("tiny")
    assert memory.estimate(trainer(2)) == training_bytes(config) + activation_bytes(config, 2, 59, 2 * 5, True)
    assert memory.estimate(trainer(1)) < memory.estimate(trainer(2)) < memory.estimate(trainer(4))


def test_a_row_for_which_a_micro_batch_has_no_room_is_estimated_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """It makes a micro-batch of its own, as it does at the official sizes."""
    config = GPTConfig.named("tiny")
    monkeypatch.setattr(memory, "room", lambda model: 10.0)
    assert memory.estimate(trainer(2)) == training_bytes(config) + activation_bytes(config, 1, 59, 5, True)


def test_a_run_that_cannot_fit_is_refused_before_it_starts_with_what_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    memory.check_memory(trainer())
    needed = memory.estimate(trainer())
    monkeypatch.setattr(memory, "device_bytes", lambda device: needed - 1)
    with pytest.raises(UserError, match=r"needs about 0\.0 GiB and the cpu has 0\.0 GiB") as caught:
        memory.check_memory(trainer())
    for option in ("--micro-batch-size", "--max-length", "--dtype", "--size"):
        assert option in str(caught.value)
    monkeypatch.setattr(memory, "device_bytes", lambda device: needed)
    memory.check_memory(trainer())


def test_memory_that_ran_out_is_a_sentence_and_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    told = memory.out_of_memory(caught.value, trainer())
    assert isinstance(told, UserError)
    assert "Memory ran out after step 0: the estimate was" in str(told)
    assert isinstance(memory.out_of_memory(torch.OutOfMemoryError("CUDA out of memory"), trainer()), UserError)
    assert isinstance(memory.out_of_memory(MemoryError(), trainer()), UserError)
    other = RuntimeError("shapes do not match")
    assert memory.out_of_memory(other, trainer()) is other


def test_this_machine_has_memory() -> None:
    assert 2**28 < memory.device_bytes(torch.device("cpu")) < 2**50


@pytest.mark.parametrize("failure", [OSError("no /proc"), NotImplementedError(), ImportError("libkvm"), RuntimeError()])
def test_a_system_that_does_not_say_how_much_memory_there_is_stops_no_run(
    monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    import psutil

    def failing(*_: object) -> None:
        raise failure

    monkeypatch.setattr(psutil, "virtual_memory", failing)
    assert memory.device_bytes(torch.device("cpu")) is None
    memory.check_memory(trainer())
    assert "the estimate was" in str(memory.out_of_memory(MemoryError(), trainer()))
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrusage", failing)
    assert memory.peak_memory_bytes(torch.device("cpu")) is None


def test_a_system_without_psutil_or_resource_does_not_say_either(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("psutil", "resource"):
        monkeypatch.setitem(sys.modules, module, None)
    assert memory.device_bytes(torch.device("cpu")) is None
    assert memory.peak_memory_bytes(torch.device("cpu")) is None


def test_pairs_are_counted_with_both_sides_and_a_reference_in_memory_with_its_weights() -> None:
    config = GPTConfig.named("tiny", n_layer=1, n_embd=32, n_head=2)
    recipe = Recipe(steps=1, batch_size=4, micro_batch_size=4, lr=1e-3, warmup_steps=0)
    sides = rows(4, 20, 6)
    one = memory.estimate(Trainer(GPT(config), sides, recipe))
    both = memory.estimate(DPOTrainer(GPT(config), [PairRows(side, side) for side in sides], recipe, 0.1))
    assert both - training_bytes(config) == pytest.approx(2 * (one - training_bytes(config)), rel=0.01)
    prompts = [Prompt([1] * 10, [], None, f"row {i}") for i in range(4)]
    alone, held = (
        RLTrainer(GPT(config), prompts, recipe, print, reference, 0.1, 3, 2, 10) for reference in (None, GPT(config))
    )
    assert memory.estimate(held) - memory.estimate(alone) == 4 * config.parameter_count
    assert {len(row.ids) for row in alone.longest()} == {20}
    assert len(alone.longest()) == 8
