"""Memory of a run: estimate, check and peak."""

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from itertools import accumulate

import torch

from minigpt.config import GPTConfig
from minigpt.errors import UserError
from minigpt.learn.batches import split_by_length, used_length
from minigpt.learn.trainer import OVERHEAD, Trainer, room
from minigpt.measure.cost import Step
from minigpt.model.low_rank import GrownEmbedding, LowRankLinear
from minigpt.run.prefer_options import AnyOptions
from minigpt.text.examples import Example

# A process is refused by this many times its tensors and this many GiB more: what Python and torch bring, and holes
# that an allocator cannot give back.
MARGIN = {"cpu": (1.2, 0.2), "cuda": (1.05, 0.0), "mps": (1.05, 0.0)}


def estimate(trainer: Trainer, **change: int) -> int:
    """Bytes of tensors in this process at the peak of a step, or of reading held-out rows if that is more; as the
    trainer is, or with this changed in `Step`."""
    model, team = trainer.model, trainer.team
    adapters = [module for module in model.modules() if isinstance(module, LowRankLinear)]
    grown = [module for module in model.modules() if isinstance(module, GrownEmbedding)]
    rows = trainer.longest()
    lengths = sorted(map(used_length, rows))
    # Where dropout is off nothing is dropped, and a GPU's kernels keep hardly anything for it.
    drops = trainer.dropout and model.device.type == "cpu"
    step = Step(
        model.config if drops else replace(model.config, dropout=0.0), 0, 0, 0, model.is_explicit,
        accumulating=has_several(trainer, lengths) or (team.size > 1 and not trainer.sharded),
        recompute=trainer.dropout and model.recompute,
        bfloat16=trainer.recipe.dtype == "bfloat16",
        logits=trainer.logits,
        rank=adapters[0].rank if adapters else None,
        new_rows=sum(len(embedding.new) for embedding in grown),
        parts=team.size if trainer.sharded else 1,
    )  # fmt: skip
    needed = []
    for n, T, supervised in micro_batches(trainer, lengths, rows):
        changed = dict(rows=n, T=T) | change
        step = replace(step, **changed, supervised=min(supervised, changed["rows"] * changed["T"]))
        needed += [step.peak, step.evaluation if trainer.logits == "few" else 0]
    return trainer.frozen_bytes + max(needed)


def rows_at_once(trainer: Trainer, T: int) -> int:
    """The most rows of T tokens that a micro-batch of this process may have."""
    each, recipe = trainer.rows_each, trainer.recipe
    fitting = max(1, int(min(room(trainer.model), 2**60) // (each * T)))
    return each * min(recipe.micro_batch_size, max(1, recipe.batch_size // trainer.team.size), fitting)


def micro_batches(trainer: Trainer, lengths: Sequence[int], rows: Sequence[Example]) -> Iterator[tuple[int, int, int]]:
    """The largest micro-batch whose longest row has T tokens, for each T: its rows, T, and the most of its tokens that
    can be supervised."""
    shorter = Counter(lengths)
    supervised = list(accumulate(sorted((sum(row.supervised) for row in rows), reverse=True)))
    known = 0
    for T in sorted(shorter):
        known += shorter[T]
        n = min(known, rows_at_once(trainer, T))
        yield n, T, min(n * T, supervised[n - 1])


def has_several(trainer: Trainer, lengths: Sequence[int]) -> bool:
    """Whether a step has several micro-batches, if its rows are as different in length as these are, in order."""
    size = trainer.rows_each * trainer.recipe.batch_size
    lengths = [lengths[i * len(lengths) // size] for i in range(size)]
    overhead, most = OVERHEAD[trainer.model.device.type], trainer.rows_each * trainer.recipe.micro_batch_size
    return len(split_by_length(lengths, overhead, most, room(trainer.model))) > 1


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


def check_memory(trainer: Trainer, options: AnyOptions) -> None:
    """Leave the estimate in the trainer; UserError if the device does not have what it comes to."""
    trainer.estimated_bytes = estimate(trainer)
    device = trainer.model.device
    factor, more = MARGIN[device.type]
    here = int(os.environ.get("LOCAL_WORLD_SIZE", 1)) if device.type == "cpu" else 1  # share one memory
    needed, available = here * (factor * trainer.estimated_bytes + more * 2**30), device_bytes(device)
    if available is not None and needed > available:
        raise UserError(
            f"This run needs about {needed / 2**30:,.1f} GiB and the {device.type} has {available / 2**30:,.1f} GiB. "
            + advice(trainer, options)
        )


def advice(trainer: Trainer, options: AnyOptions) -> str:
    """What this command has to need less memory, what is not in use and what would help here, the strongest first."""
    has, scratch = {field.name for field in fields(options)}, options.init == "scratch"

    def helps(**change: int) -> bool:
        return estimate(trainer, **change) < estimate(trainer)

    ways = {
        "--recompute": "recompute" in has and not options.recompute and helps(recompute=True),
        "--micro-batch-size 1": trainer.recipe.micro_batch_size > 1 and helps(rows=trainer.rows_each),
        "--lora-rank 8": "lora_rank" in has and not options.lora_rank and not scratch and helps(rank=8),
        # On a CPU all parts are in the same memory.
        "--shard under torchrun": "shard" in has and not options.shard and trainer.model.device.type != "cpu",
        "a smaller --max-length": helps(rows=1, T=1),
        "a smaller --size": scratch,
        "a smaller model for --init": not scratch,
    }
    *first, last = [way for way, is_one in ways.items() if is_one]
    return f"To need less, use {', '.join(first)}{' or ' if first else ''}{last}."


def memory_line(trainer: Trainer) -> str:
    """The line of a run's first ones: what a process needs of what there is."""
    needed, available = trainer.estimated_bytes, device_bytes(trainer.model.device)
    in_each = f" in each of {trainer.team.size} processes" if trainer.team.size > 1 else ""
    is_small = needed < 2**30 / 10
    words = f"{needed / 2**20:,.0f} MiB" if is_small else f"{needed / 2**30:,.1f} GiB"
    of = "" if available is None else f" of {available / 2**30:,.1f}{' GiB' if is_small else ''}"
    return f"memory  about {words}{in_each}{of}"


def out_of_memory(error: Exception, trainer: Trainer, options: AnyOptions) -> Exception:
    """A UserError for an out-of-memory error; any other error unchanged."""
    if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
        return error
    device = trainer.model.device
    available = device_bytes(device)
    has = "" if available is None else f", and the {device.type} has {available / 2**30:,.1f} GiB"
    return UserError(
        f"Memory ran out after step {trainer.step}: the estimate was {trainer.estimated_bytes / 2**30:,.1f} GiB{has}. "
        + advice(trainer, options)
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
