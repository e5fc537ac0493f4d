"""Flush files and folders, so that what was written survives a power failure."""

import errno
import os
from pathlib import Path

from minigpt.errors import warn

# What means that the data is not on disk. Others mean that this file system does not flush, or not for this user.
LOST = (errno.EIO, errno.ENOSPC, errno.EDQUOT)
warned: set[Path] = set()  # folders whose file system was found to be such a one


def flush(path: Path, of: Path) -> None:
    """Flush a file's content, or a folder's names.

    OSError if that is lost; where the file system of the folder `of` cannot flush, warn once and continue.
    """
    is_folder = path.is_dir()
    if is_folder and os.name == "nt":  # a folder cannot be opened there, and need not be
        return
    try:
        handle = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR | getattr(os, "O_BINARY", 0))
    except OSError:
        if is_folder:  # one that may be written to but not listed
            return
        raise
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno in LOST:
            raise
        if of not in warned:
            warned.add(of)
            warn(
                f"the file system of {of} cannot flush to disk ({error.strerror}); after a power failure the last "
                "checkpoint may be missing or incomplete."
            )
    finally:
        os.close(handle)
