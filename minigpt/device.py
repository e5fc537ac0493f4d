"""Where tensors live."""

from typing import Literal

import torch

from minigpt.errors import UserError

Device = Literal["auto", "cpu", "cuda"]


def choose_device(name: Device) -> torch.device:
    """The device called `name`; "auto" is a CUDA GPU where torch can use one. UserError for one that is not there."""
    gpu = torch.cuda.is_available()
    if name == "cuda" and not gpu:
        raise UserError("There is no CUDA GPU that torch can use here; leave --device out to compute on the CPU.")
    return torch.device("cuda" if gpu and name != "cpu" else "cpu")
