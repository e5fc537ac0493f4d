"""Choose the device, and the form of the formulas on it."""

import random
from typing import Literal

import torch

from minigpt.errors import UserError
from minigpt.model.gpt import GPT
from minigpt.text.printing import shortened

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

    "auto" is explicit where `GPTConfig.is_small`, as a new model is. UserError if nothing can be compiled here.
    """
    model.to(device).explicit(model.config.is_small if math == "auto" else math == "explicit")
    if compiled:
        check_compiler(model.device)
        for block in model.h:
            block.compile(dynamic=True)
    return model


def check_compiler(device: torch.device) -> None:
    """UserError if torch.compile fails here, say for want of a C++ compiler or Python's headers.

    It compiles a function that it has never compiled before: what its cache holds would need no compiler.
    """
    number = random.SystemRandom().random()  # draws from no generator that a run depends on
    x = torch.ones(64, device=device, requires_grad=True)
    try:
        torch.compile(lambda x: (x * number).tanh().sum())(x).backward()
    except Exception as error:
        why = next((line.strip(" .") for line in str(error).splitlines() if line.strip(" .")), type(error).__name__)
        raise UserError(
            f"--compile does not work here: {shortened(why, 200)}. It needs a working C++ compiler and Python's "
            "headers (on Debian and Ubuntu: apt install g++ python3-dev); without --compile the same is computed, only "
            "slower."
        ) from None
