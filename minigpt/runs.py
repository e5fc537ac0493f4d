"""A run's folder: whose it is, what it was asked for, and what was changed on its way. Read with lesson 09."""

import contextlib
import json
import os
from dataclasses import dataclass, fields
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout

from minigpt.errors import UserError
from minigpt.reading import read_object

# What a run cannot change on its way: its rows, its tokens, the shape of its model.
FIXED = ("init", "size", "data", "skip_bad", "valid", "template", "tokenizer", "max_length", "seed")
# What changes what is told and kept of a run, and nothing of what it learns.
FREE = ("checkpoint_every", "keep", "eval_every", "accuracy_rows")
# What changes how numbers are rounded, and what is learned no further than that.
ROUNDING = ("device", "dtype", "math", "compile", "micro_batch_size")
STORY = ("run", "resume", "repeat")  # not what was asked for, but how


def new_folder(run: Path | None, name: str) -> Path:
    """A folder that nothing was in: `run`, or the next free number under runs/."""
    for folder in [run] if run else (Path("runs") / f"{name}-{n}" for n in count(1)):
        try:
            folder.mkdir(parents=True, exist_ok=run is not None and not any(folder.glob("*")))
            return folder
        except FileExistsError:
            continue
        except OSError as error:
            raise UserError(f"{folder} cannot be made: {error.strerror}.") from None
    raise UserError(f"{run} is there already; choose another --run, or go on with it by --resume.")


def write_options(folder: Path, values: dict) -> None:
    """options.json: what this run was asked for, enough to repeat it; replaced at once, so it is always whole."""
    aside = folder / "options.json.new"
    aside.write_text(json.dumps(values, indent=2, default=str, ensure_ascii=False) + "\n", encoding="utf-8")
    aside.replace(folder / "options.json")


def read_options(folder: Path) -> dict:
    """What options.json holds; UserError for a folder that is no run's."""
    path = folder / "options.json"
    values = read_object(path, f"{folder} is not the folder of a run")
    checksums = [values.get(key, {}) for key in ("sha256", "init_sha256")]
    changes = values.get("changes", [])
    if not all(isinstance(value, dict) for value in [*checksums, *(changes if isinstance(changes, list) else [None])]):
        raise UserError(f"{path} does not hold a run's options: its checksums or its changes are none.")
    return values


def as_arguments(options: type, values: dict) -> list[str]:
    """options.json's values as a command line gives them, to be read and checked like one."""
    arguments = []
    for field in fields(options):
        if field.name in STORY or values.get(field.name) is None:
            continue
        name, value = field.name.replace("_", "-"), values[field.name]
        if isinstance(value, bool):
            arguments.append(f"--{name}" if value else f"--no-{name}")
        else:
            arguments += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
    return arguments


@dataclass(frozen=True)
class Changes:
    """Options that are not what they were when a run began: what each was, and what it is now."""

    earlier: dict
    found: dict[str, tuple]
    repeating: bool

    @classmethod
    def between(cls, earlier: dict, now: dict, repeating: bool) -> "Changes":
        """UserError for a change that would make another run of it."""
        now = json.loads(json.dumps(now, default=str))  # as options.json spells it
        found = {k: (earlier.get(k), v) for k, v in now.items() if k not in STORY and earlier.get(k) != v}
        for name, (was, becomes) in found.items():
            option = f"--{name.replace('_', '-')}"
            if repeating and name not in FREE + ROUNDING:
                raise UserError(f"{option} was {was!r} in the run to repeat; with {becomes!r} it would be another run.")
            if name in FIXED:
                raise UserError(
                    f"{option} was {was!r} when the run began and cannot become {becomes!r} on the way; "
                    "begin a new run, with --init to go on from this one's weights."
                )
        if repeating and earlier.get("changes"):
            first = earlier["changes"][0]
            raise UserError(
                f"The run to repeat was changed on its way: {first.get('option')} at step {first.get('step')}; "
                "no run that keeps to its options gives the same."
            )
        return cls(earlier, found, repeating)

    def check_files(self, now: dict) -> None:
        """UserError if the data or the weights to start from are no longer what the run began with."""
        for key in ("sha256", "init_sha256"):
            was = self.earlier.get(key, {})
            if differing := [name for name in was if was[name] != now[key].get(name)]:
                raise UserError(
                    f"{', '.join(differing)} changed since the run began (its SHA-256 is another); "
                    "what follows would not be that run."
                )
        if self.repeating and (was := (self.earlier.get("version"), self.earlier.get("torch"))) != (
            now["version"],
            now["torch"],
        ):
            print(
                f"The run was made with minigpt {was[0]} and torch {was[1]}, this is {now['version']} and "
                f"{now['torch']}: the last digits may differ."
            )

    def recorded(self, story: dict, step: int) -> dict:
        """options.json for a run that goes on with these changes."""
        new = [{"step": step, "option": k, "from": was, "to": is_now} for k, (was, is_now) in self.found.items()]
        return story | {"changes": [*self.earlier.get("changes", []), *new]}

    def in_words(self, step: int) -> str:
        said = []
        for name, (was, becomes) in self.found.items():
            if name in FREE:
                follows = "the training is the same"
            elif name in ROUNDING:
                follows = "the training is the same, but for rounding"
            else:
                follows = f"from step {step + 1} on the training differs from the original run"
            said.append(f"changed --{name.replace('_', '-')} {was} to {becomes}: {follows}")
        return "\n".join(said)


@dataclass
class Lock:
    """Keeps a second process out of a run's folder while this one works in it; the file `owner` says which one works.

    The operating system releases the lock when its owner dies, however that happens, so files left behind are no
    obstacle.
    """

    folder: Path

    def __enter__(self) -> "Lock":
        self._lock, owner = FileLock(self.folder / "lock", timeout=0), self.folder / "owner"
        try:
            self._lock.acquire()
            while not (self.folder / "lock").exists():  # its former owner removed the file just before it became ours
                self._lock.release()
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
        with contextlib.suppress(PermissionError):  # Windows removes no open file; one left behind does no harm
            (self.folder / "lock").unlink(missing_ok=True)
        self._lock.release()
