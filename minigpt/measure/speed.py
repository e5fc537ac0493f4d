"""Seconds of two sides in turn, and what the machine can do at most."""

import time
from collections.abc import Callable
from statistics import median

import torch
from tqdm import tqdm

WARM_UP = 2


def in_turn(sides: dict[str, Callable[[], tuple[float, object]]], times: int) -> tuple[dict[str, float], dict]:
    """Each side's median seconds and all its results, of the warm-up too. The sides alternate, so that other load on
    the machine affects both. Each times itself, a peer in its own process."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    results: dict[str, list] = {name: [] for name in sides}
    with tqdm(total=WARM_UP + times, leave=False) as bar:
        for _ in range(WARM_UP + times):
            for name, side in sides.items():
                taken, result = side()
                seconds[name].append(taken)
                results[name].append(result)
            bar.update()
    return {name: median(taken[WARM_UP:]) for name, taken in seconds.items()}, results


def timed(work: Callable[[], object], device: torch.device | None = None) -> tuple[float, object]:
    """The seconds that it takes, until a GPU has done its part, and the result."""
    start = time.perf_counter()
    result = work()
    if device is not None:
        wait(device)
    return time.perf_counter() - start, result


def wait(device: torch.device) -> None:
    """Until the device has done all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    elif device.type == "mps":
        torch.mps.synchronize()


def peak_flops(device: torch.device, dtype: str) -> float:
    """FLOP/s of one large matrix product on this machine: the best of ten."""
    n = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(n, n, device=device, dtype=getattr(torch, dtype)) for _ in range(2))
    return 2 * n**3 / best_time(lambda: a @ b, device)


def read_bandwidth(device: torch.device) -> float:
    """Bytes per second at which this machine sums 1 GiB of numbers, far more than its caches hold: the best of ten."""
    numbers = torch.ones(2**28, device=device)
    return 4 * len(numbers) / best_time(numbers.sum, device)


def best_time(work: Callable[[], object], device: torch.device) -> float:
    return min(timed(work, device)[0] for _ in range(10))
