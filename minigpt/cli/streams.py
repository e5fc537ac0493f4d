"""The standard streams. A command's work does not depend on where its output goes: it degrades, and goes on."""

import contextlib
import errno
import io
import os
import sys
from typing import TextIO


def prepare(goes_on: bool = False) -> None:
    """Make the three standard streams usable, whatever they are; done once, before anything is printed.

    A closed one becomes an empty one. A character that a terminal cannot show becomes "?". Standard error is never a
    reason to stop; with `goes_on` (a command whose files matter more than what it prints) neither is standard output.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # it also takes the number that the next file opened would get otherwise
            stream = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115 - open as long as the process
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    if sys.stderr is sys.__stderr__:  # a notebook's or a test's own is left as it is
        sys.stderr = Lasting(sys.stderr)
    if goes_on and sys.stdout is sys.__stdout__:
        sys.stdout = Lasting(sys.stdout)


class Lasting:
    """A text stream that goes on when it cannot be written any more: its reader has gone, its disk is full.

    `error` is the first such error, with the stream's name in the place of a file's.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            return self._lose(error, len(text))

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError, written: int = 0) -> int:
        self.error = self.error or OSError(error.errno, error.strerror, "standard output")
        discard(self._stream)
        return written

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def discard(stream: TextIO) -> None:
    """Send what is still buffered, and all that is yet to come, to nowhere: closing the stream then raises nothing."""
    with contextlib.suppress(OSError, ValueError):  # a stream without a number of its own, or a closed one
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def finish() -> None:
    """Write what is still buffered; raise what a stream that goes on has swallowed, unless it was that its terminal
    was closed: there is nobody to read it, and the work is done."""
    sys.stdout.flush()
    if (error := getattr(sys.stdout, "error", None)) and error.errno != errno.EIO:
        raise error


def close() -> None:
    """Leave nothing in the buffers that would fail when the process ends, after its exit status is decided."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            discard(stream)
