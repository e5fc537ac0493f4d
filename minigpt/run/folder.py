"""A run's folder: its name, its lock and its options.json."""

import contextlib
import json
import os
import re
import tempfile
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout

from minigpt.errors import UserError, warn
from minigpt.reading import read_object

RUNS = Path("runs")
LONGEST_STEM = 30  # characters; two stems of four bytes a character stay within the 255 that file systems allow
NOT_COMPARED = ("run", "resume", "repeat")  # where a run is and how it was started, not what it computes


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _text_of_texts(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(one, str) for one in value.values())


# What is read from options.json other than as a command line's arguments, which are checked as such.
SHAPES = {
    **dict.fromkeys(("sha256", "init_sha256", "tokenizer_sha256", "reward_sha256"), _text_of_texts),
    **dict.fromkeys(("data", "derived"), _texts),
    **dict.fromkeys(
        ("valid", "init", "tokenizer", "reward", "command"), lambda value: value is None or isinstance(value, str)
    ),
    "changes": lambda value: isinstance(value, list) and all(isinstance(one, dict) for one in value),
}


def new_folder(run: Path | None, name: str) -> Path:
    """Create an empty folder: `run`, or the next free number under runs/. UserError if that is not possible."""
    if run:
        check_free(run)
    for folder in [run] if run else (RUNS / f"{name}-{n}" for n in count(1)):
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(_obstacle(folder.parent, error.strerror)) from None
        try:
            folder.mkdir(exist_ok=run is not None)
            return folder
        except FileExistsError:
            continue
        except OSError as error:
            raise UserError(_obstacle(folder, error.strerror)) from None


def check_free(run: Path) -> None:
    """UserError if the folder exists and is not empty, or is a file."""
    if os.path.lexists(run) and not os.path.isdir(run):
        raise UserError(_obstacle(run, "it is a file"))
    try:
        taken = os.path.isdir(run) and any(os.scandir(run))
    except OSError as error:
        raise UserError(f"{run} cannot be read: {error.strerror}.") from None
    if taken:
        raise UserError(f"{run} already exists; choose another --run, or continue it with --resume.")


def _obstacle(folder: Path, reason: str) -> str:
    """Why this folder cannot be created."""
    for path in [*reversed(folder.parents), folder]:
        if os.path.islink(path) and not os.path.exists(path):
            reason = f"{path} is a link to {os.readlink(path)}, which does not exist"
            break
        if os.path.exists(path) and not os.path.isdir(path):
            reason = f"{path} is a file, not a folder"
            break
    return f"{folder} cannot be created: {reason}."


def run_name(data: str, model: str) -> str:
    """A run's name from its first data and its size, or the model that it begins with: train-tiny for some/train.jsonl.

    What not every file system or shell takes in a name becomes a hyphen.
    """
    return f"{_stem(data)}-{_stem(model)}"


def _stem(name: str) -> str:
    """gsm8k-main for hf:openai/gsm8k:main, and first for runs/first or runs/first/model."""
    path = Path(name)
    if path.name == "model" and path.parent.name:
        path = path.parent
    stem = (path.name or path.resolve().name).lstrip(".").split(".")[0]
    return re.sub(r"[^\w-]+", "-", stem).strip("-_")[:LONGEST_STEM].rstrip("-_") or "data"


def write_options(folder: Path, values: dict) -> None:
    """Write options.json: every option of the run, enough to repeat it; replaced atomically."""
    incoming = folder / "options.json.new"
    text = json.dumps(values, indent=2, default=str, ensure_ascii=False) + "\n"
    # A file's name may hold bytes that are no character; JSON can say them with a backslash.
    incoming.write_text(text, encoding="utf-8", errors="backslashreplace")
    incoming.replace(folder / "options.json")


def read_options(folder: Path) -> dict:
    """Read options.json; UserError if the folder is not a run's or the file is malformed."""
    path = folder / "options.json"
    values = read_object(path, f"{folder} is not a run's folder")
    wrong = [name for name, is_right in SHAPES.items() if name in values and not is_right(values[name])]
    if wrong:
        raise UserError(f"{path} does not hold a run's options: malformed {' and '.join(wrong)}.")
    return values


@dataclass
class Lock:
    """Keeps a second process out of a run's folder; the file `owner` names the process that is using it.

    The operating system releases the lock when its owner dies, however that happens, so a killed process leaves
    nothing that blocks the next one. The file `lock` is not deleted: between deleting and releasing it, two processes
    could hold two files of that name. On a file system without locks the process named in `owner` keeps others out as
    long as it runs; that is not certain, so a warning says so.
    """

    folder: Path

    def __enter__(self) -> "Lock":
        self._lock, owner = FileLock(self.folder / "lock", timeout=0), self.folder / "owner"
        try:
            process = owner.read_text().strip() if owner.exists() else "by another process"
            if can_lock(self.folder):
                self._lock.acquire()
            elif is_running(process):
                raise UserError(
                    f"{self.folder} is in use {process}; wait until it ends, or stop it. Its file system has no locks, "
                    f"so if that process is not training there, remove {owner}."
                )
            else:
                warn(
                    f"the file system of {self.folder} has no locks; take care that no second process uses this run's "
                    "folder at the same time."
                )
            owner.write_text(f"by process {os.getpid()}\n")
        except Timeout:
            raise UserError(f"{self.folder} is in use {process}; wait until it ends, or stop it.") from None
        except OSError as error:
            raise UserError(f"{self.folder / 'lock'} cannot be written: {error.strerror or error}.") from None
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(OSError):  # the file system may have gone; the system releases the lock in any case
            (self.folder / "owner").unlink(missing_ok=True)
            self._lock.release()


def can_lock(folder: Path) -> bool:
    """Whether the folder's file system has locks, tried on a new file that nobody else can have locked."""
    try:
        import fcntl
    except ImportError:  # Windows, which always has them
        return True
    with contextlib.suppress(OSError), tempfile.TemporaryFile(dir=folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def is_running(process: str) -> bool:
    """Whether there is a process of the number in the file `owner`."""
    try:
        os.kill(int(process.split()[-1]), 0)  # signal 0 is never sent; only the process is looked for
    except PermissionError:  # another user's
        return True
    except (ValueError, IndexError, OSError, OverflowError):
        return False
    return True
