"""Read a JSON file; SHA-256 of a file."""

import hashlib
import json
from pathlib import Path

from minigpt.errors import UserError


def sha256(path: Path) -> str:
    """SHA-256 of the file's bytes; UserError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from None


def read_object(path: Path, use: str = "") -> dict:
    """The JSON object in a file; UserError if there is none. `use` is added to the error if the file cannot be read."""
    try:
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}{use and f'; {use}'}.") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON: {error}.") from None
    if not isinstance(values, dict):
        raise UserError(f"{path} is not a JSON object.")
    return values
