"""bench: both sides do the same, and the parts of a step are all of it."""

import importlib.util
import math
import re
from contextlib import nullcontext

import pytest
import torch

from minigpt.learn.trainer import Recipe
from minigpt.preference import rl_trainer
from minigpt.preference.policy import draw_answers
from minigpt.preference.rewards import Prompt
from minigpt.preference.rl_trainer import RLTrainer
from minigpt.run import bench_rl
from tests.conftest import two_layers

PAIRS = ("--tokenizer", "bytes", "--steps", 2, "--batch-size", 2)


@pytest.fixture
def one_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the machine's limits, where bench takes the best of ten: seconds that say nothing of the two sides."""
    monkeypatch.setattr("minigpt.measure.speed.best_time", lambda work, device: (work(), 1.0)[1])


def test_bench_trains_the_peer_on_the_same_rows_to_the_same_loss(cli, questions, one_measurement):
    """The figures compare like with like only if both sides do the same arithmetic."""
    outcome = cli(
        "bench", "--peer", "transformers", "--data", questions, "--tokenizer", "bytes", "--steps", 3, "--batch-size", 4
    )
    assert outcome.status == 0, outcome.err
    losses = [float(loss) for loss in re.findall(r"last loss (\d+\.\d+)", outcome.out)]
    assert len(losses) == 2
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    assert re.search(r"ratio \d+\.\d\d", outcome.out)


def test_bench_continues_the_same_prompts_with_the_peer_to_the_same_tokens(cli, one_measurement):
    outcome = cli(
        "bench", "--mode", "generate", "--peer", "transformers", "--size", "tiny", "--prompt-tokens", 5,
        "--new-tokens", 6, "--steps", 1,
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    for batch_size in (1, 8):
        assert f"{batch_size} prompts of 5 tokens, 6 new ones each" in outcome.out
    assert outcome.out.count("100.0% of the new tokens are the same on both sides") == 2
    assert len(re.findall(r"ratio \d+\.\d\d", outcome.out)) == 2


def test_bench_times_steps_on_pairs_that_start_at_log_2(cli):
    outcome = cli("bench", "--mode", "dpo", *PAIRS)
    assert outcome.status == 0, outcome.err
    assert "2 pairs per step" in outcome.out
    assert re.search(
        r"once, before the steps: [\d.]+ s for 8 pairs\n", outcome.out
    )  # of two steps and the warm-up's two
    losses = re.search(r"losses ([\d. ]+)\n", outcome.out)[1].split()
    assert losses[0] == f"{math.log(2):.6f}"
    assert len(losses) == 4
    assert float(losses[-1]) < math.log(2)


@pytest.mark.skipif(importlib.util.find_spec("trl") is not None, reason="TRL is installed")
def test_bench_beside_trl_says_what_to_install(cli):
    outcome = cli("bench", "--mode", "dpo", "--peer", "trl", *PAIRS)
    assert outcome.err.endswith("bench: --peer trl needs the package trl: pip install trl.\n")
    assert outcome.status == 2


@pytest.mark.parametrize("micro_batch_size", [2, 1])
def test_bench_divides_a_step_of_reinforcement_learning_into_all_of_its_parts(cli, micro_batch_size):
    outcome = cli("bench", "--mode", "rl", *PAIRS, "--new-tokens", 3, "--micro-batch-size", micro_batch_size)
    assert outcome.status == 0, outcome.err
    assert "8 answers to each of at most 3 tokens" in outcome.out
    parts = {part: float(share) for share, part in re.findall(r"([\d.]+)%  (.+)", outcome.out)}
    assert list(parts) == list(bench_rl.PARTS)
    # Where all rows may be in memory at once, the policy is read once, with gradients.
    assert (parts.pop("policy, without gradients") > 0) == (micro_batch_size == 1)
    assert min(share for part, share in parts.items() if part != "rewards") > 0


def test_a_step_through_the_clock_computes_what_another_does():
    def rewards(prompts, draws):
        return torch.tensor([float(sum(draw.answer)) for draw in draws])

    def losses(context):
        recipe = Recipe(steps=3, batch_size=2, micro_batch_size=1, lr=1e-3, warmup_steps=1)
        prompts = [Prompt([1, 2, 3], [], None, "a"), Prompt([4, 5], [], None, "b")]
        trainer = RLTrainer(two_layers(), prompts, recipe, rewards, two_layers(), 0.1, 258, 4, 5)
        found, clocks = [], []
        for _ in range(3):
            with context(trainer) as seconds:
                found.append(trainer.train_step().loss)
            clocks.append(seconds)
        return found, clocks

    timed, clocks = losses(bench_rl.parts_timed)
    assert timed == losses(nullcontext)[0]
    for seconds in clocks:
        assert {*seconds, "backward, and the rest"} == set(bench_rl.PARTS)
    assert rl_trainer.draw_answers is draw_answers  # as it was
