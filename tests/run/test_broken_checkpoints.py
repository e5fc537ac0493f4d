"""Lesson 09: what is not a checkpoint of this model is a sentence, and nothing is read of it."""

import copy
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from minigpt import GPT
from minigpt.errors import UserError
from minigpt.run.checkpoint import (
    STATE,
    WHOLE,
    checkpoints,
    load_checkpoint,
    path_of,
    save_checkpoint,
)
from tests.run.test_checkpoint import CONFIG, new_trainer, train


def test_a_missing_checkpoint_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"There is no checkpoint in .*absent to resume from"):
        load_checkpoint(tmp_path / "absent", new_trainer(seed=1))


@pytest.mark.parametrize("file", [WHOLE, STATE])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.9, 0.999])
def test_a_checkpoint_that_was_cut_short_is_a_sentence(tmp_path: Path, file: str, share: float) -> None:
    save_checkpoint(tmp_path, new_trainer(seed=1))
    path = path_of(tmp_path, 0) / file
    whole = path.read_bytes().strip()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match=r"step-00000000 is not a checkpoint of this model"):
        load_checkpoint(tmp_path, new_trainer(seed=1))


class Command:
    """What a malicious pickle looks like: unpickling it would call a function of its choice."""

    def __reduce__(self) -> tuple[Callable, tuple[str]]:
        return os.mkdir, ("executed",)


FOREIGN = {
    "nothing": lambda path: path.unlink(),
    "text": lambda path: path.write_text("hello"),
    "a list": lambda path: path.write_text("[1, 2]"),
    "a number": lambda path: path.write_text("3"),
    "an object": lambda path: path.write_text("{}"),
    "another step": lambda path: path.write_text('{"step": 2}'),
    "no number of a step": lambda path: path.write_text('{"step": true}'),
    "deep nesting": lambda path: path.write_text("[" * 100_000),
    "weights in torch's format": lambda path: torch.save(GPT(CONFIG).state_dict(), path),
    "a command": lambda path: path.write_bytes(pickle.dumps(Command(), protocol=2)),
    "a command in torch's format": lambda path: torch.save(Command(), path),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("file", [WHOLE, STATE])
@pytest.mark.parametrize("foreign", FOREIGN)
def test_what_is_no_checkpoint_is_a_sentence_and_never_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, foreign: str
) -> None:
    monkeypatch.chdir(tmp_path)
    trainer = new_trainer(seed=1)
    trainer.step = 3
    save_checkpoint(tmp_path, trainer)
    FOREIGN[foreign](path_of(tmp_path, 3) / file)
    with pytest.raises(UserError, match=r"step-00000003 .*is not a checkpoint of this model"):
        load_checkpoint(tmp_path, new_trainer(seed=1))
    assert not Path("executed").exists()


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch])
def test_what_has_only_the_name_of_a_checkpoint_is_a_sentence(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(path_of(tmp_path, 3))
    with pytest.raises(UserError, match=r"step-00000003 is not a checkpoint of this model \((No such file|Not a dir)"):
        load_checkpoint(tmp_path, new_trainer(seed=1))


def test_a_checkpoint_of_an_earlier_version_is_not_read_and_what_helps_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was a pickle; without a word the run would begin at its first step."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run" / "checkpoint"
    folder.mkdir(parents=True)
    torch.save(Command(), folder / "step-00000003.pt")
    assert checkpoints(folder) == [folder / "step-00000003.pt"]
    with pytest.raises(UserError) as caught:
        load_checkpoint(folder, new_trainer(seed=1))
    assert "step-00000003.pt was written by an earlier version of minigpt" in str(caught.value)
    assert str(caught.value).endswith(f"or start it again with --repeat {tmp_path / 'run'}.")
    assert not Path("executed").exists()


def test_a_checkpoint_of_another_model_is_a_sentence(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, new_trainer(seed=1, n_embd=8))
    trainer = new_trainer(seed=1)
    before = copy.deepcopy(trainer.model.state_dict())
    with pytest.raises(
        UserError,
        match=r"model\.\S+ is float32 \[.*8\], and the model requires float32 \[.*16\]; it is not a checkpoint",
    ):
        load_checkpoint(tmp_path, trainer)
    after = trainer.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before), "nothing was read of it"


THREE = r"m\.ln_f\.bias, model\.ln_f\.bias, v\.ln_f\.bias; it is not a checkpoint of this model\."


@pytest.mark.parametrize(
    ("in_first", "in_second", "said"),
    [(True, False, f"has the unexpected {THREE}"), (False, True, f"lacks {THREE}"), (False, False, "")],
)
def test_only_what_is_learned_is_kept_and_what_does_not_fit_is_named(
    tmp_path: Path, in_first: bool, in_second: bool, said: str
) -> None:
    """As with an adapter, whose run is not one of all weights."""
    first, second = new_trainer(seed=1), new_trainer(seed=2)
    first.model.ln_f.bias.requires_grad_(in_first)
    second.model.ln_f.bias.requires_grad_(in_second)
    train(first, 1)
    save_checkpoint(tmp_path, first)
    assert ("model.ln_f.bias" in load_file(path_of(tmp_path, 1) / WHOLE)) == in_first
    if said:
        with pytest.raises(UserError, match=f"step-00000001 {said}"):
            load_checkpoint(tmp_path, second)
    else:
        load_checkpoint(tmp_path, second)
        assert torch.equal(second.model.wte.weight, first.model.wte.weight)


@pytest.mark.parametrize("damage", ["another shape", "one missing", "another kind"])
def test_moments_of_other_parameters_are_a_sentence(tmp_path: Path, damage: str) -> None:
    """Broadcast or left out, they would be learned with, silently."""
    trainer = new_trainer(seed=1)
    train(trainer, 1)
    save_checkpoint(tmp_path, trainer)
    path, name = path_of(tmp_path, 1) / WHOLE, "m.h.0.ln_1.weight"
    state = load_file(path)
    moment = state.pop(name)
    changed = {"another shape": {name: moment[:1]}, "one missing": {}, "another kind": {name: moment.int()}}[damage]
    save_file(state | changed, path)
    with pytest.raises(UserError, match=rf"{name}.*; it is not a checkpoint of this model\."):
        load_checkpoint(tmp_path, new_trainer(seed=1))
