"""Lesson 09: a resumed run is the uninterrupted one, bit for bit; and a checkpoint is whole or not there."""

import copy
import errno
import os
import pickle
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.torch_version import TorchVersion

from minigpt import GPT, GPTConfig
from minigpt.errors import UserError
from minigpt.learn.trainer import Recipe, Trainer
from minigpt.run import checkpoint
from minigpt.run import flush as flushing
from minigpt.run.checkpoint import (
    INCOMING,
    OUTGOING,
    STATE,
    WHOLE,
    check_torch,
    checkpoints,
    load_checkpoint,
    path_of,
    save_checkpoint,
)
from minigpt.run.flush import flush
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


def content(path: Path) -> dict[str, bytes]:
    """A checkpoint's files."""
    return {file.name: file.read_bytes() for file in path.iterdir()}


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


def write_half(tensors: dict, path: Path) -> None:
    path.write_bytes(b"half of it")
    raise OSError(errno.ENOSPC, "No space left on device")


def write_half_of_it_in_safetensors_words(tensors: dict, path: Path) -> None:
    path.write_bytes(b"half of it")
    raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


def refuse(*_: object, **more: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("target", "name", "failure"),
    [
        (checkpoint, "save_file", write_half),
        (checkpoint, "save_file", write_half_of_it_in_safetensors_words),
        (checkpoint, "save_file", refuse),
        (Path, "write_text", refuse),
        (Path, "replace", refuse),
        (os, "fsync", refuse),
    ],
    ids=[
        "full disk",
        "full disk, as it is said",
        "killed at once",
        "before its step",
        "before the exchange",
        "flushing",
    ],
)
def test_a_save_that_fails_leaves_the_former_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: object, name: str, failure: Callable
) -> None:
    trainer = new_trainer(seed=1)
    train(trainer, 1)
    save_checkpoint(tmp_path, trainer)
    former, weights = content(path_of(tmp_path, 1)), copy.deepcopy(trainer.model.state_dict())
    train(trainer, 1)
    with monkeypatch.context() as patch:
        patch.setattr(target, name, failure)
        with pytest.raises((UserError, KeyboardInterrupt)) as caught:
            save_checkpoint(tmp_path, trainer)
    if caught.type is UserError:
        assert "(No space left on device)" in str(caught.value)
        assert "step-00000001 is unchanged" in str(caught.value)
        assert not (tmp_path / INCOMING).exists()
    assert content(path_of(tmp_path, 1)) == former
    assert checkpoints(tmp_path) == [path_of(tmp_path, 1)]
    resumed = new_trainer(seed=2)
    load_checkpoint(tmp_path, resumed)
    assert resumed.step == 1
    assert all(torch.equal(weights[key], tensor) for key, tensor in resumed.model.state_dict().items())

    save_checkpoint(tmp_path, trainer)
    load_checkpoint(tmp_path, resumed)
    assert resumed.step == 2, "what the failed save left behind is in nobody's way"
    assert sorted(tmp_path.iterdir()) == [path_of(tmp_path, 1), path_of(tmp_path, 2)]


def test_a_removal_that_is_cut_short_leaves_nothing_that_looks_like_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = new_trainer(seed=1)
    save_checkpoint(tmp_path, trainer, keep=1)
    train(trainer, 1)

    def killed(path: Path) -> None:
        (path / STATE).unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(tmp_path, trainer, keep=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [OUTGOING, "step-00000001"]
    assert checkpoints(tmp_path) == [path_of(tmp_path, 1)]
    train(trainer, 1)
    save_checkpoint(tmp_path, trainer, keep=2)
    assert sorted(tmp_path.iterdir()) == [path_of(tmp_path, 1), path_of(tmp_path, 2)]


def test_a_checkpoint_that_cannot_be_removed_is_named_and_the_new_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = new_trainer(seed=1)
    save_checkpoint(tmp_path, trainer, keep=1)
    train(trainer, 1)

    def denied(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(shutil, "rmtree", denied)
    save_checkpoint(tmp_path, trainer, keep=1)
    assert f"warning: {path_of(tmp_path, 0)} cannot be removed: Permission denied." in capsys.readouterr().err
    assert checkpoints(tmp_path) == [path_of(tmp_path, 1)]


def test_a_step_that_has_its_checkpoint_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal after a checkpoint saves the same state again; a folder cannot take another's place at once."""
    trainer = new_trainer(seed=1)
    train(trainer, 1)
    save_checkpoint(tmp_path, trainer)
    before = content(path_of(tmp_path, 1))
    monkeypatch.setattr(checkpoint, "save_file", refuse)
    save_checkpoint(tmp_path, trainer)
    assert content(path_of(tmp_path, 1)) == before
    assert list(tmp_path.iterdir()) == [path_of(tmp_path, 1)]


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is flushed, renamed and removed, in this order. What is flushed is a file's content, or a folder's names."""
    events: list[tuple[str, str]] = []
    fsync, replace, rmtree = os.fsync, Path.replace, shutil.rmtree

    def flushed(handle: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(handle).st_mode)
        size = 0 if is_folder else os.fstat(handle).st_size
        events.append(("names flushed", "") if is_folder else ("content flushed", str(size)))
        fsync(handle)

    def renamed(path: Path, target: Path) -> Path:
        events.append(("renamed", f"{path.name} to {target.name}"))
        return replace(path, target)

    def removed(path: Path) -> None:
        events.append(("removed", path.name))
        rmtree(path)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(Path, "replace", renamed)
    monkeypatch.setattr(shutil, "rmtree", removed)
    return events


@pytest.mark.skipif(os.name == "nt", reason="a folder cannot be flushed on Windows, and need not be")
def test_a_checkpoint_is_on_disk_before_it_gets_its_name_and_both_before_an_older_one_goes(
    tmp_path: Path, seen: list[tuple[str, str]]
) -> None:
    """After a power failure at any instant the disk holds a complete checkpoint under its name."""
    trainer = new_trainer(seed=1)
    save_checkpoint(tmp_path, trainer, keep=1)
    trainer.step = 1
    seen.clear()
    save_checkpoint(tmp_path, trainer, keep=1)
    assert seen == [
        *(("content flushed", str((path_of(tmp_path, 1) / file).stat().st_size)) for file in (STATE, WHOLE)),
        ("names flushed", ""),
        ("renamed", f"{INCOMING} to step-00000001"),
        ("names flushed", ""),
        ("renamed", f"step-00000000 to {OUTGOING}"),
        ("names flushed", ""),
        ("removed", OUTGOING),
    ]


@pytest.mark.skipif(os.name == "nt", reason="a folder cannot be flushed on Windows, and need not be")
@pytest.mark.parametrize(
    ("number", "is_tolerated"),
    [
        *((number, True) for number in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EACCES, errno.EPERM)),
        *((number, False) for number in (errno.EIO, errno.ENOSPC, errno.EDQUOT)),
    ],
)
def test_only_a_file_system_that_cannot_flush_a_folder_may_refuse_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, number: int, is_tolerated: bool
) -> None:
    """Others mean that the name may be lost, and the run has to say so."""
    monkeypatch.setattr(flushing, "warned", set())
    trainer, fsync, handles = new_trainer(seed=1), os.fsync, []

    def refused(handle: int) -> None:
        if not stat.S_ISDIR(os.fstat(handle).st_mode):
            return fsync(handle)
        handles.append(handle)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refused)
    if is_tolerated:
        for _ in range(2):
            save_checkpoint(tmp_path, trainer)
            trainer.step += 1
        assert checkpoints(tmp_path) == [path_of(tmp_path, 0), path_of(tmp_path, 1)]
        warnings = capsys.readouterr().err
        assert f"warning: the file system of {tmp_path} cannot flush to disk ({os.strerror(number)})" in warnings
        assert len(warnings.splitlines()) == 1, "once is enough"
    else:
        with pytest.raises(UserError, match=f"step 0 cannot be written .*{os.strerror(number)}"):
            save_checkpoint(tmp_path, trainer)
    assert len(handles) == (4 if is_tolerated else 1)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(handles[-1])


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP])
def test_a_file_system_that_cannot_flush_a_file_keeps_the_checkpoint_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, number: int
) -> None:
    monkeypatch.setattr(flushing, "warned", set())

    def refused(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refused)
    save_checkpoint(tmp_path, new_trainer(seed=1))
    assert checkpoints(tmp_path) == [path_of(tmp_path, 0)]
    assert "after a power failure the last checkpoint may be missing" in capsys.readouterr().err


def test_a_folder_that_cannot_be_listed_keeps_the_checkpoint_too(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    flush(tmp_path, of=tmp_path)


def test_where_a_folder_cannot_be_opened_none_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows."""

    def denied(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", denied)
        patch.setattr(os, "name", "nt")
        flush(tmp_path, of=tmp_path)


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
