"""Read a JSON file; SHA-256 of a file."""

import hashlib
import json
from pathlib import Path

from minigpt.errors import UserError

# What arrives under a file's name in its place, by its first bytes in lower case.
MISTAKEN = {
    b"version https://git-lfs.github.com/spec/": "a Git LFS pointer, not the file itself; get that by `git lfs pull`, "
    "or download it",
    b"<!doctype html": "a web page, not the file itself; download the file again",
    b"<html": "a web page, not the file itself; download the file again",
    b"gguf": "a GGUF file, llama.cpp's format; use the model in Hugging Face's layout, with model.safetensors",
    b"\x89hdf": "an HDF5 file, TensorFlow's format; use the model in Hugging Face's layout, with model.safetensors",
}


def sha256(path: Path) -> str:
    """SHA-256 of the file's bytes; UserError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from None


def refuse_mistaken(path: Path) -> None:
    """UserError naming what a file is if its first bytes are those of MISTAKEN; a file that cannot be read passes."""
    try:
        with path.open("rb") as file:
            start = file.read(100).lstrip().lower()
    except OSError:
        return
    for first, what in MISTAKEN.items():
        if start.startswith(first):
            raise UserError(f"{path} is {what}.")


def read_object(path: Path, use: str = "", damaged: str = "") -> dict:
    """The JSON object in a file; UserError if there is none. `use` is added to the error if the file cannot be read,
    `damaged` if it is not JSON."""
    try:
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}{use and f'; {use}'}.") from None
    except (ValueError, RecursionError) as error:
        refuse_mistaken(path)
        raise UserError(f"{path} is not JSON: {error}{damaged and f'; {damaged}'}.") from None
    if not isinstance(values, dict):
        raise UserError(f"{path} is not a JSON object.")
    return values
