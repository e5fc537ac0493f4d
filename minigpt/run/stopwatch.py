"""How long a run has taken, over all of its parts."""

import contextlib
import time
from pathlib import Path

from minigpt.errors import UserError
from minigpt.reading import read_object
from minigpt.run.folder import read_options, write_options


class Stopwatch:
    """Seconds of a run, from the start of its command on; a resumed run adds to those of its earlier parts.

    What a killed process did after its last checkpoint is not counted: it is done again.
    """

    def __init__(self) -> None:
        self.before, self._start = 0.0, time.perf_counter()

    @property
    def seconds(self) -> float:
        return self.before + time.perf_counter() - self._start

    def read(self, folder: Path) -> None:
        """Continue from the run in this folder; without its note, or with an unreadable one, from 0."""
        self.before = 0.0
        for name in ("options.json", "result.json"):
            with contextlib.suppress(UserError, KeyError, TypeError, ValueError):
                self.before = max(self.before, float(read_object(folder / name)["seconds"]))

    def write(self, folder: Path) -> None:
        """Note the seconds in options.json; where that fails, only the time is lost."""
        with contextlib.suppress(UserError, OSError):
            write_options(folder, read_options(folder) | {"seconds": round(self.seconds, 3)})


def duration(seconds: float) -> str:
    """Such as 0.8 s, 42 s, 3 min 27 s, 2 h 5 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    seconds = round(seconds)
    minutes, hours = seconds // 60, round(seconds / 60) // 60
    if minutes < 60:
        return f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"
    return f"{hours} h {round(seconds / 60) % 60} min"
