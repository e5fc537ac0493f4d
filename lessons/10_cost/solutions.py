"""One answer to each exercise of lesson 10."""

from collections.abc import Callable

from minigpt import GPTConfig
from minigpt.measure import cost as package


def training_bytes(config: GPTConfig) -> int:
    weights = gradients = first_moments = second_moments = 4 * config.parameter_count
    return weights + gradients + first_moments + second_moments


def forward_flops(config: GPTConfig, T: int) -> int:
    C, V = config.n_embd, config.vocab_size
    maps = 2 * (C * 3 * C + C * C + C * 4 * C + 4 * C * C)
    attention = (2 * T * C + 2 * T * C) // 2
    return T * (config.n_layer * (maps + attention) + 2 * C * V)


def crossing(cost: Callable[[int], int]) -> float:
    b = (cost(2) - 2 * cost(1)) / 2  # (2 a + 4 b) - 2 (a + b) = 2 b
    a = cost(1) - b
    return a / b


def largest_micro_batch(config: GPTConfig, T: int, memory: int, explicit: bool) -> int:
    left, rows = memory - package.training_bytes(config), 0
    while package.activation_bytes(config, rows + 1, T, (rows + 1) * T, explicit) <= left:
        rows += 1
    return rows


def kept_bytes(config: GPTConfig, rows: int, T: int, supervised: int, explicit: bool) -> float:
    C, H, V, L = config.n_embd, config.n_head, config.vocab_size, config.n_layer
    tokens, N = rows * T, supervised
    if explicit:
        norm, attention, mlp, head = 3 * C, C + 3 * C + H * T + C, C + 5 * 4 * C, N * C + 2 * N * V
    else:
        norm, attention, mlp, head = C, C + 3 * C + C, C + 2 * 4 * C, N * C + V * C  # the head's gradients
    layers = L * tokens * (norm + attention) + ((L - 1) * tokens + N) * (norm + mlp)
    return 4.0 * (layers + N * norm + head)
