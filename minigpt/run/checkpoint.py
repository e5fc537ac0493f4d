"""What an interrupted run needs to go on exactly where it was. Read with lesson 09."""

import errno
import os
import pickle
from pathlib import Path

import torch
from torch import Tensor

from minigpt.errors import UserError
from minigpt.learn.trainer import Trainer

INCOMING = "incoming.pt"


def path_of(folder: Path, step: int) -> Path:
    return folder / f"step-{step:08d}.pt"


def checkpoints(folder: Path) -> list[Path]:
    """The whole checkpoints there are, the latest last."""
    return sorted(folder.glob("step-*.pt"))


def save_checkpoint(folder: Path, trainer: Trainer, keep: int = 2) -> None:
    """Weights, moments, step and random state; the last `keep` checkpoints stay.

    Written aside, flushed to the disk, then put in place at once: whenever the process or the machine dies, the
    folder contains a complete one. UserError where it cannot be written, or where a weight is NaN or infinite; the
    former ones are then unchanged.
    """
    kept = checkpoints(folder)
    former = f"{kept[-1]} is as it was" if kept else "there is none before it"
    if not all(torch.isfinite(parameter).all() for parameter in trainer.model.parameters()):
        raise UserError(
            f"After step {trainer.step} a weight is NaN or infinite, so no checkpoint is made of it; {former}."
        )
    moments = [trainer.optimizer.state[p] for p in trainer.model.parameters() if trainer.optimizer.state[p]]
    state = {
        "step": trainer.step,
        "model": dict(trainer.model.state_dict()),
        "m": [moment["m"] for moment in moments],
        "v": [moment["v"] for moment in moments],
        "random": torch.get_rng_state(),
    }
    if trainer.model.device.type == "cuda":
        state["random_cuda"] = torch.cuda.get_rng_state(trainer.model.device)
    aside = folder / INCOMING
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path_of(folder, trainer.step))
        flush_names(folder)
    except (OSError, RuntimeError) as error:  # torch's writer says RuntimeError of a full disk
        aside.unlink(missing_ok=True)
        why = error.strerror if isinstance(error, OSError) else "the disk may be full"
        raise UserError(
            f"The checkpoint of step {trainer.step} cannot be written to {folder} ({why}); {former}."
        ) from None
    for old in checkpoints(folder)[:-keep]:
        old.unlink()


def flush_names(folder: Path) -> None:
    """A renamed file's new name outlives a power cut once its folder is flushed."""
    if os.name == "nt":  # a folder cannot be opened there, nor does it need to be
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that flush no folder
            raise
    finally:
        os.close(handle)


def load_checkpoint(folder: Path, trainer: Trainer) -> None:
    """Put `trainer` where the latest checkpoint was. UserError for one that is missing, broken or of another model."""
    kept = checkpoints(folder)
    if not kept:
        raise UserError(f"There is no checkpoint in {folder} to resume from.")
    path = kept[-1]
    try:
        state = torch.load(path, map_location=trainer.model.device, weights_only=True)
        trainer.model.load_state_dict(state["model"])
        trainer.step = int(state["step"])
        load_moments(trainer, state["m"], state["v"])
        torch.set_rng_state(state["random"].cpu())
        if "random_cuda" in state and trainer.model.device.type == "cuda":
            torch.cuda.set_rng_state(state["random_cuda"].cpu(), trainer.model.device)
    except (
        RuntimeError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        EOFError,
        OSError,
        pickle.UnpicklingError,
    ) as error:
        before = f"; remove it to resume from {kept[-2]}" if len(kept) > 1 else ""
        raise UserError(f"{path} is not a checkpoint of this model ({type(error).__name__}){before}.") from None


def load_moments(trainer: Trainer, m: list[Tensor], v: list[Tensor]) -> None:
    """Adam's moments, and the steps that it took; how to step further is what the trainer's own recipe says.

    ValueError for moments that are none of these parameters', which the optimiser would not notice by itself.
    """
    parameters = list(trainer.model.parameters()) if trainer.step else []
    for parameter, *moments in zip(parameters, m, v, strict=True):
        if any(moment.shape != parameter.shape or moment.dtype != parameter.dtype for moment in moments):
            raise ValueError("the moments are of other parameters")
        trainer.optimizer.state[parameter] = dict(zip("mv", moments, strict=True))
    for group in trainer.optimizer.param_groups:
        group["step"] = trainer.step
