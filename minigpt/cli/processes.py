"""A command in several processes, as torchrun starts them: one of them speaks."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator

from minigpt.cli import streams
from minigpt.errors import OfOneProcess, UserError

WAIT = 10.0  # seconds for the first process to say what all of them have met; torchrun ends the others when it ends


def rank() -> int:
    """This process's number; 0 without torchrun."""
    return int(os.environ.get("RANK", 0))


def processes() -> int:
    """How many processes torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", 1))


@contextlib.contextmanager
def one_voice() -> Iterator[None]:
    """Only the first process prints; what the others would say is the same."""
    if not rank():
        yield
        return
    with (
        open(os.devnull, "w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


@contextlib.contextmanager
def ending_at_once() -> Iterator[None]:
    """Around all that one of several processes does: it ends when that does, without Python's own shutting down.

    A thread of the engine that lets go of a tensor in the middle of that would end the whole process with an error.
    """
    status: object = 0
    try:
        yield
    except SystemExit as stop:
        status = stop.code or 0
        if not _have_joined():
            raise
    if _have_joined():
        if not status:  # else another one may have gone, and this would wait for it
            sys.modules["torch"].distributed.destroy_process_group()
        streams.close()
        os._exit(status if isinstance(status, int) else 1)


def _have_joined() -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and torch.distributed.is_available() and torch.distributed.is_initialized()


def tell(name: str, error: UserError) -> None:
    """Print a command's error once: by the first process, or by the one that alone knows it.

    Another one gives the first time to print it, as torchrun stops all processes as soon as one has ended.
    """
    if isinstance(error, OfOneProcess):
        name += f", {error.process}"
    elif rank():
        time.sleep(WAIT)
    print(f"{name}: {error}", file=sys.stderr)


def check_alone(name: str) -> None:
    """UserError under torchrun for a command that runs in one process."""
    if processes() > 1 and name != "train":
        raise UserError(f"{name} runs in one process; torchrun is for train.")
