"""Oracles of lesson 10: the bytes of real tensors, and torch's own counter of operations."""

from collections.abc import Callable
from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from minigpt import GPT, GPTConfig
from minigpt.measure import cost

TRAINED = GPTConfig.named("tiny", n_embd=16, n_head=2, n_ctx=32, n_padding_rows=4)


@cache
def held_bytes() -> int:
    """After a step of torch's own Adam: weights, gradients, and what the optimizer's state holds for each weight."""
    model = GPT(TRAINED)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.zeros(1, 4, dtype=torch.int64)).sum().backward()
    optimizer.step()
    held = [tensor for p in model.parameters() for tensor in (p, p.grad, *optimizer.state[p].values())]
    return sum(tensor.nbytes for tensor in held if tensor.dim())  # without the number of steps


def bytes_of_a_model_in_training() -> None:
    assert cost.training_bytes(TRAINED) == held_bytes()


@cache
def operations(config: GPTConfig, T: int) -> int:
    """The explicit form's products, by shape, on a model without memory; of the batched ones (attention's) half."""
    with torch.device("meta"):
        model, ids = GPT(config).explicit(True), torch.zeros(1, T, dtype=torch.int64)
    counter = FlopCounterMode(display=False)
    with counter:
        model(ids)
    pairs = counter.get_flop_counts()["Global"][torch.ops.aten.bmm]
    return counter.get_total_flops() - pairs // 2


def operations_of_torch() -> None:
    for config, T in ((GPTConfig.named("tiny", n_padding_rows=4), 100), (GPTConfig.named("gpt2", n_layer=2), 1024)):
        assert cost.forward_flops(config, T) == operations(config, T)


ORACLES: dict[str, Callable[[], None]] = {
    "minigpt.measure.cost.training_bytes": bytes_of_a_model_in_training,
    "minigpt.measure.cost.forward_flops": operations_of_torch,
}
