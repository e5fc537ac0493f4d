"""Lesson 10's counts on paper are those of the paper model, part by part."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from lessons.tiny import IDS, paper_model
from minigpt import GPTConfig
from minigpt.measure.cost import forward_flops, training_bytes


def test_a_token_s_operations_part_by_part() -> None:
    """24 C^2 in the maps, 4 T C in attention before the mask, 2 C V in the head, by torch's count of three tokens."""
    model, counter = paper_model(), FlopCounterMode(display=False)
    with counter:
        model(torch.tensor([IDS]))
    aten = torch.ops.aten
    found = {product: count / len(IDS) for product, count in counter.get_flop_counts()["Global"].items()}
    assert found == {aten.addmm: 384, aten.bmm: 48, aten.mm: 32}
    assert forward_flops(model.config, 3) == 3 * (384 + 48 / 2 + 32) == 1320


def test_the_puzzle_s_wider_model() -> None:
    wide = GPTConfig(vocab_size=4, n_ctx=4, n_embd=8, n_head=2, n_layer=1, bos_token_id=3)
    assert training_bytes(wide) == 16 * (32 + 32 + (768 + 104) + 16) == 15_232
    assert forward_flops(wide, 3) == 3 * (1536 + 48 + 64) == 4944
