"""What is set of the processor and the allocator, once, when minigpt is imported. It changes speed, never a result.

The OpenMP setting is read when torch is first imported, so it works only where minigpt is imported before torch, as
the commands do; `warn_if_too_late` says so where it matters. The allocator's setting works at any time.
"""

import contextlib
import ctypes
import os
import sys
import warnings

too_late = "torch" in sys.modules and "GOMP_SPINCOUNT" not in os.environ
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # glibc's malloc.h


def set_openmp() -> None:
    """How long GNU OpenMP's threads spin while they wait for one another before they sleep.

    Alone on two cores this changes nothing; beside one other busy program it makes a training step 5 times as fast as
    the default, which spins on a core that the other needs.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")


def unset_environment() -> dict[str, str]:
    """The environment without what is set here: for another program, to be run as its users run it."""
    return {name: value for name, value in os.environ.items() if (name, value) != ("GOMP_SPINCOUNT", "20000")}


def keep_freed_memory() -> None:
    """Linux with glibc: keep large freed tensors for the next step, where malloc would return them to the system.

    The system hands such memory out again page by page, zeroed: time that a training step does not need to spend.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            libc = ctypes.CDLL("libc.so.6")
            libc.mallopt(M_MMAP_MAX, 0)
            libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def warn_if_too_late() -> None:
    """Warn, once, that a CPU run will be slow beside other programs because torch was imported first."""
    global too_late
    if too_late and sys.platform == "linux":
        too_late = False
        warnings.warn(
            "torch was imported before minigpt, so its threads keep their default settings; training on a CPU beside "
            "other busy programs may be several times slower. Import minigpt first.",
            stacklevel=3,
        )


set_openmp()
keep_freed_memory()
