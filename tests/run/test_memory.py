"""Lesson 10: how much memory a run needs, before it starts and when it was not enough."""

import sys

import pytest
import torch

from minigpt import GPT, GPTConfig
from minigpt.errors import UserError
from minigpt.learn.parallel import Team
from minigpt.learn.trainer import Recipe, Trainer
from minigpt.measure.cost import Step
from minigpt.preference.pair_trainers import DPOTrainer, PairRows
from minigpt.preference.rewards import Prompt
from minigpt.preference.rl_trainer import RLTrainer
from minigpt.run import memory
from minigpt.run.options import Options
from minigpt.run.prefer_options import AnyOptions, PreferOptions
from minigpt.text.examples import Example


def rows(n: int, T: int, learned: int) -> list[Example]:
    return [Example(list(range(T)), [False] * (T - learned) + [True] * learned, f"row {i}") for i in range(n)]


def trainer(micro_batch_size: int = 2) -> Trainer:
    recipe = Recipe(steps=1, batch_size=4, micro_batch_size=micro_batch_size, lr=1e-3, warmup_steps=0)
    return Trainer(GPT(GPTConfig.named("tiny")), [*rows(3, 10, 2), *rows(2, 60, 5)], recipe)


OPTIONS = Options()


def bytes_of(rows: int, T: int, supervised: int) -> int:
    return Step(GPTConfig.named("tiny"), rows, T, supervised, True, accumulating=True).peak


def test_the_estimate_is_of_the_longest_rows_that_a_micro_batch_may_hold() -> None:
    assert memory.estimate(trainer(2)) == bytes_of(2, 59, 2 * 5)
    assert memory.estimate(trainer(1)) < memory.estimate(trainer(2)) < memory.estimate(trainer(4))


def test_a_row_for_which_a_micro_batch_has_no_room_is_estimated_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """It makes a micro-batch of its own, as it does at the official sizes."""
    monkeypatch.setattr(memory, "room", lambda model: 10.0)
    assert memory.estimate(trainer(2)) == bytes_of(1, 59, 5)


def test_many_short_rows_may_need_more_than_the_longest_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "room", lambda model: 100.0)
    recipe = Recipe(steps=1, batch_size=8, micro_batch_size=8, lr=1e-3, warmup_steps=0)
    examples = [*rows(8, 21, 20), *rows(1, 61, 5)]
    assert memory.estimate(Trainer(GPT(GPTConfig.named("tiny")), examples, recipe)) == bytes_of(5, 20, 100)


def refused(given: Trainer, options: AnyOptions, monkeypatch: pytest.MonkeyPatch, available: int = 0) -> str:
    monkeypatch.setattr(memory, "device_bytes", lambda device: available)
    with pytest.raises(UserError) as caught:
        memory.check_memory(given, options)
    return str(caught.value)


def long(micro_batch_size: int = 4) -> Trainer:
    """One whose activations are most of what it needs."""
    recipe = Recipe(steps=1, batch_size=4, micro_batch_size=micro_batch_size, lr=1e-3, warmup_steps=0)
    return Trainer(GPT(GPTConfig.named("tiny", n_layer=4)), rows(4, 400, 100), recipe)


def test_a_run_that_cannot_fit_is_refused_before_it_starts_with_what_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    memory.check_memory(long(), OPTIONS)
    needed = 1.2 * memory.estimate(long()) + 0.2 * 2**30
    words = refused(long(), OPTIONS, monkeypatch, int(needed) - 1)
    assert words == (
        "This run needs about 0.4 GiB and the cpu has 0.4 GiB. To need less, use --recompute, --micro-batch-size 1, "
        "a smaller --max-length or a smaller --size."
    )
    monkeypatch.setattr(memory, "device_bytes", lambda device: int(needed) + 1)
    memory.check_memory(long(), OPTIONS)


def test_only_what_the_command_has_what_is_not_in_use_and_what_helps_is_advised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def advised(given: Trainer, options: AnyOptions) -> str:
        return memory.advice(given, options).removeprefix("To need less, use ")

    tuning = Options(init="gpt2")
    assert advised(long(), tuning) == (
        "--recompute, --micro-batch-size 1, --lora-rank 8, a smaller --max-length or a smaller model for --init."
    )
    assert advised(long(1), Options(init="gpt2", recompute=True, lora_rank=4)) == (
        "a smaller --max-length or a smaller model for --init."
    )
    assert advised(long(), PreferOptions(init="gpt2")) == (
        "--micro-batch-size 1, a smaller --max-length or a smaller model for --init."
    )
    recipe = Recipe(steps=1, batch_size=4, micro_batch_size=4, lr=1e-3, warmup_steps=0)
    mostly_weights = Trainer(GPT(GPTConfig.named("tiny", n_embd=384)), rows(4, 4, 2), recipe)
    assert advised(mostly_weights, OPTIONS) == "a smaller --size."
    assert advised(mostly_weights, tuning) == "--lora-rank 8 or a smaller model for --init."
    given = long()
    monkeypatch.setattr(GPT, "device", torch.device("cuda"))
    assert "--lora-rank 8, --shard under torchrun, a smaller --max-length" in advised(given, tuning)
    assert "--shard" not in advised(given, Options(init="gpt2", shard=True))


def test_processes_on_one_cpu_share_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    one = 1.2 * memory.estimate(trainer()) + 0.2 * 2**30
    monkeypatch.setattr(memory, "device_bytes", lambda device: int(1.5 * one))
    memory.check_memory(trainer(), OPTIONS)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(UserError, match=r"needs about 0\.4 GiB and the cpu has 0\.3 GiB"):
        memory.check_memory(trainer(), OPTIONS)


def test_the_first_lines_of_a_run_say_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    given = trainer()
    monkeypatch.setattr(memory, "device_bytes", lambda device: 3 * 2**33)
    given.estimated_bytes = 31 * 2**20
    assert memory.memory_line(given) == "memory  about 31 MiB of 24.0 GiB"
    given.estimated_bytes = 3 * 2**30
    assert memory.memory_line(given) == "memory  about 3.0 GiB of 24.0"
    given.team = Team(0, 2)
    assert memory.memory_line(given) == "memory  about 3.0 GiB in each of 2 processes of 24.0"
    monkeypatch.setattr(memory, "device_bytes", lambda device: None)
    assert memory.memory_line(given) == "memory  about 3.0 GiB in each of 2 processes"


def test_what_is_spread_over_processes_needs_less_in_each() -> None:
    whole, parts = trainer(), trainer()
    parts.team, parts.sharded = Team(0, 4), True
    assert memory.estimate(parts) < memory.estimate(whole)


def test_memory_that_ran_out_is_a_sentence_and_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    told = memory.out_of_memory(caught.value, trainer(), OPTIONS)
    assert isinstance(told, UserError)
    assert "Memory ran out after step 0: the estimate was" in str(told)
    for error in (torch.OutOfMemoryError("CUDA out of memory"), MemoryError()):
        assert isinstance(memory.out_of_memory(error, trainer(), OPTIONS), UserError)
    other = RuntimeError("shapes do not match")
    assert memory.out_of_memory(other, trainer(), OPTIONS) is other


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
    memory.check_memory(trainer(), OPTIONS)
    assert "the estimate was" in str(memory.out_of_memory(MemoryError(), trainer(), OPTIONS))
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
    both = memory.estimate(DPOTrainer(GPT(config), [PairRows(side, side) for side in sides], recipe, 0.1))
    assert both == Step(config, 8, 19, 48, True, logits="all").peak
    prompts = [Prompt([1] * 10, [], None, f"row {i}") for i in range(4)]
    alone, held = (
        RLTrainer(GPT(config), prompts, recipe, print, reference, 0.1, 3, 2, 10) for reference in (None, GPT(config))
    )
    assert memory.estimate(held) - memory.estimate(alone) == 4 * config.parameter_count
    assert {len(row.ids) for row in alone.longest()} == {20}
    assert len(alone.longest()) == 8
