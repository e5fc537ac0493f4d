"""The sides of a bench and the lines that they have in common."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from minigpt.cli.layout import say
from minigpt.config import GPTConfig
from minigpt.measure.peer import Peer
from minigpt.model.gpt import GPT
from minigpt.run.bench_options import Options


@contextmanager
def peer(options: Options, model: GPT, mode: str, **job: object) -> Iterator[Peer | None]:
    """Start and finally close the other side; None with --peer none."""
    if options.peer == "none":
        yield None
        return
    compiled = options.compile and mode != "generate"  # its `generate` does not call what torch.compile returns
    theirs = Peer(options.peer, model, mode, compile=compiled, **job)
    try:
        yield theirs
    finally:
        theirs.close()


def print_header(options: Options, size: str, config: GPTConfig, device: torch.device) -> None:
    words = ""
    if device.type == "cpu":
        words = f" ({torch.get_num_threads()} threads)"
    elif device.type == "cuda":
        words = f" ({torch.cuda.get_device_name()})"
    say(
        f"{options.mode}, size {size}, vocabulary of {config.vocab_size:,}, {config.parameter_count:,} parameters; "
        f"{device}{words}, torch {torch.__version__}"
    )


def print_ratio(seconds: dict[str, float]) -> None:
    if len(seconds) == 2:
        ours, theirs = seconds.values()
        print(f"  ratio {theirs / ours:.2f}")
