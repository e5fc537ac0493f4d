"""Lesson 10: bytes and operations, counted beside the formulas; and two of the documents' figures."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from minigpt import GPT, GPTConfig
from minigpt.learn.optimizer import AdamW
from minigpt.measure.cost import forward_flops, generation_bytes, training_bytes, training_flops

SHAPES = [
    (GPTConfig.named("tiny", n_ctx=64, n_embd=32, n_head=4, n_layer=3), 48),
    (GPTConfig.named("gpt2"), 1024),
    (GPTConfig.named("gpt2-large"), 1024),
]


def counted(config: GPTConfig, T: int, backward: bool = False) -> int:
    """What the model's matrix products cost, by torch's own count: shapes alone, with attention spelled out."""
    with torch.device("meta"):
        model, ids = GPT(config).explicit(True), torch.zeros(1, T, dtype=torch.int64)
    counter = FlopCounterMode(display=False)
    with counter:
        logits = model(ids)
        if backward:
            logits.sum().backward()
    return counter.get_total_flops()


def unseen(config: GPTConfig, T: int) -> int:
    """Half of attention's 4 T^2 C a layer: spelled out, scores behind the causal mask are computed and thrown away;
    the formula counts what has to be computed."""
    return config.n_layer * 2 * T * T * config.n_embd


@pytest.mark.parametrize(("config", "T"), SHAPES)
def test_forward_flops_are_those_of_the_matrix_products(config: GPTConfig, T: int) -> None:
    assert forward_flops(config, T) == counted(config, T) - unseen(config, T)


@pytest.mark.parametrize(("config", "T"), SHAPES[:2])
def test_forward_and_backward_cost_three_forwards(config: GPTConfig, T: int) -> None:
    assert training_flops(config, T) == counted(config, T, backward=True) - 3 * unseen(config, T)


def test_training_bytes_are_those_of_weights_gradients_and_two_moments() -> None:
    config = GPTConfig.named("tiny", n_ctx=16, n_embd=16, n_head=2, n_layer=2)
    model = GPT(config)
    optimizer = AdamW(model.parameters())
    model(torch.zeros(1, 4, dtype=torch.int64)).sum().backward()
    optimizer.step()
    held = [
        tensor for p in model.parameters() for tensor in (p, p.grad, optimizer.state[p]["m"], optimizer.state[p]["v"])
    ]
    assert training_bytes(config) == sum(tensor.nbytes for tensor in held)


def test_a_billion_and_a_half_parameters_need_25_gigabytes_and_not_12() -> None:
    """Document B 7.1 says 6 to 12 GB: the weights in half precision with some activations, no gradient, no moment."""
    config = GPTConfig.named("gpt2-xl")
    assert config.parameter_count == 1_557_611_200
    assert round(training_bytes(config) / 1e9) == 25


def test_the_matrix_products_cost_more_than_attention_at_the_documents_size() -> None:
    """Document B 8 names O(L T^2 C) alone; at T = 1024 and C = 1280 the L T C^2 beside it is larger, and by far."""
    config, T = GPTConfig.named("gpt2-large"), 1024
    assert config.n_embd == 1280
    # In T, the cost is a T + b T^2: doubling T doubles the first part and quadruples the second.
    quadratic = (forward_flops(config, 2 * T) - 2 * forward_flops(config, T)) // 2
    head = 2 * T * config.n_embd * config.vocab_size
    products = forward_flops(config, T) - quadratic - head
    assert products == 15 * quadratic
    assert products > 7 * (quadratic + unseen(config, T)), "also where the masked half is computed"


def test_attention_takes_over_in_a_long_context() -> None:
    """T^2 does win in the end: at T = 12 C with the mask, 15 times the documents' T."""
    config = GPTConfig.named("gpt2-large")
    quadratic = [(forward_flops(config, 2 * T) - 2 * forward_flops(config, T)) // 2 for T in (1024, 12 * 1280)]
    products = [24 * T * config.n_embd**2 * config.n_layer for T in (1024, 12 * 1280)]
    assert quadratic[0] < products[0]
    assert quadratic[1] == products[1]


def test_a_drawn_token_reads_every_weight_but_the_table_of_positions() -> None:
    config = GPTConfig.named("tiny", n_ctx=48)
    read = {name: p.numel() * p.element_size() for name, p in GPT(config).named_parameters() if name != "wpe.weight"}
    assert generation_bytes(config) == sum(read.values())
