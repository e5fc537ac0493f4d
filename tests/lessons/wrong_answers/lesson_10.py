"""Wrong answers of lesson 10."""

from collections.abc import Callable

from minigpt import GPTConfig
from minigpt.measure.cost import activation_bytes, training_bytes, training_flops

Count = Callable[[GPTConfig, int], int]


def the_package_s_count_of_training(config: GPTConfig, T: int) -> int:
    return training_flops(config, T)


def documents_b_8_alone(config: GPTConfig, T: int) -> int:
    return config.n_layer * T * T * config.n_embd


def documents_b_8_and_the_term_beside_it(config: GPTConfig, T: int) -> int:
    return config.n_layer * (T * T * config.n_embd + T * config.n_embd**2)


def six_a_parameter(config: GPTConfig, T: int) -> int:
    return 6 * config.parameter_count * T


def two_a_parameter_of_the_blocks_with_biases(config: GPTConfig, T: int) -> int:
    C, V = config.n_embd, config.vocab_size
    return T * (config.n_layer * (2 * (12 * C * C + 13 * C) + 2 * T * C) + 2 * C * V)


def every_visible_pair_counted_exactly(config: GPTConfig, T: int) -> int:
    C, L, V = config.n_embd, config.n_layer, config.vocab_size
    return T * (L * 24 * C * C + 2 * C * V) + L * 4 * C * (T * (T + 1) // 2)


def context_for_length(config: GPTConfig, T: int) -> int:
    C, L, V = config.n_embd, config.n_layer, config.vocab_size
    return T * (L * (24 * C * C + 2 * config.n_ctx * C) + 2 * C * V)


def attention_not_for_each_token(config: GPTConfig, T: int) -> int:
    C, L, V = config.n_embd, config.n_layer, config.vocab_size
    return T * (L * 24 * C * C + 2 * C * V) + L * 2 * T * C


def attention_times_T_once_more(config: GPTConfig, T: int) -> int:
    C, L, V = config.n_embd, config.n_layer, config.vocab_size
    return T * (L * (24 * C * C + 2 * T * T * C) + 2 * C * V)


def twelve_squares_and_whole_attention(config: GPTConfig, T: int) -> int:
    C, L, V = config.n_embd, config.n_layer, config.vocab_size
    return T * (L * (12 * C * C + 2 * T * C) + C * V)


def all_pairs_and_no_head(config: GPTConfig, T: int) -> int:
    return T * config.n_layer * (24 * config.n_embd**2 + 4 * T * config.n_embd)


def mlp_alone(config: GPTConfig, T: int) -> int:
    C = config.n_embd
    return T * (config.n_layer * 16 * C * C + 2 * C * config.vocab_size)


def no_layers_and_no_head(config: GPTConfig, T: int) -> int:
    return T * (24 * config.n_embd**2 + 2 * T * config.n_embd)


def an_mlp_half_as_wide(config: GPTConfig, T: int) -> int:
    C, L, V = config.n_embd, config.n_layer, config.vocab_size
    return T * (L * (16 * C * C + 2 * T * C) + 2 * C * V)


def the_embedding_as_a_product(config: GPTConfig, T: int) -> int:
    C, L, V = config.n_embd, config.n_layer, config.vocab_size
    return T * (L * (24 * C * C + 2 * T * C) + 4 * C * V)


def a_float(config: GPTConfig, T: int) -> float:
    C, L, V = config.n_embd, config.n_layer, config.vocab_size
    return T * (L * (24 * C * C + 4 * T * C / 2) + 2 * C * V)


FLOPS: list[Count] = [
    the_package_s_count_of_training, documents_b_8_alone, documents_b_8_and_the_term_beside_it, six_a_parameter,
    two_a_parameter_of_the_blocks_with_biases, every_visible_pair_counted_exactly, context_for_length,
    attention_not_for_each_token, attention_times_T_once_more, twelve_squares_and_whole_attention,
    all_pairs_and_no_head, mlp_alone, no_layers_and_no_head, an_mlp_half_as_wide, the_embedding_as_a_product, a_float,
]  # fmt: skip


def the_package_s_estimate(config: GPTConfig, rows: int, T: int, supervised: int, explicit: bool) -> float:
    return activation_bytes(config, rows, T, supervised, explicit)


def everything_that_training_holds(config: GPTConfig, rows: int, T: int, supervised: int, explicit: bool) -> float:
    return training_bytes(config) + activation_bytes(config, rows, T, supervised, explicit)


def the_stream_after_each_layer(config: GPTConfig, rows: int, T: int, supervised: int, explicit: bool) -> float:
    return 4.0 * rows * T * config.n_embd * (config.n_layer + 1)


def weights_of_attention_alone(config: GPTConfig, rows: int, T: int, supervised: int, explicit: bool) -> float:
    return 4.0 * rows * config.n_layer * config.n_head * T * T if explicit else 0.0


def inputs_of_the_maps(config: GPTConfig, rows: int, T: int, supervised: int, explicit: bool) -> float:
    return 4.0 * (rows * T * config.n_layer * 7 + supervised) * config.n_embd


def outputs_of_the_maps(config: GPTConfig, rows: int, T: int, supervised: int, explicit: bool) -> float:
    return 4.0 * (rows * T * config.n_layer * 9 * config.n_embd + supervised * config.vocab_size)


def parts(config: GPTConfig, T: int, explicit: bool) -> tuple[int, int, int]:
    """Numbers that a norm, attention and an MLP keep for a token."""
    C = config.n_embd
    return (3 * C, 5 * C + config.n_head * T, 21 * C) if explicit else (C, 5 * C, 9 * C)


def head(config: GPTConfig, N: int, explicit: bool) -> int:
    return N * config.n_embd + (2 * N * config.vocab_size if explicit else config.vocab_size * config.n_embd)


def a_layer_for_every_token(config: GPTConfig, rows: int, T: int, supervised: int, explicit: bool) -> float:
    norm, attention, mlp = parts(config, T, explicit)
    layers = rows * T * config.n_layer * (2 * norm + attention + mlp)
    return 4.0 * (layers + supervised * norm + head(config, supervised, explicit))


def everything_for_every_token(config: GPTConfig, rows: int, T: int, supervised: int, explicit: bool) -> float:
    norm, attention, mlp = parts(config, T, explicit)
    layers = rows * T * config.n_layer * (2 * norm + attention + mlp)
    return 4.0 * (layers + rows * T * norm + head(config, rows * T, explicit))


def no_head_at_all(config: GPTConfig, rows: int, T: int, supervised: int, explicit: bool) -> float:
    norm, attention, mlp = parts(config, T, explicit)
    whole, last = rows * T * config.n_layer, supervised - rows * T
    return 4.0 * (whole * (2 * norm + attention + mlp) + last * (norm + mlp) + supervised * norm)


def the_explicit_head_in_both(config: GPTConfig, rows: int, T: int, supervised: int, explicit: bool) -> float:
    return no_head_at_all(config, rows, T, supervised, explicit) + 4.0 * head(config, supervised, True)


def the_head_s_sum_without_the_table(config: GPTConfig, rows: int, T: int, supervised: int, explicit: bool) -> float:
    logits = 2 * supervised * config.vocab_size if explicit else 0
    return no_head_at_all(config, rows, T, supervised, explicit) + 4.0 * (supervised * config.n_embd + logits)


def in_bfloat16(config: GPTConfig, rows: int, T: int, supervised: int, explicit: bool) -> float:
    return no_head_at_all(config, rows, T, supervised, explicit) / 2 + 2.0 * head(config, supervised, explicit)


def the_round_numbers_of_the_lesson(config: GPTConfig, rows: int, T: int, supervised: int, explicit: bool) -> float:
    C = config.n_embd
    return 4.0 * rows * T * config.n_layer * (32 * C + config.n_head * T if explicit else 16 * C)


def as_fast_forms_with_weights(config: GPTConfig, rows: int, T: int, supervised: int, explicit: bool) -> float:
    weights = 4.0 * rows * config.n_layer * config.n_head * T * T if explicit else 0.0
    return no_head_at_all(config, rows, T, supervised, False) + weights + 4.0 * head(config, supervised, explicit)


def a_square_of_T_for_each_channel(config: GPTConfig, rows: int, T: int, supervised: int, explicit: bool) -> float:
    weights = 4.0 * rows * config.n_layer * config.n_embd * T * T
    return no_head_at_all(config, rows, T, supervised, False) + weights + 4.0 * head(config, supervised, explicit)


KEPT: list[Callable] = [
    the_package_s_estimate, everything_that_training_holds, the_stream_after_each_layer, weights_of_attention_alone,
    inputs_of_the_maps, outputs_of_the_maps, a_layer_for_every_token, everything_for_every_token, no_head_at_all,
    the_explicit_head_in_both, the_head_s_sum_without_the_table, in_bfloat16, the_round_numbers_of_the_lesson,
    as_fast_forms_with_weights, a_square_of_T_for_each_channel,
]  # fmt: skip
Cost = Callable[[int], int]


def the_first_whole_length(cost: Cost) -> float:
    b = (cost(2) - 2 * cost(1)) / 2
    return float(next(T for T in range(1, 10**6) if b * T * T >= (cost(1) - b) * T))


def the_nearest_whole_length(cost: Cost) -> float:
    b = (cost(2) - 2 * cost(1)) / 2
    return float(round((cost(1) - b) / b))


def twice_the_cost_of_one_token_each(cost: Cost) -> float:
    return float(next(T for T in range(1, 10**6) if cost(T) >= 2 * T * cost(1)))


def where_the_cost_has_doubled(cost: Cost) -> float:
    return float(next(T for T in range(1, 10**6) if cost(T) >= 2 * cost(1)))


def a_ratio_of_costs(cost: Cost) -> float:
    return cost(1) / (cost(2) - cost(1))


def the_second_step_as_b(cost: Cost) -> float:
    b = cost(2) - cost(1)
    return (cost(1) - b) / b


def half_of_four_b(cost: Cost) -> float:
    b = (cost(2) - cost(1)) / 4
    return (cost(1) - b) / b


def one_token_s_cost_over_b(cost: Cost) -> float:
    return 2 * cost(1) / (cost(2) - 2 * cost(1))


def second_difference_without_the_half(cost: Cost) -> float:
    twice = cost(3) - 2 * cost(2) + cost(1)
    return (cost(1) - twice) / twice


def the_two_parts_upside_down(cost: Cost) -> float:
    b = (cost(2) - 2 * cost(1)) / 2
    return b / (cost(1) - b)


def from_T_squared_alone(cost: Cost) -> float:
    b = (cost(2) - 2 * cost(1)) / 2
    return ((cost(1) - b) / b) ** 0.5


def attention_alone(cost: Cost) -> float:
    return (cost(2) - 2 * cost(1)) / 2


CROSSING: list[Callable] = [
    the_first_whole_length, the_nearest_whole_length, twice_the_cost_of_one_token_each, where_the_cost_has_doubled,
    a_ratio_of_costs, the_second_step_as_b, half_of_four_b, one_token_s_cost_over_b,
    second_difference_without_the_half, the_two_parts_upside_down, from_T_squared_alone, attention_alone,
]  # fmt: skip
ANSWERS = {
    ("10_cost", "forward_flops"): FLOPS, ("10_cost", "crossing"): CROSSING, ("10_cost", "kept_bytes"): KEPT,
}  # fmt: skip
