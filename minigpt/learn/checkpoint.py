"""What an interrupted run needs to go on exactly where it was. Read with lesson 09."""

import os
import pickle
from pathlib import Path

import torch

from minigpt.errors import UserError
from minigpt.learn.trainer import Trainer

FILE = "state.pt"


def save_checkpoint(folder: Path, trainer: Trainer) -> None:
    """Weights, moments, step and random state; written aside, then put in place at once, so a whole one is there."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        "step": trainer.step,
        "model": trainer.model.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "random": torch.get_rng_state(),
    }
    if trainer.model.device.type == "cuda":
        state["random_cuda"] = torch.cuda.get_rng_state(trainer.model.device)
    aside = folder / (FILE + ".new")
    with open(aside, "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, folder / FILE)


def load_checkpoint(folder: Path, trainer: Trainer) -> None:
    """Put `trainer` where it was. UserError for a checkpoint that is missing, broken or of another model."""
    path = folder / FILE
    try:
        state = torch.load(path, map_location=trainer.model.device, weights_only=True)
        trainer.model.load_state_dict(state["model"])
        trainer.optimizer.load_state_dict(state["optimizer"])
        trainer.step = int(state["step"])
        torch.set_rng_state(state["random"].cpu())
        if "random_cuda" in state and trainer.model.device.type == "cuda":
            torch.cuda.set_rng_state(state["random_cuda"].cpu(), trainer.model.device)
    except FileNotFoundError:
        raise UserError(f"There is no checkpoint at {path} to resume from.") from None
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
        raise UserError(f"{path} is not a checkpoint of this model ({type(error).__name__}).") from None
