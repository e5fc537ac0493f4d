"""Lesson 15: learning from pairs, as `Trainer` does it, with another loss."""

import math
from dataclasses import replace

import pytest
import torch

from minigpt import GPT, load_template, load_tokenizer
from minigpt.learn.trainer import Recipe, Trainer
from minigpt.preference.likelihood import answer_row, log_likelihood
from minigpt.preference.pair_trainers import DPOTrainer, PairRows, PairTrainer, RewardTrainer, right
from minigpt.preference.reward import RewardModel
from minigpt.run.start import set_dropout
from tests.conftest import two_layers

TEMPLATE = load_template("chatml", load_tokenizer("bytes"))
RECIPE = Recipe(steps=4, batch_size=6, micro_batch_size=6, lr=1e-3, warmup_steps=0, weight_decay=0.0)
ANSWERS = [
    ("yes", "no"),
    ("one two three four", "five"),
    ("a", "b c d e f g h"),
    ("long answers", "x"),
    ("ý", "é!"),
    ("1", "2"),
]


def pairs() -> list[PairRows]:
    rows = []
    for i, sides in enumerate(ANSWERS):
        prompt = [{"role": "user", "content": "?" * (1 + 2 * i)}]
        rows.append(PairRows(*(answer_row(TEMPLATE, prompt, side, f"row {i}") for side in sides)))
    return rows


def trainer(kind: str, rows: list[PairRows] | None = None, recipe: Recipe = RECIPE, **options: float) -> PairTrainer:
    rows = pairs() if rows is None else rows
    if kind == "reward":
        model = RewardModel(two_layers())
        with torch.no_grad():
            model.score.normal_(generator=torch.Generator().manual_seed(1))
        return RewardTrainer(model, rows, recipe, **options)
    made = DPOTrainer(two_layers(), rows, recipe, **{"beta": 0.1, **options})
    made.read_reference()
    return made


def gradient(made: PairTrainer, rows: list[PairRows]) -> torch.Tensor:
    made.gradients(rows)
    found = torch.cat([p.grad.flatten() for p in made.model.parameters()])
    made.optimizer.zero_grad()
    return found


def moved(made: PairTrainer) -> PairTrainer:
    """Away from the reference, so that margins are not 0."""
    with torch.no_grad():
        for parameter in made.model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))
    return made


@pytest.mark.parametrize("kind", ["dpo", "reward"])
@pytest.mark.parametrize("most", [4, 1])
def test_a_step_s_gradient_is_the_same_however_its_pairs_are_split(kind: str, most: int) -> None:
    """A mean of the micro-batches' means would weight the pairs of a small one more."""
    options = {"sft_weight": 0.7} if kind == "dpo" else {}
    whole, split = (moved(trainer(kind, recipe=replace(RECIPE, micro_batch_size=n), **options)) for n in (6, most))
    a, b = gradient(whole, whole.examples), gradient(split, split.examples)
    assert ((a - b).norm() / a.norm()).item() < 1e-6
    for name, figure in whole.figures.items():
        assert split.figures[name] == pytest.approx(figure, abs=2e-5), name


@pytest.mark.parametrize("kind", ["dpo", "reward"])
def test_the_order_of_the_pairs_changes_nothing(kind: str) -> None:
    made = moved(trainer(kind))
    a, b = gradient(made, made.examples), gradient(made, made.examples[::-1])
    assert ((a - b).norm() / a.norm()).item() < 1e-6


@pytest.mark.parametrize("beta", [0.01, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_the_first_loss_of_dpo_is_log_2_for_every_beta_and_dropout(beta: float, dropout: float) -> None:
    model = two_layers()
    set_dropout(model, dropout)
    made = DPOTrainer(model, pairs(), RECIPE, beta)
    made.read_reference()
    step = made.train_step()
    assert step.loss == pytest.approx(math.log(2), abs=1e-6)
    assert step.figures["accuracy"] == 0.5
    assert step.figures["margin"] == 0.0


def test_the_first_loss_of_a_reward_model_is_log_2() -> None:
    step = RewardTrainer(RewardModel(two_layers()), pairs(), RECIPE).train_step()
    assert step.loss == pytest.approx(math.log(2), abs=1e-6)
    assert step.figures["accuracy"] == 0.5


@pytest.mark.parametrize("kind", ["dpo", "reward"])
def test_swapping_the_sides_turns_the_sign_of_the_margin(kind: str) -> None:
    made, swapped = moved(trainer(kind)), moved(trainer(kind, [PairRows(p.rejected, p.chosen) for p in pairs()]))
    gradient(made, made.examples), gradient(swapped, swapped.examples)
    assert made.figures["margin"] == pytest.approx(-swapped.figures["margin"], abs=1e-6)
    assert made.figures["accuracy"] == pytest.approx(1 - swapped.figures["accuracy"])


def test_a_margin_of_0_counts_one_half() -> None:
    assert right(torch.tensor([1.0, 0.0, -1.0, 1e-30])).tolist() == [1.0, 0.5, 0.0, 1.0]


def test_the_reference_is_worked_out_once_a_pair_and_does_not_move_with_the_model() -> None:
    read = []
    made = DPOTrainer(two_layers(), pairs(), replace(RECIPE, steps=9, batch_size=4, micro_batch_size=4), 0.1)
    made.read_reference(read.append)
    assert sum(read) == len(made.examples)
    before = {pair: value.clone() for pair, value in made.reference.items()}
    for _ in range(3):
        made.train_step()
    assert all(torch.equal(made.reference[pair], value) for pair, value in before.items())
    fresh = two_layers()
    for pair, value in before.items():
        assert torch.allclose(value, log_likelihood(fresh, [pair.chosen, pair.rejected]), atol=1e-4)


def test_only_the_pairs_that_the_run_s_steps_have_are_read_under_the_reference() -> None:
    made = DPOTrainer(two_layers(), pairs(), replace(RECIPE, steps=1, batch_size=2, micro_batch_size=2), 0.1)
    made.read_reference()
    assert len(made.reference) == 2


def test_the_nll_beside_dpo_is_that_of_instruction_tuning() -> None:
    """Its gradient is `Trainer`'s own on the chosen rows, times the weight."""
    alone, beside = moved(trainer("dpo")), moved(trainer("dpo", sft_weight=0.5))
    difference = gradient(beside, beside.examples) - gradient(alone, alone.examples)
    sft = Trainer(moved(trainer("dpo")).model, [pair.chosen for pair in pairs()], RECIPE)
    sft.model.eval()
    loss, _ = sft.gradients(sft.examples)
    wanted = 0.5 * torch.cat([p.grad.flatten() for p in sft.model.parameters()])
    assert ((difference - wanted).norm() / wanted.norm()).item() < 1e-5
    assert beside.figures["sft_loss"] == pytest.approx(0.5 * loss, rel=1e-5)
    assert "sft_loss" not in alone.figures


def test_the_loss_that_is_reported_is_dpo_s_alone() -> None:
    alone, beside = moved(trainer("dpo")), moved(trainer("dpo", sft_weight=2.0))
    assert alone.gradients(alone.examples)[0] == beside.gradients(beside.examples)[0]


def test_training_raises_the_margin() -> None:
    for kind in ("dpo", "reward"):
        made = trainer(kind, recipe=replace(RECIPE, steps=30, lr=3e-3))
        for _ in range(30):
            last = made.train_step()
        assert last.figures["accuracy"] == 1.0
        assert last.loss < 0.5


def test_a_diverged_step_names_its_pairs_and_changes_no_weight() -> None:
    from minigpt.learn.trainer import NotFinite

    made = trainer("dpo")
    before = made.model.wte.weight.detach().clone()
    made.reference = {pair: value * math.nan for pair, value in made.reference.items()}
    with pytest.raises(NotFinite, match="row 3"):
        made.train_step()
    assert torch.equal(made.model.wte.weight, before)


def test_dropout_stays_off_in_a_step_and_is_kept_in_the_config() -> None:
    model: GPT = two_layers()
    set_dropout(model, 0.5)
    made = DPOTrainer(model, pairs(), RECIPE, 0.1)
    made.read_reference()
    state = torch.get_rng_state()
    made.train_step()
    assert torch.equal(torch.get_rng_state(), state)
    assert model.config.dropout == 0.5
