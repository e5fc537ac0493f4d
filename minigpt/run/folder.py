"""A run's folder: its name, its lock and its options.json."""

import json
import os
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout

from minigpt.errors import UserError
from minigpt.reading import read_object

NOT_COMPARED = ("run", "resume", "repeat")  # where a run is and how it was started, not what it computes


def new_folder(run: Path | None, name: str) -> Path:
    """Create an empty folder: `run`, or the next free number under runs/."""
    for folder in [run] if run else (Path("runs") / f"{name}-{n}" for n in count(1)):
        try:
            folder.mkdir(parents=True, exist_ok=run is not None and not any(folder.glob("*")))
            return folder
        except FileExistsError:
            continue
        except OSError as error:
            raise UserError(f"{folder} cannot be created: {error.strerror}.") from None
    raise UserError(f"{run} already exists; choose another --run, or continue it with --resume.")


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
    checksums = [values.get(key, {}) for key in ("sha256", "init_sha256")]
    changes = values.get("changes", [])
    if not all(isinstance(value, dict) for value in [*checksums, *(changes if isinstance(changes, list) else [None])]):
        raise UserError(f"{path} does not hold a run's options: malformed sha256 or changes.")
    return values


@dataclass
class Lock:
    """Keeps a second process out of a run's folder; the file `owner` names the process that is using it.

    The operating system releases the lock when its owner dies, however that happens, so a killed process leaves
    nothing that blocks the next one. The file `lock` is not deleted: between deleting and releasing it, two processes
    could hold two files of that name.
    """

    folder: Path

    def __enter__(self) -> "Lock":
        self._lock, owner = FileLock(self.folder / "lock", timeout=0), self.folder / "owner"
        try:
            self._lock.acquire()
        except Timeout:
            process = owner.read_text().strip() if owner.exists() else "by another process"
            raise UserError(f"{self.folder} is in use {process}; wait until it ends, or stop it.") from None
        except OSError as error:
            raise UserError(f"{self.folder / 'lock'} cannot be written: {error.strerror}.") from None
        owner.write_text(f"by process {os.getpid()}\n")
        return self

    def __exit__(self, *exception: object) -> None:
        (self.folder / "owner").unlink(missing_ok=True)
        self._lock.release()
