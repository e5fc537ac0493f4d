"""Lessons 10 and 16: the memory of a step by formulas, beside what torch's allocator is asked for.

A TorchDispatchMode would not do: while one is active, torch adds out of place where it else adds in place (the gradient
of a row that is looked up, the sum of two gradients), and the peak is a whole embedding higher than in a run.
"""

from collections.abc import Callable, Iterable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.profiler import ProfilerActivity, profile

from minigpt import GPT, GPTConfig
from minigpt.learn import loss
from minigpt.learn import trainer as training
from minigpt.learn.trainer import Recipe, Trainer
from minigpt.measure import cost
from minigpt.measure.cost import Step, training_bytes
from minigpt.measure.perplexity import row_losses
from minigpt.model.low_rank import adapt, merge
from minigpt.preference.pair_trainers import DPOTrainer, PairRows, RewardTrainer
from minigpt.preference.reward import RewardModel
from minigpt.run import memory
from minigpt.text.examples import Example

WIDE = dict(n_embd=768, n_head=12, vocab_size=50257)  # two layers of the smallest official size
MANY = dict(vocab_size=50257)


def rows(n: int, T: int, supervised: int) -> list[Example]:
    return [
        Example([i % 200 for i in range(T + 1)], [False] * (T + 1 - supervised) + [True] * supervised, f"row {row}")
        for row in range(n)
    ]


def highest(work: Callable[[], object]) -> int:
    """The most bytes that tensors made by `work` have at the same time; exact, and the same on every machine."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        work()
    events = [event for event in record.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak


def nbytes(tensors: Iterable[torch.Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)


def measured(trainer: Trainer) -> int:
    """The peak of a step, and of an evaluation by a model with adapters merged in, of all tensors."""
    trainer.train_step()  # makes the moments
    moments = [tensor for state in trainer.optimizer.state.values() for tensor in state.values()]
    step = highest(trainer.train_step)
    if trainer.logits == "few":
        step = max(step, highest(lambda: row_losses(merge(trainer.model), trainer.examples)))
    return nbytes(trainer.model.parameters()) + nbytes(moments) + step


def compare(found: int, estimate: int, low: float = 0.9, high: float = 1.1) -> None:
    print(f"peak {found:,}, estimated {estimate:,}: {estimate / found:.3f} times")
    assert low * found <= estimate <= high * found


def trainer_of(
    config: GPTConfig,
    n: int,
    T: int,
    supervised: int,
    explicit: bool = False,
    batches: int = 1,
    recompute: bool = False,
    rank: int | None = None,
    new_rows: int = 0,
    dtype: str = "float32",
) -> Trainer:
    """One whose steps have so many micro-batches of n rows."""
    model = GPT(config).explicit(explicit)
    model.recompute = recompute
    if rank:
        adapt(model, rank, 16.0, new_rows)
    recipe = Recipe(steps=2, batch_size=n * batches, micro_batch_size=n, lr=1e-3, warmup_steps=0, dtype=dtype)
    return Trainer(model, rows(n * batches, T, supervised), recipe)


@pytest.fixture(autouse=True)
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many rows together as --micro-batch-size says."""
    monkeypatch.setitem(training.ROOM, "cpu", 1e18)
    monkeypatch.setattr(training, "OVERHEAD", {"cpu": 128})


SHORT, LONG, HALF = (1, 32, 32), (4, 128, 128), (1, 512, 60)  # rows, their tokens, the supervised ones of each
CASES = {
    "short": ({}, SHORT, {}),
    "half": ({}, HALF, {}),
    "explicit": ({}, LONG, dict(explicit=True)),
    "explicit, half": ({}, HALF, dict(explicit=True)),
    "recomputing": ({}, LONG, dict(recompute=True)),
    "explicit, recomputing": ({}, HALF, dict(explicit=True, recompute=True)),
    "six layers": (dict(n_layer=6), LONG, {}),
    "six layers, recomputing": (dict(n_layer=6), LONG, dict(recompute=True)),
    "dropout": (dict(dropout=0.1), LONG, {}),
    "dropout, explicit, half": (dict(dropout=0.1), HALF, dict(explicit=True)),
    "dropout, recomputing": (dict(dropout=0.1), HALF, dict(recompute=True)),
    "low rank": ({}, LONG, dict(rank=8)),
    "low rank, explicit": ({}, HALF, dict(rank=8, explicit=True)),
    "low rank, recomputing": ({}, LONG, dict(rank=8, recompute=True)),
    "many tokens, short": (MANY, SHORT, {}),
    "many tokens": (MANY, LONG, {}),
    "many tokens, accumulating": (MANY, (2, 64, 20), dict(batches=2)),
    "many tokens, explicit": (MANY, SHORT, dict(explicit=True)),
    "many tokens, recomputing": (MANY, HALF, dict(recompute=True)),
    "many tokens, low rank": (MANY, HALF, dict(rank=8)),
    "many tokens, low rank, new ones": (MANY, HALF, dict(rank=8, new_rows=3, recompute=True, batches=2)),
    "wide": (WIDE, (1, 128, 100), {}),
    "wide, accumulating, recomputing": (WIDE, (1, 64, 30), dict(batches=2, recompute=True)),
    "wide, explicit": (WIDE, (1, 32, 8), dict(explicit=True)),
    "wide, low rank": (WIDE, (1, 256, 60), dict(rank=8)),
    "wide, low rank, recomputing": (WIDE, (1, 256, 60), dict(rank=8, recompute=True)),
}


@pytest.mark.fast_form
@pytest.mark.parametrize("name", CASES)
def test_the_formulas_are_the_peak_of_a_step(name: str) -> None:
    change, shape, more = CASES[name]
    trainer = trainer_of(GPTConfig.named("tiny", **change), *shape, **more)
    compare(measured(trainer), memory.estimate(trainer))


@pytest.mark.fast_form
@pytest.mark.parametrize("rank", [None, 8])
def test_under_autocast_half_of_the_activations_is_counted_and_the_narrower_copies(rank: int | None) -> None:
    """Which temporary tensors an in-place sum of two types needs is the processor's business."""
    for change, shape in (({}, HALF), (dict(n_layer=6), LONG), (MANY, LONG)):
        trainer = trainer_of(GPTConfig.named("tiny", **change), *shape, rank=rank, dtype="bfloat16")
        compare(measured(trainer), memory.estimate(trainer), 0.9, 1.15)


@pytest.mark.fast_form
def test_the_trainers_of_pairs_have_all_logits_or_none() -> None:
    for change in ({}, MANY):
        config = GPTConfig.named("tiny", **change)
        recipe = Recipe(steps=2, batch_size=2, micro_batch_size=2, lr=1e-3, warmup_steps=0)
        pairs = [PairRows(*rows(2, 128, 60)) for _ in range(2)]
        dpo = DPOTrainer(GPT(config).explicit(False), pairs, recipe, 0.1)
        dpo.read_reference()
        for trainer in (dpo, RewardTrainer(RewardModel(GPT(config).explicit(False)), pairs, recipe)):
            compare(measured(trainer), memory.estimate(trainer))


@pytest.mark.fast_form
@pytest.mark.parametrize("explicit", [True, False], ids=["explicit", "fast"])
def test_reading_held_out_rows_is_counted_too(explicit: bool) -> None:
    for change, shape in (({}, LONG), ({}, HALF), (MANY, LONG)):
        trainer = trainer_of(GPTConfig.named("tiny", **change), *shape, explicit=explicit)
        held = 12 * trainer.model.config.parameter_count
        found = held + highest(lambda trainer=trainer: row_losses(trainer.model, trainer.examples))
        compare(found, Step(trainer.model.config, shape[0], shape[1], shape[0] * shape[2], explicit).evaluation)


def test_what_is_held_is_what_lesson_10_says_and_of_low_rank_the_numbers_of_the_adapter() -> None:
    config = GPTConfig.named("tiny")
    assert Step(config, 1, 1, 1, True).held == training_bytes(config)
    model = adapt(GPT(config), 4, 8.0, 3)
    learned = [p for p in model.parameters() if p.requires_grad]
    step = Step(config, 1, 1, 1, True, rank=4, new_rows=3)
    assert step.learned == sum(p.numel() for p in learned)
    assert step.held == nbytes(model.parameters()) + 3 * nbytes(learned)


@given(n=st.integers(1, 64), T=st.integers(1, 512), share=st.floats(0, 1), L=st.integers(2, 48), explicit=st.booleans())
def test_each_option_that_is_to_save_memory_never_needs_more(
    n: int, T: int, share: float, L: int, explicit: bool
) -> None:
    config = GPTConfig.named("gpt2", n_layer=L)
    step = Step(config, n, T, max(1, int(share * n * T)), explicit)
    for more in (dict(recompute=True), dict(rank=8), dict(rank=8, recompute=True), dict(parts=8)):
        assert Step(**vars(step) | more).peak <= step.peak, more
    assert step.peak <= Step(**vars(step) | dict(accumulating=True)).peak


@pytest.mark.fast_form
def test_of_logits_in_chunks_no_more_than_twice_a_chunk_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (loss, cost):
        monkeypatch.setattr(module, "CHUNK_BYTES", 2**24)
    config = GPTConfig.named("tiny", vocab_size=20_000)
    trainer = trainer_of(config, 4, 256, 256)
    trainer.train_step()  # makes the moments
    found = 12 * config.parameter_count + highest(trainer.train_step)
    compare(found, Step(config, 4, 256, 1024, False).peak, 0.97, 1.03)
