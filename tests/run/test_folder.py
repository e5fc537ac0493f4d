"""Lesson 09: a run's folder is its own, and what keeps it from being made or locked is a sentence."""

import errno
from pathlib import Path

import pytest

from minigpt.errors import UserError
from minigpt.run import folder as folder_module
from minigpt.run.folder import Lock, new_folder, read_options, write_options


def test_runs_are_numbered_from_one_and_a_gap_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [str(new_folder(None, "rows-tiny")) for _ in range(3)] == [f"runs/rows-tiny-{n}" for n in (1, 2, 3)]
    Path("runs/rows-tiny-2").rmdir()
    assert new_folder(None, "rows-tiny") == Path("runs/rows-tiny-2")


def test_a_folder_that_is_named_is_taken_if_it_is_new_or_empty(tmp_path: Path) -> None:
    for _ in range(2):
        assert new_folder(tmp_path / "a" / "run", "rows") == tmp_path / "a" / "run"
    (tmp_path / "a" / "run" / "precious").touch()
    with pytest.raises(UserError, match="run already exists; choose another --run, or continue it with --resume"):
        new_folder(tmp_path / "a" / "run", "rows")
    with pytest.raises(UserError, match="cannot be created"):
        new_folder(tmp_path / "a" / "run" / "precious" / "run", "rows")


def test_options_are_replaced_whole(tmp_path: Path) -> None:
    write_options(tmp_path, {"run": tmp_path, "data": ("ạ.jsonl",)})
    write_options(tmp_path, {"run": tmp_path, "steps": 3})
    assert read_options(tmp_path) == {"run": str(tmp_path), "steps": 3}
    assert [path.name for path in tmp_path.iterdir()] == ["options.json"]


@pytest.mark.parametrize("wrong", [{"sha256": 3}, {"init_sha256": []}, {"changes": {}}, {"changes": [3]}], ids=str)
def test_malformed_checksums_or_changes_are_a_sentence(tmp_path: Path, wrong: dict) -> None:
    write_options(tmp_path, {"sha256": {}, "init_sha256": {}, "changes": [{}]})
    read_options(tmp_path)
    write_options(tmp_path, {"sha256": {}, "init_sha256": {}, "changes": [{}]} | wrong)
    with pytest.raises(UserError, match="malformed sha256 or changes"):
        read_options(tmp_path)


def test_a_folder_in_use_says_by_whom_where_that_is_known(tmp_path: Path) -> None:
    with Lock(tmp_path):
        with pytest.raises(UserError, match=r"is in use by process \d+; wait"), Lock(tmp_path):
            pass
        (tmp_path / "owner").unlink()
        with pytest.raises(UserError, match="is in use by another process; wait"), Lock(tmp_path):
            pass
    with Lock(tmp_path):
        assert (tmp_path / "owner").exists()
    assert not (tmp_path / "owner").exists()


def test_a_lock_that_cannot_be_written_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system that can only be read, say."""

    def refused(lock: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(folder_module.FileLock, "acquire", refused)
    with pytest.raises(UserError, match="lock cannot be written: Read-only file system"), Lock(tmp_path):
        pass


def test_a_name_that_is_no_text_is_read_back_as_it_was(tmp_path: Path) -> None:
    """A file's name is bytes; those that are no UTF-8 arrive as lone surrogates."""
    values = {"data": ["caf\udce9.jsonl", "Đường"], "sha256": {"caf\udce9.jsonl": "0"}}
    write_options(tmp_path, values)
    assert read_options(tmp_path) == values
    assert "Đường" in (tmp_path / "options.json").read_text("utf-8")
