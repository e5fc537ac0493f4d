"""Errors that a user can fix, and warnings."""

import sys

from tqdm import tqdm


class UserError(ValueError):
    """In sentences: what was given, what was expected, what to do. The commands print it and exit with status 2."""


class OfOneProcess(UserError):
    """What one of several processes alone cannot do; it prints it itself. Any other UserError the first one has too."""

    def __init__(self, sentence: str, rank: int, size: int) -> None:
        self.process = f"process {rank + 1} of {size}"
        super().__init__(sentence)


class Interrupted(Exception):
    """The measurement in progress was abandoned because of a signal."""


def warn(sentence: str) -> None:
    """Print a sentence on standard error, above a progress bar if there is one: what was left out or may be lost."""
    tqdm.write(f"warning: {sentence}", file=sys.stderr)
