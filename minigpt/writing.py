"""Write a text file; whether that is possible, found out before the work whose result goes into it."""

import os
from collections.abc import Iterable
from pathlib import Path

from minigpt.errors import UserError


def check_writable(path: Path) -> None:
    """UserError if a file cannot be written there. It leaves an existing file as it is, and no new one behind."""
    try:
        if path.is_dir():
            raise UserError(f"{path} is a folder; give the name of a file.")
        if path.exists() and not path.is_file():  # /dev/stdout, or a pipe, which opening and closing would end
            return
        is_new = not os.path.lexists(path)
        with path.open("ab"):  # appending nothing: permissions alone do not tell what a file system allows
            pass
        if is_new:
            path.unlink()
    except FileNotFoundError:
        raise UserError(f"{path} cannot be written: there is no folder {path.parent}.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}.") from None


def check_new(path: Path) -> None:
    """As `check_writable`, for a file that must not exist yet."""
    if os.path.lexists(path) and not path.is_dir():
        raise UserError(f"{path} already exists; choose another name.")
    check_writable(path)


def check_apart(written: Iterable[Path | None], read: Iterable[str | Path]) -> None:
    """UserError for a file that would be written over one that is read, or written twice."""
    taken = {*map(os.path.realpath, read)}
    for path in filter(None, written):
        if os.path.realpath(path) in taken:
            raise UserError(f"{path} would replace a file that is read, or another result; choose another name.")
        taken.add(os.path.realpath(path))


def write_text(path: Path, text: str) -> None:
    """Write it in UTF-8 with \\n at the end of a line, on Windows too. UserError if that is not possible."""
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}.") from None
