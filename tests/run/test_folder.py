"""Lesson 09: a run's folder is its own, and what keeps it from being made or locked is a sentence."""

import errno
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from minigpt.errors import UserError
from minigpt.pretrained.tensor_files import resume_command
from minigpt.run import folder as folder_module
from minigpt.run.folder import Lock, new_folder, read_options, run_name, write_options


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
    with pytest.raises(UserError, match="precious is a file, not a folder"):
        new_folder(tmp_path / "a" / "run" / "precious" / "run", "rows")
    with pytest.raises(UserError, match="precious is a file, not a folder"):
        new_folder(tmp_path / "a" / "run" / "precious", "rows")


@pytest.mark.parametrize("kind", ["a link to nowhere", "a link to itself", "a file"])
@pytest.mark.parametrize("inside", ["", "deeper"])
def test_runs_that_is_no_folder_is_a_sentence_and_no_endless_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, inside: str
) -> None:
    """Every number under it was taken for one that exists already."""
    monkeypatch.chdir(tmp_path)
    if kind == "a file":
        Path("runs").touch()
    else:
        Path("runs").symlink_to("runs" if kind == "a link to itself" else tmp_path / "nowhere" / "runs")
    reason = "runs is a file, not a folder" if kind == "a file" else r"runs is a link to \S*runs, which does not exist"
    with pytest.raises(UserError, match=f"cannot be created: {reason}"):
        new_folder(Path("runs", inside, "mine") if inside else None, "rows-tiny")


def test_a_named_folder_that_is_a_link_to_nowhere_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "run").symlink_to("nowhere")
    with pytest.raises(UserError, match="run is a link to nowhere, which does not exist"):
        new_folder(tmp_path / "run", "rows")


def test_a_folder_that_may_not_be_written_and_a_name_too_long_are_sentences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"x cannot be created: File name too long\."):
        new_folder(tmp_path / ("x" * 300), "rows")

    def refused(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Path, "mkdir", refused)
    for run in (None, tmp_path / "run"):
        with pytest.raises(UserError, match=r"cannot be created: Permission denied\."):
            new_folder(run, "rows")


@pytest.mark.parametrize(
    ("data", "model", "name"),
    [
        ("builtin", "tiny", "builtin-tiny"),
        ("some/train.v2.jsonl.gz", "tiny", "train-tiny"),
        ("hf:openai/gsm8k:main", "gpt2", "gsm8k-main-gpt2"),
        ("a b/c  d\n$(e).jsonl", "tiny", "c-d-e-tiny"),
        ("Việt Nam.jsonl", "tiny", "Việt-Nam-tiny"),
        (".jsonl", "runs/first", "jsonl-first"),
        ("-.jsonl", "runs/first/model", "data-first"),
        ("..", "../models/mine/", "data-mine"),
        ("rows/", "tiny", "rows-tiny"),
    ],
)
def test_a_runs_name_is_that_of_its_data_and_its_model_in_characters_that_every_shell_takes(
    data: str, model: str, name: str
) -> None:
    assert run_name(data, model) == name


def test_a_runs_name_is_never_too_long_for_a_file_system(tmp_path: Path) -> None:
    long = 250 * "\U00020000"
    name = run_name(f"{long}.jsonl", long)
    assert len(f"{name}-{10**9}".encode()) <= 255


def test_the_command_that_resumes_a_run_can_be_pasted_into_a_shell() -> None:
    for folder in ("runs/a", "my run", "it's", "$HOME; ls", "-x"):
        name, *words = shlex.split(resume_command(Path(folder), "--lr", "0.1"))
        assert name == "python"
        assert words == [
            "-m", "minigpt.train", "--resume", "--run", "./-x" if folder == "-x" else folder, "--lr", "0.1"
        ]  # fmt: skip


def test_a_run_of_several_processes_is_resumed_by_as_many(tmp_path: Path) -> None:
    write_options(tmp_path, {"command": "train", "processes": 2})
    assert shlex.split(resume_command(tmp_path)) == [
        "torchrun", "--standalone", "--nproc-per-node", "2", "-m", "minigpt.train", "--", "--resume", "--run",
        str(tmp_path),
    ]  # fmt: skip
    write_options(tmp_path, {"processes": "two"})
    assert resume_command(tmp_path).startswith("python -m minigpt.train --resume")


def test_options_are_replaced_whole(tmp_path: Path) -> None:
    write_options(tmp_path, {"run": tmp_path, "data": ("ạ.jsonl",)})
    write_options(tmp_path, {"run": tmp_path, "steps": 3})
    assert read_options(tmp_path) == {"run": str(tmp_path), "steps": 3}
    assert [path.name for path in tmp_path.iterdir()] == ["options.json"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"sha256": 3}, {"sha256": {"a": 3}}, {"init_sha256": []}, {"changes": {}}, {"changes": [3]}, {"data": "a"},
        {"data": [3]}, {"valid": 3}, {"init": []}, {"derived": "steps"},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_malformed_in_it_is_a_sentence(tmp_path: Path, wrong: dict) -> None:
    write_options(tmp_path, {"sha256": {}, "init_sha256": {}, "changes": [{}]})
    read_options(tmp_path)
    write_options(tmp_path, {"sha256": {}, "init_sha256": {}, "changes": [{}]} | wrong)
    with pytest.raises(UserError, match=f"malformed {next(iter(wrong))}"):
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


NO_LOCKS = [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL, errno.EACCES, errno.EPERM]


@pytest.fixture(params=NO_LOCKS, ids=errno.errorcode.get)
def no_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system whose `flock` answers in one of the ways in which those without locks do."""
    fcntl = pytest.importorskip("fcntl")

    def refused(*_: object) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", refused)


def test_a_file_system_without_locks_is_used_with_a_warning(tmp_path: Path, no_locks: None, capsys) -> None:
    with Lock(tmp_path):
        pass
    warned = capsys.readouterr().err
    assert f"warning: the file system of {tmp_path} has no locks; take care that no second process" in warned
    assert len(warned.splitlines()) == 1
    assert not (tmp_path / "owner").exists()


def test_without_locks_a_process_that_runs_keeps_others_out_and_one_that_died_does_not(
    tmp_path: Path, no_locks: None
) -> None:
    refused = rf"in use by process {os.getpid()};.*remove .*owner"
    with Lock(tmp_path), pytest.raises(UserError, match=refused), Lock(tmp_path):
        pass
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for owner in (f"by process {dead.pid}\n", "", "by process x", "by process 99999999999999999999"):
        (tmp_path / "owner").write_text(owner)
        with Lock(tmp_path):
            pass


def test_a_lock_leaves_nothing_but_itself_behind(tmp_path: Path, capsys) -> None:
    with Lock(tmp_path):
        assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "owner"]
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
    assert capsys.readouterr().err == ""
