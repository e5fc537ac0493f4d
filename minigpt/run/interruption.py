"""What ends a run early: Ctrl-C, SIGTERM, a closed terminal."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType

from minigpt.errors import Interrupted

# SIGHUP comes when the terminal closes, often twice, and Windows has none; nohup and & set signals to be ignored.
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
active: "list[Interruption]" = []  # signals belong to the process, so the innermost run in progress gets them


class Interruption:
    """Signals let the current step finish; `signal` is the number of the first one received.

    A measurement is abandoned at once (`measuring`). A Ctrl-C after the first signal ends the process at once; other
    signals may be repeated, as `timeout` and a closing terminal do. In a thread other than the main one, where Python
    handles no signals, they do what they do without a run.
    """

    def __init__(self, where: Callable[[], str]) -> None:
        """`where` names the current step, for the acknowledgment."""
        self.where, self.signal, self.is_measuring = where, 0, False

    def __enter__(self) -> "Interruption":
        self._before = {}
        for number in SIGNALS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                with contextlib.suppress(ValueError):  # not the main thread
                    self._before[number] = signal.signal(number, self._take)
        active.append(self)
        return self

    def _take(self, number: int, frame: FrameType | None) -> None:
        if signal.SIGINT in self._before:
            signal.signal(signal.SIGINT, self._before[signal.SIGINT])
        if self.signal:
            return
        self.signal = number
        what = "leaving the evaluation after" if self.is_measuring else "finishing"
        acknowledge(f"\n{what} {self.where()}, then saving; Ctrl-C again ends at once\n")
        if self.is_measuring:
            raise Interrupted

    def __exit__(self, *exception: object) -> None:
        active.remove(self)
        for number, handler in self._before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def measuring() -> Iterator[None]:
    """Around work that changes nothing and can be repeated: a signal raises Interrupted in the middle of it."""
    if not active:
        yield
        return
    run = active[-1]
    if run.signal:
        raise Interrupted
    run.is_measuring = True
    try:
        yield
    finally:
        run.is_measuring = False


def acknowledge(text: str) -> None:
    """Write to standard error from a signal handler, past the buffers that the interrupted code may be filling."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        try:
            handle = sys.stderr.fileno()
        except OSError:  # not a file: a notebook's or a test's
            sys.stderr.write(text)
        else:
            os.write(handle, text.encode())
