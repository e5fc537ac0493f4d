"""Where tensors live, and in which form the formulas run there."""

from typing import Literal

import torch

from minigpt.errors import UserError

Device = Literal["auto", "cpu", "cuda", "mps"]
Math = Literal["auto", "explicit", "fast"]  # which form of each formula runs: `GPT.explicit`


def choose_device(name: Device) -> torch.device:
    """The device called `name`; "auto" is a CUDA or Apple GPU where torch can use one. UserError for one not there."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, usable in there.items() if usable))
    if not there[name]:
        kind = {"cuda": "CUDA", "mps": "Apple"}[name]
        raise UserError(f"There is no {kind} GPU that torch can use here; leave --device out to compute on the CPU.")
    return torch.device(name)
