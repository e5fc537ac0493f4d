"""Settings of OpenMP and the memory allocator, made once on import. They change speed, never a result.

The OpenMP setting is read when torch is first imported, so it works only if minigpt is imported before torch, as the
commands do; `warn_if_too_late` warns if it matters. The allocator's setting works at any time.
"""

import contextlib
import os
import sys
import warnings

too_late = "torch" in sys.modules and "GOMP_SPINCOUNT" not in os.environ
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # glibc's malloc.h


def set_openmp() -> None:
    """Set how long GNU OpenMP's threads spin while waiting for one another before they sleep.

    Alone on two cores this changes nothing; beside one other busy program it makes a training step 5 times as fast as
    the default, which spins on a core that the other program needs.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")


def unset_environment() -> dict[str, str]:
    """The environment without the setting made here, to run another program as its users run it."""
    return {name: value for name, value in os.environ.items() if (name, value) != ("GOMP_SPINCOUNT", "20000")}


def keep_freed_memory() -> None:
    """Linux with glibc: keep large freed tensors for the next step, instead of returning them to the system.

    The system would zero such memory page by page when it is allocated again: time that a training step can save.
    """
    if sys.platform == "linux":
        with contextlib.suppress(ImportError, OSError, AttributeError):  # another C library, or no ctypes
            import ctypes

            libc = ctypes.CDLL("libc.so.6")
            libc.mallopt(M_MMAP_MAX, 0)
            libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def warn_if_too_late() -> None:
    """Warn once that a CPU run will be slow beside other programs because torch was imported first."""
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
