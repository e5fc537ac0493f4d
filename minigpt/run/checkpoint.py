"""Checkpoints, from which an interrupted run continues exactly."""

import errno
import os
from pathlib import Path

import torch
from torch import Tensor

from minigpt.errors import UserError, warn
from minigpt.learn.trainer import Trainer
from minigpt.pretrained.folder import check_finite
from minigpt.pretrained.tensor_files import DAMAGED

INCOMING = "incoming.pt"
# What means that the data is not on disk. Others mean that this file system does not flush, or not for this user.
LOST = (errno.EIO, errno.ENOSPC, errno.EDQUOT)
warned: set[Path] = set()  # folders whose file system was found to be such a one


def path_of(folder: Path, step: int) -> Path:
    return folder / f"step-{step:08d}.pt"


def checkpoints(folder: Path) -> list[Path]:
    """All complete checkpoints, the latest last."""
    return sorted(folder.glob("step-*.pt"))


def save_checkpoint(folder: Path, trainer: Trainer, keep: int = 2) -> None:
    """Write weights, moments, step and random state; the last `keep` checkpoints are kept.

    Written to another name, flushed to disk, then renamed atomically: whenever the process or the machine dies, the
    folder always contains a complete checkpoint. UserError if it cannot be written, or if a weight is NaN or infinite;
    the earlier checkpoints are then unchanged.
    """
    kept = checkpoints(folder)
    former = f"{kept[-1]} is unchanged" if kept else "there is no earlier one"
    if not all(torch.isfinite(parameter).all() for parameter in trainer.model.parameters()):
        raise UserError(
            f"After step {trainer.step} a weight is NaN or infinite, so no checkpoint is written; {former}."
        )
    moments = [trainer.optimizer.state[p] for p in trainer.model.parameters() if trainer.optimizer.state[p]]
    state = {
        "step": trainer.step,
        "model": dict(trainer.model.state_dict()),
        "m": [moment["m"] for moment in moments],
        "v": [moment["v"] for moment in moments],
        **random_state(trainer.model.device),
    }
    aside = folder / INCOMING
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            torch.save(state, file)
            file.flush()
            flush_to_disk(file.fileno(), folder)
        aside.replace(path_of(folder, trainer.step))
        flush_names(folder)
    except (OSError, RuntimeError) as error:  # torch raises RuntimeError when the disk is full
        aside.unlink(missing_ok=True)
        why = error.strerror if isinstance(error, OSError) else "the disk may be full"
        raise UserError(
            f"The checkpoint of step {trainer.step} cannot be written to {folder} ({why}); {former}."
        ) from None
    for old in checkpoints(folder)[:-keep]:
        old.unlink()


def flush_names(folder: Path) -> None:
    """Flush the folder, so that a renamed file's new name survives a power failure."""
    if os.name == "nt":  # a folder cannot be opened there, and need not be
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # a folder that may be written to but not listed
        return
    try:
        flush_to_disk(handle, folder)
    finally:
        os.close(handle)


def flush_to_disk(handle: int, folder: Path) -> None:
    """Flush an open file or folder; where the file system of `folder` cannot do that, warn once and continue."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno in LOST:
            raise
        if folder not in warned:
            warned.add(folder)
            warn(
                f"the file system of {folder} cannot flush to disk ({error.strerror}); after a power failure the last "
                "checkpoint may be missing or incomplete."
            )


def load_checkpoint(folder: Path, trainer: Trainer) -> None:
    """Restore `trainer` from the latest checkpoint. UserError if it is missing, broken or of another model."""
    kept = checkpoints(folder)
    if not kept:
        raise UserError(f"There is no checkpoint in {folder} to resume from.")
    path = kept[-1]
    before = f"; remove it to resume from {kept[-2]}" if len(kept) > 1 else ""
    try:
        state = torch.load(path, map_location=trainer.model.device, weights_only=True)
        check_finite(path, state["model"])
        trainer.model.load_state_dict(state["model"])
        trainer.step = int(state["step"])
        load_moments(trainer, state["m"], state["v"])
        restore_random_state(state, trainer.model.device)
    except UserError as error:
        raise UserError(f"{str(error).removesuffix('.')}{before}.") from None
    except (OSError, *DAMAGED) as error:
        raise UserError(f"{path} is not a checkpoint of this model ({type(error).__name__}){before}.") from None


def random_state(device: torch.device) -> dict[str, Tensor]:
    """The states of the random generators that dropout on this device draws from."""
    state = {"random": torch.get_rng_state()}
    if device.type == "cuda":
        state["random_cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        state["random_mps"] = torch.mps.get_rng_state()
    return state


def restore_random_state(state: dict, device: torch.device) -> None:
    """Undo `random_state`; a checkpoint written on another device has no state for this one's generator."""
    torch.set_rng_state(state["random"].cpu())
    if device.type == "cuda" and "random_cuda" in state:
        torch.cuda.set_rng_state(state["random_cuda"].cpu(), device)
    elif device.type == "mps" and "random_mps" in state:
        torch.mps.set_rng_state(state["random_mps"].cpu())


def load_moments(trainer: Trainer, m: list[Tensor], v: list[Tensor]) -> None:
    """Restore Adam's moments and its step count; learning rate and the rest come from the trainer's own recipe.

    ValueError for moments whose shapes or types do not match the parameters, which the optimizer would not detect.
    """
    parameters = list(trainer.model.parameters()) if trainer.step else []
    for parameter, *moments in zip(parameters, m, v, strict=True):
        if any(moment.shape != parameter.shape or moment.dtype != parameter.dtype for moment in moments):
            raise ValueError("the moments do not match the parameters")
        trainer.optimizer.state[parameter] = dict(zip("mv", moments, strict=True))
    for group in trainer.optimizer.param_groups:
        group["step"] = trainer.step
