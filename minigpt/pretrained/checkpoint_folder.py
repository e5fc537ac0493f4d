"""A checkpoint's folder: its name, its step, and its tensors, whole or in parts. Read with lesson 16.

One process writes one file. Of several that share the weights each writes its rows with torch.distributed.checkpoint,
which says in the file's header at which row of the whole a tensor's part begins. They are opened here with safetensors
alone: what is read need not be whole, nor in as many parts as it was written in.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from minigpt.errors import UserError

NAME = re.compile(r"step-\d{8,}(\.pt)?")
EARLIER = ".pt"  # the one file of a checkpoint of earlier versions
STATE = "state.json"  # {"step": 10}
PLACES = "DCP_SHARDING_INFO"  # JSON in a file's header: {name: {"saved_offsets": [the part's first row, 0, ...]}}


def path_of(folder: Path, step: int) -> Path:
    return folder / f"step-{step:08d}"


def step_of(path: Path) -> int:
    """The step in a checkpoint's name."""
    return int(re.sub(r"\D", "", path.name))


def checkpoints(folder: Path) -> list[Path]:
    """All complete checkpoints, the latest last."""
    return sorted((path for path in folder.glob("step-*") if NAME.fullmatch(path.name)), key=step_of)


@dataclass
class Stored:
    """A tensor in a checkpoint's files. `parts` are the first row, the row after the last, and the file of each."""

    name: str
    dtype: torch.dtype
    width: list[int]  # the shape of a row
    parts: list[tuple[int, int, Path]] = field(default_factory=list)

    @property
    def shape(self) -> list[int]:
        return [self.parts[-1][1], *self.width]

    def copy_to(self, rows: Tensor, first: int = 0) -> None:
        """Copy the rows from `first` on into `rows`, as many as that has. Nothing else is held in memory: a file is
        opened for each of its tensors, or what was read of it would stay until the last."""
        for start, end, path in self.parts:
            a, b = max(start, first), min(end, first + len(rows))
            if a < b:
                with safe_open(path, framework="pt") as file:
                    rows[a - first : b - first].copy_(file.get_slice(self.name)[a - start : b - start])

    def read(self) -> Tensor:
        """The whole tensor; in one part it is the file's own pages, not a copy."""
        if len(self.parts) == 1:
            with safe_open(self.parts[0][2], framework="pt") as file:
                return file.get_tensor(self.name)
        whole = torch.empty(self.shape, dtype=self.dtype)
        self.copy_to(whole)
        return whole


def open_checkpoint(path: Path) -> dict[str, Stored]:
    """A checkpoint's tensors by name, none of which is read yet.

    UserError if it is incomplete or damaged, or was written by an earlier version.
    """
    refuse_earlier(path)
    try:
        if json.loads((path / STATE).read_bytes())["step"] != step_of(path):
            raise ValueError(f"{STATE} does not have the step of its folder")
        found: dict[str, Stored] = {}
        for file in sorted(path.glob("*.safetensors")):
            _open_file(file, found)
        for stored in found.values():
            stored.parts.sort()
            ends = [0, *(end for _, end, _ in stored.parts)]
            if [start for start, _, _ in stored.parts] != ends[:-1]:
                raise ValueError(f"rows of {stored.name} are missing, or there twice")
    except (OSError, SafetensorError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise damaged(path, error) from None
    return found


def _open_file(path: Path, found: dict[str, Stored]) -> None:
    with safe_open(path, framework="pt") as file:
        places = json.loads((file.metadata() or {}).get(PLACES, "{}"))
        for name in file.keys():  # noqa: SIM118 (it is no dictionary)
            part = file.get_slice(name)
            n, *width = part.get_shape()
            start, *columns = places[name]["saved_offsets"] if places else [0] * (1 + len(width))
            here = Stored(name, part[:0].dtype, width)
            stored = found.setdefault(name, here)
            if (stored.dtype, stored.width, columns) != (here.dtype, width, [0] * len(width)):
                raise ValueError(f"the parts of {name} do not fit together")
            stored.parts.append((start, start + n, path))


def refuse_earlier(path: Path) -> None:
    """UserError for a checkpoint of an earlier version, which is a pickle."""
    if path.suffix == EARLIER:
        raise UserError(
            f"{path} was written by an earlier version of minigpt and cannot be read by this one. Finish the run with "
            f"the version that started it, whose model this one reads, or start it again with --repeat "
            f"{path.parents[1]}."
        )


def damaged(path: Path, error: Exception) -> UserError:
    """What to say of a checkpoint that raises this when it is opened or read."""
    known = (UserError, SafetensorError, OSError)
    why = str(error)[:200] if isinstance(error, known) or type(error) is ValueError else type(error).__name__
    return UserError(f"{path} is not a checkpoint of this model ({getattr(error, 'strerror', None) or why}).")
