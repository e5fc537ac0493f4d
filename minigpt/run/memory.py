"""Memory of a run: estimate, check and peak."""

import os
import sys

import torch

from minigpt.config import GPTConfig
from minigpt.errors import UserError
from minigpt.learn.batches import used_length
from minigpt.learn.trainer import Trainer, room
from minigpt.measure.cost import activation_bytes, training_bytes

ADVICE = "To need less, use --micro-batch-size 1, a smaller --max-length, a smaller --size or --dtype bfloat16."


def estimate(trainer: Trainer) -> int:
    """Estimated bytes: weights, gradients, moments, frozen models, and the activations of a micro-batch of the longest
    rows."""
    config, rows = trainer.model.config, trainer.longest()
    longest = max(map(used_length, rows))
    at_once = trainer.rows_each * max(1, int(min(room(trainer.model), 2**60) // (trainer.rows_each * longest)))
    most = min(trainer.rows_each * trainer.recipe.micro_batch_size, len(rows), at_once)
    supervised = sum(sorted(sum(row.supervised) for row in rows)[-most:])
    activations = activation_bytes(config, most, longest, supervised, trainer.model.is_explicit)
    return training_bytes(config) + trainer.frozen_bytes + activations


def device_bytes(device: torch.device) -> int | None:
    """Total memory of the device; None where the system does not say."""
    try:
        if device.type == "cuda":
            return torch.cuda.get_device_properties(device).total_memory
        import psutil  # here: it fails on import, or later, where /proc or its own library is missing

        return psutil.virtual_memory().total
    except Exception:
        return None


def check_weights(config: GPTConfig) -> None:
    """UserError for a shape whose weights alone exceed the machine's memory, before they are drawn."""
    needed, available = 4 * config.parameter_count, device_bytes(torch.device("cpu"))
    if available is not None and needed > available:
        raise UserError(
            f"A model of {config.n_layer:,} layers, {config.n_embd:,} channels and a context of {config.n_ctx:,} needs "
            f"{needed / 2**30:,.1f} GiB for its weights, and this machine has {available / 2**30:,.1f} GiB."
        )


def check_memory(trainer: Trainer) -> None:
    """UserError if the estimate exceeds the device's memory."""
    needed, available = estimate(trainer), device_bytes(trainer.model.device)
    if available is not None and needed > available:
        raise UserError(
            f"This run needs about {needed / 2**30:,.1f} GiB and the {trainer.model.device.type} has "
            f"{available / 2**30:,.1f} GiB. {ADVICE}"
        )


def out_of_memory(error: Exception, trainer: Trainer) -> Exception:
    """A UserError for an out-of-memory error; any other error unchanged."""
    if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
        return error
    device = trainer.model.device
    available = device_bytes(device)
    has = "" if available is None else f", and the {device.type} has {available / 2**30:,.1f} GiB"
    return UserError(
        f"Memory ran out after step {trainer.step}: the estimate was {estimate(trainer) / 2**30:,.1f} GiB{has}. "
        + ADVICE
    )


def peak_memory_bytes(device: torch.device) -> int | None:
    """Peak memory of this process: on the GPU if it computes there, else in RAM; None where the system does not say."""
    try:
        if device.type == "cuda":
            return torch.cuda.max_memory_allocated(device)
        if os.name == "nt":
            import psutil

            return psutil.Process().memory_info().peak_wset
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux KiB
    except Exception:
        return None
