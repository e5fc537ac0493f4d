"""DPO beside TRL's DPOTrainer, where it is installed: its own loop, batches, optimizer and reference model."""

import pytest

from minigpt import load_template, load_tokenizer
from minigpt.learn.trainer import Recipe
from minigpt.measure.peer import Peer
from minigpt.preference.pair_trainers import DPOTrainer
from minigpt.preference.rows import encode_pairs
from minigpt.run.bench_dpo import job_of
from minigpt.run.preference_tasks import pair_rows
from minigpt.text.pairs import Pair
from tests.conftest import two_layers

SYSTEM = {"role": "system", "content": "Answer!"}


def pairs() -> list[Pair]:
    """With and without a system message and an earlier turn, in two languages, of unequal lengths."""
    made = []
    for i in range(12):
        earlier = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hm"}]
        asked = {"role": "user", "content": ("Từ đầu?", "Why" + "?" * i)[i % 2]}
        prompt = [SYSTEM] * (i % 3 == 0) + earlier * (i % 4 == 0) + [asked]
        made.append(Pair(prompt, "cá" * (1 + i % 3) + "!", "no" * (1 + i % 2), f"row {i}"))
    return made


def test_twelve_steps_have_the_losses_of_trl_s_own_loop() -> None:
    pytest.importorskip("trl", reason="TRL is not installed")
    template = load_template("chatml", load_tokenizer("bytes"))
    rows = pair_rows(encode_pairs(pairs(), template, 64))
    recipe = Recipe(steps=12, batch_size=4, micro_batch_size=3, lr=1e-3, warmup_steps=3, weight_decay=0.0)
    trainer = DPOTrainer(two_layers(), rows, recipe, beta=0.3)
    theirs = Peer("trl", trainer.model, "dpo", compile=False, **job_of(trainer))
    try:
        trainer.read_reference()
        losses = [(trainer.train_step().loss, theirs()[1]) for _ in range(recipe.steps)]
    finally:
        theirs.close()
    apart = max(abs(a - b) for a, b in losses)
    print(f"largest difference between two losses of a step: {apart:.1e}")
    assert apart < 1e-5
    assert losses[0][0] > 2 * losses[-1][0]  # something was learned
