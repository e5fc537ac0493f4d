"""Learning-rate schedule."""

import math


def warmup_then_decay(step: int, lr_max: float, warmup_steps: int, total_steps: int, lr_min: float = 0.0) -> float:
    """eta_t for step t = 1, ..., total: eta_max t / T_warmup (document B 7.2), then half a cosine toward `lr_min`.

    The step after the warmup still has eta_max, and `lr_min` would be reached one step after the last: with `lr_min` 0
    a last step at that rate would change no weight.
    """
    if step <= warmup_steps:
        return lr_max * step / warmup_steps  # eq 9.5
    progress = (step - 1 - warmup_steps) / max(1, total_steps - warmup_steps)
    return lr_min + (lr_max - lr_min) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
