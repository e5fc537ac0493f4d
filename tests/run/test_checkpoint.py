"""Lesson 09: a resumed run is the uninterrupted one, bit for bit."""

import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.torch_version import TorchVersion

from minigpt import GPT, GPTConfig
from minigpt.errors import UserError
from minigpt.learn.parallel import Team
from minigpt.learn.trainer import Recipe, Trainer
from minigpt.run.checkpoint import (
    STATE,
    WHOLE,
    check_torch,
    checkpoints,
    load_checkpoint,
    path_of,
    save_checkpoint,
)
from minigpt.text.examples import Example

CONFIG = GPTConfig(vocab_size=51, n_ctx=16, n_embd=16, n_head=2, n_layer=2, dropout=0.2, bos_token_id=0)
RECIPE = Recipe(steps=9, batch_size=4, micro_batch_size=2, lr=1e-2, warmup_steps=3, seed=5)


def new_trainer(seed: int, n_embd: int = 16, **shared: Team | bool) -> Trainer:
    """A trainer with its own random weights, over the same ten rows; alone, or of a team."""
    generator = torch.Generator().manual_seed(0)
    examples = []
    for i in range(10):
        ids = torch.randint(50, (4 + i,), generator=generator).tolist()
        examples.append(Example(ids, [False] * 2 + [True] * (2 + i), f"row {i}"))
    torch.manual_seed(seed)
    return Trainer(GPT(GPTConfig(**{**vars(CONFIG), "n_embd": n_embd})), examples, RECIPE, **shared)


def train(trainer: Trainer, steps: int) -> list[float]:
    return [trainer.train_step().loss for _ in range(steps)]


def tensors(trainer: Trainer) -> list[Tensor]:
    """Weights and both moments."""
    states = [trainer.optimizer.state[p] for p in trainer.model.parameters()]
    moments = [state[name] for state in states for name in ("m", "v")]
    return [p.detach().clone() for p in trainer.model.parameters()] + [moment.clone() for moment in moments]


@pytest.mark.parametrize("n", [0, 2, 5])
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path, n: int) -> None:
    """Interrupted within the warmup or within an epoch; dropout goes on where it was, so losses agree to the bit."""
    whole = new_trainer(seed=1)
    losses = train(whole, 9)

    first = new_trainer(seed=1)
    before = train(first, n)
    save_checkpoint(tmp_path, first)
    second = new_trainer(seed=2)
    assert not torch.equal(second.model.wte.weight, first.model.wte.weight)
    load_checkpoint(tmp_path, second)
    assert second.step == n

    assert before + train(second, 9 - n) == losses
    assert len(tensors(second)) == len(tensors(whole)) == 3 * len(list(whole.model.parameters()))
    for a, b in zip(tensors(second), tensors(whole), strict=True):
        assert torch.equal(a, b)


def test_saving_changes_nothing(tmp_path: Path) -> None:
    saved = new_trainer(seed=1)
    losses = train(saved, 2)
    save_checkpoint(tmp_path, saved)
    assert losses + train(saved, 2) == train(new_trainer(seed=1), 4)


def test_random_numbers_drawn_elsewhere_before_loading_do_not_matter(tmp_path: Path) -> None:
    trainer = new_trainer(seed=1)
    train(trainer, 2)
    save_checkpoint(tmp_path, trainer)
    expected = train(trainer, 2)
    again = new_trainer(seed=3)
    torch.rand(100)
    load_checkpoint(tmp_path, again)
    assert train(again, 2) == expected


def content(path: Path) -> dict[str, bytes]:
    """A checkpoint's files."""
    return {file.name: file.read_bytes() for file in path.iterdir()}


def test_without_being_told_it_keeps_two_checkpoints_and_says_that_the_spare_can_be_resumed_from(
    tmp_path: Path,
) -> None:
    trainer = new_trainer(seed=1)
    save_checkpoint(tmp_path, trainer)
    (path_of(tmp_path, 0) / WHOLE).write_bytes(b"broken")
    with pytest.raises(UserError) as caught:
        load_checkpoint(tmp_path, trainer)
    assert "remove it" not in str(caught.value), "there is nothing else to resume from"
    for _ in range(3):
        train(trainer, 1)
        save_checkpoint(tmp_path, trainer)
    assert checkpoints(tmp_path) == [path_of(tmp_path, 2), path_of(tmp_path, 3)]
    (path_of(tmp_path, 3) / WHOLE).write_bytes(b"broken")
    with pytest.raises(UserError, match=r"step-00000003 is not .*; remove it to resume from .*step-00000002\."):
        load_checkpoint(tmp_path, trainer)
    shutil.rmtree(path_of(tmp_path, 3))
    load_checkpoint(tmp_path, trainer)
    assert trainer.step == 2


@pytest.mark.parametrize("keep", [1, 3])
def test_the_last_checkpoints_stay_and_the_latest_is_gone_on_from(tmp_path: Path, keep: int) -> None:
    trainer = new_trainer(seed=1)
    for _ in range(5):
        train(trainer, 1)
        save_checkpoint(tmp_path, trainer, keep)
    assert checkpoints(tmp_path) == [path_of(tmp_path, step) for step in range(6 - keep, 6)]
    resumed = new_trainer(seed=2)
    load_checkpoint(tmp_path, resumed)
    assert resumed.step == 5
    if keep > 1:
        (path_of(tmp_path, 5) / STATE).write_bytes(b"broken")
        with pytest.raises(UserError, match=r"remove it to resume from .*step-00000004\."):
            load_checkpoint(tmp_path, resumed)


def test_no_checkpoint_is_made_of_weights_that_are_no_numbers(tmp_path: Path) -> None:
    """It would take the place of the last good one."""
    trainer = new_trainer(seed=1)
    save_checkpoint(tmp_path, trainer)
    train(trainer, 1)
    with torch.no_grad():
        trainer.model.wpe.weight[3, 2] = torch.inf
    with pytest.raises(UserError, match=r"After step 1 a weight is NaN or infinite.*step-00000000 is unchanged"):
        save_checkpoint(tmp_path, trainer)
    assert checkpoints(tmp_path) == [path_of(tmp_path, 0)]


def test_the_same_state_is_saved_in_the_same_bytes(tmp_path: Path) -> None:
    """Whether it was reached at one go or loaded: else no test could compare the files."""
    trainer = new_trainer(seed=1)
    train(trainer, 2)
    save_checkpoint(tmp_path / "first", trainer)
    resumed = new_trainer(seed=2)
    load_checkpoint(tmp_path / "first", resumed)
    save_checkpoint(tmp_path / "second", resumed)
    assert content(path_of(tmp_path / "first", 2)) == content(path_of(tmp_path / "second", 2))


@pytest.mark.parametrize(
    ("version", "is_new_enough"), [("2.6.0", False), ("2.8.0+cpu", False), ("2.9.0+cu130", True), ("2.13.0", True)]
)
def test_a_torch_that_cannot_write_parts_is_refused(
    version: str, is_new_enough: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "__version__", TorchVersion(version))
    if is_new_enough:
        check_torch()
    else:
        with pytest.raises(
            UserError, match=rf"--shard writes its checkpoints with torch 2\.9 or later; this is {version[:3]}"
        ):
            check_torch()
