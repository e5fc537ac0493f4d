"""Choose the device, and the form of the formulas on it."""

from typing import Literal

import torch

from minigpt.errors import UserError
from minigpt.model.gpt import GPT

Device = Literal["auto", "cpu", "cuda", "mps"]
Math = Literal["auto", "explicit", "fast"]  # which form of each formula runs: `GPT.explicit`


def choose_device(name: Device) -> torch.device:
    """The device called `name`; "auto" is a CUDA or Apple GPU if torch can use one. UserError if not available."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, usable in available.items() if usable))
    if not available[name]:
        kind = {"cuda": "CUDA", "mps": "Apple"}[name]
        raise UserError(f"There is no {kind} GPU that torch can use here; leave --device out to compute on the CPU.")
    return torch.device(name)


def place(model: GPT, device: torch.device | str, math: Math = "auto", compiled: bool = False) -> GPT:
    """Move the model to its device and set the form of its formulas (--math); --compile compiles each block.

    "auto" is explicit where `GPTConfig.is_small`, as a new model is.
    """
    model.to(device).explicit(model.config.is_small if math == "auto" else math == "explicit")
    if compiled:
        for block in model.h:
            block.compile(dynamic=True)
    return model
