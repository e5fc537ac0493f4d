"""Lesson 09: a resumed run is the uninterrupted one, bit for bit; and a checkpoint is whole or not there."""

import copy
import errno
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from minigpt import GPT, GPTConfig
from minigpt.errors import UserError
from minigpt.learn.trainer import Recipe, Trainer
from minigpt.run.checkpoint import checkpoints, load_checkpoint, path_of, save_checkpoint
from minigpt.text.examples import Example

CONFIG = GPTConfig(vocab_size=50, n_ctx=16, n_embd=16, n_head=2, n_layer=2, dropout=0.2, bos_token_id=0)
RECIPE = Recipe(steps=9, batch_size=4, micro_batch_size=2, lr=1e-2, warmup_steps=3, seed=5)


def new_trainer(seed: int, n_embd: int = 16) -> Trainer:
    """A trainer with its own random weights, over the same ten rows."""
    generator = torch.Generator().manual_seed(0)
    examples = []
    for i in range(10):
        ids = torch.randint(50, (4 + i,), generator=generator).tolist()
        examples.append(Example(ids, [False] * 2 + [True] * (2 + i), f"row {i}"))
    torch.manual_seed(seed)
    return Trainer(GPT(GPTConfig(**{**vars(CONFIG), "n_embd": n_embd})), examples, RECIPE)


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


def test_a_missing_checkpoint_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"There is no checkpoint in .*absent to resume from"):
        load_checkpoint(tmp_path / "absent", new_trainer(seed=1))


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.9, 0.999])
def test_a_checkpoint_that_was_cut_short_is_a_sentence(tmp_path: Path, share: float) -> None:
    save_checkpoint(tmp_path, new_trainer(seed=1))
    [path] = checkpoints(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=r"step-00000000\.pt is not a checkpoint of this model"):
        load_checkpoint(tmp_path, new_trainer(seed=1))


class Command:
    """What a malicious pickle looks like: unpickling it would call a function of its choice."""

    def __reduce__(self) -> tuple[Callable, tuple[str]]:
        return os.mkdir, ("executed",)


FOREIGN = {
    "text": lambda path: path.write_text("hello"),
    "an empty dictionary": lambda path: torch.save({}, path),
    "a list": lambda path: torch.save([1, 2], path),
    "a tensor": lambda path: torch.save(torch.ones(3), path),
    "weights alone": lambda path: torch.save({"model": GPT(CONFIG).state_dict()}, path),
    "a command": lambda path: path.write_bytes(pickle.dumps(Command(), protocol=2)),
    "a command in torch's format": lambda path: torch.save(Command(), path),
    "a folder": lambda path: path.mkdir(),
}


@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")  # torch's, of a tensor asked for a key
@pytest.mark.parametrize("content", FOREIGN)
def test_what_is_no_checkpoint_is_a_sentence_and_never_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.chdir(tmp_path)
    FOREIGN[content](path_of(tmp_path, 3))
    with pytest.raises(UserError, match=r"step-00000003\.pt is not a checkpoint of this model"):
        load_checkpoint(tmp_path, new_trainer(seed=1))
    assert not Path("executed").exists()


def test_a_checkpoint_of_another_model_is_a_sentence(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, new_trainer(seed=1, n_embd=8))
    with pytest.raises(UserError, match="is not a checkpoint of this model"):
        load_checkpoint(tmp_path, new_trainer(seed=1))


def write_half(state: dict, file) -> None:
    file.write(b"half of it")
    raise OSError(errno.ENOSPC, "No space left on device")


def refuse(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("target", "name", "failure"),
    [(torch, "save", write_half), (Path, "replace", refuse), (os, "fsync", refuse)],
    ids=["full disk", "killed before the exchange", "killed while flushing"],
)
def test_a_save_that_fails_leaves_the_former_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: object, name: str, failure: Callable
) -> None:
    trainer = new_trainer(seed=1)
    train(trainer, 1)
    save_checkpoint(tmp_path, trainer)
    former, weights = path_of(tmp_path, 1).read_bytes(), copy.deepcopy(trainer.model.state_dict())
    train(trainer, 1)
    with monkeypatch.context() as patch:
        patch.setattr(target, name, failure)
        with pytest.raises((UserError, KeyboardInterrupt)) as caught:
            save_checkpoint(tmp_path, trainer)
    if caught.type is UserError:
        assert "No space left on device" in str(caught.value)
        assert "step-00000001.pt is unchanged" in str(caught.value)
    assert path_of(tmp_path, 1).read_bytes() == former
    assert checkpoints(tmp_path) == [path_of(tmp_path, 1)]
    resumed = new_trainer(seed=2)
    load_checkpoint(tmp_path, resumed)
    assert resumed.step == 1
    assert all(torch.equal(weights[key], tensor) for key, tensor in resumed.model.state_dict().items())

    save_checkpoint(tmp_path, trainer)
    load_checkpoint(tmp_path, resumed)
    assert resumed.step == 2, "what the failed save left behind is in nobody's way"
    assert sorted(tmp_path.iterdir()) == [path_of(tmp_path, 1), path_of(tmp_path, 2)]


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
        path_of(tmp_path, 5).write_bytes(b"broken")
        with pytest.raises(UserError, match=r"remove it to resume from .*step-00000004\.pt"):
            load_checkpoint(tmp_path, resumed)


def test_no_checkpoint_is_made_of_weights_that_are_no_numbers(tmp_path: Path) -> None:
    """It would take the place of the last good one."""
    trainer = new_trainer(seed=1)
    save_checkpoint(tmp_path, trainer)
    train(trainer, 1)
    with torch.no_grad():
        trainer.model.wpe.weight[3, 2] = torch.inf
    with pytest.raises(UserError, match=r"After step 1 a weight is NaN or infinite.*step-00000000\.pt is unchanged"):
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
    assert path_of(tmp_path / "first", 2).read_bytes() == path_of(tmp_path / "second", 2).read_bytes()


@pytest.mark.parametrize("damage", ["another shape", "one missing", "another kind"])
def test_moments_of_other_parameters_are_a_sentence(tmp_path: Path, damage: str) -> None:
    """Broadcast or left out, they would be learned with, silently."""
    trainer = new_trainer(seed=1)
    train(trainer, 1)
    save_checkpoint(tmp_path, trainer)
    state = torch.load(path_of(tmp_path, 1), weights_only=True)
    state["m"] = {
        "another shape": [state["m"][0][:1], *state["m"][1:]],
        "one missing": state["m"][:-1],
        "another kind": [state["m"][0].int(), *state["m"][1:]],
    }[damage]
    torch.save(state, path_of(tmp_path, 1))
    with pytest.raises(UserError, match="is not a checkpoint of this model"):
        load_checkpoint(tmp_path, new_trainer(seed=1))
