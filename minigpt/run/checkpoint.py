"""Checkpoints, from which an interrupted run continues exactly, with as many processes as there are then.

One format, whoever writes it: a folder step-00000010/ with every learned tensor and its moments (`model.NAME`, `m.NAME`
and `v.NAME`) in safetensors files, and state.json with the step. What is frozen comes from --init.
"""

import json
import math
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from minigpt.errors import UserError, warn
from minigpt.learn.trainer import Trainer
from minigpt.pretrained.checkpoint_folder import STATE, checkpoints, damaged, open_checkpoint, path_of, step_of
from minigpt.pretrained.folder import check_finite
from minigpt.pretrained.tensor_files import listed
from minigpt.run.flush import flush

INCOMING = "incoming"  # being written
OUTGOING = "outgoing"  # being removed
WHOLE = "tensors.safetensors"  # the one file of one process
FIRST_TO_SHARD = (2, 9)  # the first version of torch whose writer takes save_distributed


def check_torch() -> None:
    """UserError if this version of torch cannot write the checkpoints of a sharded run."""
    if torch.__version__ < FIRST_TO_SHARD:
        raise UserError(
            f"--shard writes its checkpoints with torch {'.'.join(map(str, FIRST_TO_SHARD))} or later; this is "
            f"{torch.__version__}."
        )


def learned(trainer: Trainer) -> dict[str, Tensor]:
    """Every tensor of a checkpoint by its name. Moments that do not exist yet are 0, as Adam has them at its start."""
    found = {}
    for name, parameter in trainer.model.named_parameters():
        if parameter.requires_grad:
            theta, state = parameter.detach(), trainer.optimizer.state[parameter]
            for moment in "mv":
                if moment not in state:
                    state[moment] = torch.zeros_like(theta)
            found |= {f"model.{name}": theta, f"m.{name}": state["m"], f"v.{name}": state["v"]}
    return found


def own_rows(tensor: Tensor) -> tuple[Tensor, int]:
    """The rows of a tensor that this process has, and the number of the first: all, or its part if it is sharded."""
    if not hasattr(tensor, "to_local"):
        return tensor, 0
    mesh = tensor.device_mesh
    return tensor.to_local(), mesh.get_local_rank() * math.ceil(len(tensor) / mesh.size())


def save_checkpoint(folder: Path, trainer: Trainer, keep: int = 2) -> None:
    """Write weights, moments and step; the last `keep` checkpoints are kept. Every process of the run takes part.

    Written to another name, flushed to disk, then renamed atomically: whenever a process or the machine dies, the
    folder always contains a complete checkpoint. One of the same step stays as it is, as a step has the same state
    however often it is reached. UserError, in every process, if it cannot be written, or if a weight is NaN or
    infinite; the earlier checkpoints are then unchanged.
    """
    team, path, aside = trainer.team, path_of(folder, trainer.step), folder / INCOMING
    kept = checkpoints(folder)
    former = f"{kept[-1]} is unchanged" if kept else "there is no earlier one"
    tensors = learned(trainer)
    weights = [own_rows(tensor)[0] for name, tensor in tensors.items() if name.startswith("model.")]
    if team.any(int(not all(torch.isfinite(rows).all() for rows in weights))):
        raise UserError(
            f"After step {trainer.step} a weight is NaN or infinite, so no checkpoint is written; {former}."
        )

    def attempt(work: Callable[[], None]) -> None:
        try:
            work()
        except (OSError, SafetensorError) as error:
            if team.leads:
                shutil.rmtree(aside, ignore_errors=True)
            what = f"The checkpoint of step {trainer.step} cannot be written to {folder}"
            raise UserError(f"{what} ({words(error)}); {former}.") from None

    def begin() -> None:
        clear(folder / OUTGOING)
        clear(aside)
        aside.mkdir(parents=True)
        if not trainer.sharded:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, aside / WHOLE)

    def finish() -> None:
        (aside / STATE).write_text(json.dumps({"step": trainer.step}) + "\n")
        for file in sorted(aside.iterdir()):
            shutil.copymode(aside / STATE, file)  # safetensors makes files that only their owner can read
            flush(file, of=folder)
        flush(aside, of=folder)
        aside.replace(path)
        flush(folder, of=folder)

    if not team.once(path.is_dir):
        team.once(partial(attempt, begin))
        if trainer.sharded:
            attempt(partial(write_parts, aside, tensors))
        team.once(partial(attempt, finish))
    team.once(partial(remove_all_but, folder, keep))


def write_parts(folder: Path, tensors: dict[str, Tensor]) -> None:
    """Each process writes its rows of every tensor, and flushes them. OSError in all if one cannot.

    torch's writer has a copy of these rows in memory meanwhile.
    """
    import torch.distributed.checkpoint as engine  # which takes a second to import

    try:
        writer = engine.HuggingFaceStorageWriter(str(folder), save_distributed=True)
        engine.save(tensors, storage_writer=writer)
    except engine.CheckpointException as error:  # a BaseException
        cause = next(iter(error.failures.values()))[0]
        raise OSError(0, words(cause)) if isinstance(cause, Exception) else cause from None


def words(error: Exception) -> str:
    """What went wrong, in the words of the operating system where they are among the error's."""
    return getattr(error, "strerror", None) or re.sub(r" \(os error \d+\)$", "", str(error).rpartition(": ")[2])


def remove_all_but(folder: Path, keep: int) -> None:
    """Remove all but the last `keep` checkpoints, each renamed first: what is left of it when the process dies has no
    checkpoint's name."""
    for old in checkpoints(folder)[:-keep]:
        try:
            clear(folder / OUTGOING)
            old.replace(folder / OUTGOING)
            flush(folder, of=folder)
            clear(folder / OUTGOING)
        except OSError as error:
            warn(f"{old} cannot be removed: {error.strerror or error}.")


def clear(path: Path) -> None:
    """Remove a folder or a file if it exists."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def load_checkpoint(folder: Path, trainer: Trainer) -> None:
    """Restore `trainer` from the latest checkpoint, each process what it has of the model.

    UserError if it is missing, broken or of another model; nothing is then read of it.
    """
    kept = checkpoints(folder)
    if not kept:
        raise UserError(f"There is no checkpoint in {folder} to resume from.")

    def restore() -> None:
        try:
            read_checkpoint(kept[-1], trainer)
        except UserError as error:
            before = f"; remove it to resume from {kept[-2]}" if len(kept) > 1 else ""
            raise UserError(f"{str(error).removesuffix('.')}{before}.") from None

    trainer.team.in_turn(restore)


def read_checkpoint(path: Path, trainer: Trainer) -> None:
    """Read into the tensors that are there, one after the other. The learning rate and the rest of what Adam needs come
    from the trainer's own recipe."""
    stored, own = open_checkpoint(path), learned(trainer)
    for problem, names in (("lacks", own.keys() - stored.keys()), ("has the unexpected", stored.keys() - own.keys())):
        if names:
            raise UserError(f"{path} {problem} {listed(names)}; it is not a checkpoint of this model.")
    for name, tensor in own.items():
        found, expected = ((list(each.shape), each.dtype) for each in (stored[name], tensor))
        if found != expected:
            has, requires = (f"{dtype} {shape}".removeprefix("torch.") for shape, dtype in (found, expected))
            raise UserError(
                f"{path}: {name} is {has}, and the model requires {requires}; it is not a checkpoint of this model."
            )
    try:
        if trainer.team.leads:
            for name in filter(lambda name: name.startswith("model."), own):
                check_finite(path, {name: stored[name].read()})
        for name, tensor in own.items():
            stored[name].copy_to(*own_rows(tensor))
    except (OSError, SafetensorError) as error:
        raise damaged(path, error) from None
    trainer.step = step_of(path)
    for group in trainer.optimizer.param_groups:
        group["step"] = trainer.step
