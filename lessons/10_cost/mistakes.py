"""Lesson 10's functions with a switch for each typical mistake; without one they are right."""

import math
from collections.abc import Callable

from minigpt import GPTConfig
from minigpt.measure import cost as package


def training_bytes(
    config: GPTConfig, *, weights_only=False, eight=False, twelve=False, half_weights=False,
    half_copy_on_top=False, head_counted=False, padding_left_out=False, positions_left_out=False, kibibytes=False,
) -> int:  # fmt: skip
    V, C = config.vocab_size, config.n_embd
    wrong = {4: weights_only, 8: eight, 12: twelve, 2: half_weights, 18: half_copy_on_top}
    each = next((each for each, chosen in wrong.items() if chosen), 16)
    N = config.parameter_count + head_counted * V * C - padding_left_out * config.n_padding_rows * C
    N -= positions_left_out * config.n_ctx * C
    return each * N // (1024 if kibibytes else 1)


def forward_flops(
    config: GPTConfig, T: int, *, multiply_add_as_one=False, all_pairs=False, attention_forgotten=False,
    sums_forgotten=False, head_forgotten=False, head_once=False, one_layer=False, head_in_each_layer=False,
    for_one_token=False, once_per_head=False, width_of_a_head=False, mlp_as_square=False, one_mlp_map=False,
    qkv_as_one=False, output_map_forgotten=False, two_a_parameter=False, trained=False, C_squared=False,
    T_forgotten=False, context_for_T=False, exact_half=False, padding_left_out=False,
) -> int:  # fmt: skip
    C, L, H = config.n_embd, config.n_layer, config.n_head
    V = config.tokens if padding_left_out else config.vocab_size
    if two_a_parameter:
        return 2 * config.parameter_count * T
    width = C // H if width_of_a_head else C
    width = C * H if once_per_head else width
    width = C * C if C_squared else width
    length = 1 if T_forgotten else config.n_ctx if context_for_T else T + 1 if exact_half else T
    attention = 0 if attention_forgotten else 2 * length * width * (2 if all_pairs else 1)
    attention //= 2 if sums_forgotten else 1
    maps = 2 * C * C * ((1 if qkv_as_one else 3) + (0 if output_map_forgotten else 1))
    maps += 2 * C * C if mlp_as_square else 8 * C * C
    maps += 0 if one_mlp_map else 2 * C * C if mlp_as_square else 8 * C * C
    head = 0 if head_forgotten else 2 * C * V
    layers = 1 if one_layer else L
    if head_once:
        total = T * layers * (maps + attention) + head
    elif head_in_each_layer:
        total = T * layers * (maps + attention + head)
    else:
        total = T * (layers * (maps + attention) + head)
    total = total // T if for_one_token else total
    return total * (3 if trained else 1) // (2 if multiply_add_as_one else 1)


def crossing(
    cost: Callable[[int], int], *, linear_part_not_cleared=False, doubled=False, upside_down=False, rooted=False,
    rounded=False, subtracted_once=False,
) -> float:  # fmt: skip
    twice = cost(2) - (1 if subtracted_once else 2) * cost(1)
    b = twice if doubled or subtracted_once else twice / 2
    a = cost(1) if linear_part_not_cleared else cost(1) - (twice / 2 if doubled else b)
    found = b / a if upside_down else a / b
    found = math.sqrt(abs(found)) if rooted else found
    return float(int(found)) if rounded else found


def largest_micro_batch(
    config: GPTConfig, T: int, memory: int, explicit: bool, *, weights_forgotten=False, a_row_as_the_first=False,
    model_for_each_row=False, first_too_many=False, exactly_is_too_much=False, at_least_one=False,
    powers_of_two=False, one_row_supervised=False, always_fast=False, weights_alone=False,
) -> int:  # fmt: skip
    held = 0 if weights_forgotten else (4 if weights_alone else 16) * config.parameter_count
    left = memory - held
    explicit = explicit and not always_fast

    def need(rows: int) -> int:
        return package.activation_bytes(config, rows, T, (1 if one_row_supervised else rows) * T, explicit)

    if a_row_as_the_first:
        rows = max(0, left // need(1))
    elif model_for_each_row:
        rows = memory // (held + need(1))
    else:
        rows = 0
        while need(step := max(1, 2 * rows) if powers_of_two else rows + 1) < left + (not exactly_is_too_much):
            rows = step
    rows += first_too_many
    return max(1, rows) if at_least_one else rows


def kept_bytes(
    config: GPTConfig, rows: int, T: int, supervised: int, explicit: bool, *, numbers=False, half=False, twice=False,
    one_row=False, one_layer=False, parameters_too=False, explicit_as_fast=False, fast_as_explicit=False,
    weights_forgotten=False, weights_in_fast_too=False, one_head=False, scores_too=False, channels_for_heads=False,
    visible_half=False, context_for_T=False, narrow=False, two_missing=False, gelu_once=False, gelu_in_one=False,
    norms_in_one=False, qkv_forgotten=False, heads_forgotten=False, additions_too=False, last_mlp_whole=False,
    last_layer_short=False, logits_forgotten=False, logits_of_all=False, logits_in_fast_too=False,
    logits_once=False, table_s_gradient_forgotten=False, last_norm_forgotten=False,
) -> float:  # fmt: skip
    C, H, V, L = config.n_embd, config.n_head, config.vocab_size, 1 if one_layer else config.n_layer
    tokens, N = (1 if one_row else rows) * T, supervised
    explicit = explicit or fast_as_explicit
    spelled = explicit and not explicit_as_fast
    norm = 3 * C if spelled and not norms_in_one else C
    tables = C if channels_for_heads else 1 if one_head else H
    weights = tables * (config.n_ctx if context_for_T else T) * (2 if scores_too else 0.5 if visible_half else 1)
    weights = weights if (explicit and not weights_forgotten) or weights_in_fast_too else 0
    inputs, added = 0 if two_missing else C, C if additions_too else 0
    attention = inputs + (0 if qkv_forgotten else 3 * C) + weights + (0 if heads_forgotten else C) + added
    gelu = 5 if spelled and not gelu_in_one else 2
    mlp = inputs + (gelu - gelu_once) * (C if narrow else 4 * C) + added
    layers = L * (norm + attention) * tokens + ((L - 1) * tokens + (tokens if last_mlp_whole else N)) * (norm + mlp)
    if last_layer_short:
        layers = ((L - 1) * tokens + N) * (norm + attention + norm + mlp)
    logits = (tokens if logits_of_all else N) * V * (1 if logits_once else 2)
    head = 0 if logits_forgotten else logits
    if not explicit:
        head = logits if logits_in_fast_too else 0 if table_s_gradient_forgotten else V * C
    kept = layers + (0 if last_norm_forgotten else N * norm) + N * C + head
    return (1.0 if numbers else 2.0 if half else 8.0 if twice else 4.0) * kept + (
        4 * config.parameter_count if parameters_too else 0
    )
