"""Lesson 09: what a file system cannot flush to disk is said once, and what is lost is an error."""

import errno
import os
import stat
from pathlib import Path

import pytest

from minigpt.errors import UserError
from minigpt.run import flush as flushing
from minigpt.run.checkpoint import (
    checkpoints,
    path_of,
    save_checkpoint,
)
from minigpt.run.flush import flush
from tests.run.test_checkpoint import new_trainer


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
