"""x + Attn(LN(x)), then x + MLP(LN(x))."""

import torch
from torch import nn

from minigpt.config import GPTConfig
from minigpt.model.block import Block


def random_block() -> Block:
    torch.manual_seed(0)
    block = Block(GPTConfig.named("tiny", n_embd=12, n_head=3)).double()
    for parameter in block.parameters():
        nn.init.normal_(parameter)
    return block


def test_layer_norm_stands_before_each_part_and_each_part_is_added() -> None:
    block = random_block()
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    between = x + block.attn(block.ln_1(x))
    expected = between + block.mlp(block.ln_2(between))
    assert torch.equal(block(x), expected)


def test_with_silent_projections_the_residual_stream_passes_unchanged() -> None:
    block = random_block()
    for projection in (block.attn.c_proj, block.mlp.c_proj):
        nn.init.zeros_(projection.weight)
        nn.init.zeros_(projection.bias)
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    assert torch.equal(block(x), x)


def test_the_positions_asked_for_get_the_rows_that_all_would() -> None:
    block = random_block()
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    at = torch.tensor([[0, 1, 0, 0, 1], [1, 0, 0, 0, 0]], dtype=torch.bool)
    torch.testing.assert_close(block(x, at=at), block(x)[at], rtol=1e-12, atol=1e-12)
