"""Lesson 09: whenever a process or the machine dies, a checkpoint is whole or not there."""

import copy
import errno
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from minigpt.errors import UserError
from minigpt.run import checkpoint
from minigpt.run.checkpoint import (
    INCOMING,
    OUTGOING,
    STATE,
    WHOLE,
    checkpoints,
    load_checkpoint,
    path_of,
    save_checkpoint,
)
from tests.run.test_checkpoint import content, new_trainer, train


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


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        UserError, match=r"step 0 cannot be written to .*file/checkpoint \(Not a directory\); there is no"
    ):
        save_checkpoint(tmp_path / "file" / "checkpoint", new_trainer(seed=1))
