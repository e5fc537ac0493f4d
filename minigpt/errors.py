"""Errors that a user can fix, and warnings."""

import sys

from tqdm import tqdm


class UserError(ValueError):
    """In sentences: what was given, what was expected, what to do. The commands print it and exit with status 2."""


def warn(sentence: str) -> None:
    """Print a sentence on standard error, above a progress bar if there is one: what was left out or may be lost."""
    tqdm.write(f"warning: {sentence}", file=sys.stderr)
