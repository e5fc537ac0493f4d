"""Choose the device, and the form of the formulas on it."""

import random
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from minigpt.errors import UserError, warn
from minigpt.model.gpt import GPT
from minigpt.model.light import HAS_KERNEL, Weights, lighten
from minigpt.model.linear import Linear
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


def place_to_read(
    model: GPT, device: torch.device | str, math: Math = "auto", weights: Weights = "float32", compiled: bool = False
) -> GPT:
    """`place` for a model that is not trained: --weights rounds it first, --compile compiles the work of one token.

    Warns where either is not what one may expect of it, and continues.
    """
    model = place(lighten(model, weights), device, math)
    on_cpu = model.device.type == "cpu"
    if compiled:
        try:
            check_compiler(model.device)
            compile_token(model)
        except UserError as error:
            warn(str(error))
            compiled = False
    if weights == "int8" and not (model.is_explicit or (on_cpu and (HAS_KERNEL or compiled))):
        warn(
            "--weights int8 does not have its full speed here: torch's product of eight-bit integers is fast on CPUs "
            f"with AVX-512 VNNI only, so the weights are widened for each product.{' --compile helps.' * on_cpu}"
        )
    return model


def compile_token(model: GPT) -> None:
    """Compile what one token of one text needs, a block at a time and the head; any other shape runs as before.

    A block is one function, whose cache may have any length: nothing is compiled twice.
    """
    for part in model.modules():
        if type(part) is Linear:  # as in `rounded`, an output's weights become neighbors in memory: one loop reads them
            part.weight.data = part.weight.data.t().contiguous().t()
    for block in model.h:
        block.forward = of_one_token(block.forward)
    model.logits = of_one_token(model.logits)


def of_one_token(form: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`form`, compiled for an x (1, 1, C).

    Without the option, LayerNorm and GELU would be part of the loop over the weights of the product after them, and be
    computed once a weight instead of once a channel.
    """
    compiled = torch.compile(form, dynamic=True, options={"realize_opcount_threshold": 0})

    def either(x: Tensor, *others: object) -> Tensor:
        return (compiled if x.shape[:-1] == (1, 1) else form)(x, *others)

    return either


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
