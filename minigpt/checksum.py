"""By what a file is known again."""

import hashlib
from pathlib import Path

from minigpt.errors import UserError


def sha256(path: Path) -> str:
    """Of the file's bytes; UserError for one that cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
