"""Oracles of lesson 09: torch's optimizers and cross-entropy, and the schedule of transformers."""

import copy
from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import get_cosine_schedule_with_warmup

from minigpt import GPT, GPTConfig
from minigpt.learn.optimizer import SGD, Adam, AdamW
from minigpt.learn.schedule import warmup_then_decay
from minigpt.learn.trainer import Recipe, Trainer
from minigpt.text.examples import Example


def moved(make: Callable) -> list[Tensor]:
    """Two parameters after twenty steps, each with random gradients of its own."""
    generator = torch.Generator().manual_seed(0)
    parameters = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((3, 4), (5,))]
    optimizer = make(parameters)
    for _ in range(20):
        for p in parameters:
            p.grad = torch.randn(p.shape, generator=generator)
        optimizer.step()
    return [p.detach() for p in parameters]


@cache
def moved_by_torch(name: str) -> list[Tensor]:
    return moved(lambda p: {"SGD": torch.optim.SGD(p, lr=0.05), "AdamW": torch.optim.AdamW(p, lr=0.05)}[name])


def steps_of_torch() -> None:
    """The documents' form too, which torch has not: its first step is (1 - b1) / sqrt(1 - b2) times as long."""
    torch.testing.assert_close(moved(lambda p: SGD(p, lr=0.05)), moved_by_torch("SGD"), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(moved(lambda p: AdamW(p, lr=0.05)), moved_by_torch("AdamW"), rtol=1e-5, atol=1e-5)
    p = torch.nn.Parameter(torch.zeros(2))
    p.grad = torch.tensor([2.0, -30.0])
    Adam([p], lr=0.1, bias_correction=False).step()
    assert p.tolist() == pytest.approx([-0.1 * 10**0.5, 0.1 * 10**0.5], rel=1e-5)


def rates_of_transformers() -> None:
    """Theirs counts from 0, and has the warmup's rates a step later."""
    settings = dict(num_warmup_steps=5, num_training_steps=40)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.3)
    rate = get_cosine_schedule_with_warmup(optimizer, **settings).lr_lambdas[0]
    wanted = [0.3 * rate(step if step <= 5 else step - 1) for step in range(1, 42)]
    assert [warmup_then_decay(step, 0.3, 5, 40) for step in range(1, 42)] == pytest.approx(wanted, abs=1e-12)


@cache
def a_step() -> tuple[GPT, list[Example], Tensor, float]:
    """A small model, ragged rows, and what torch's cross-entropy over all of them at once gives."""
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=11, n_ctx=16, n_embd=8, n_head=2, n_layer=1, bos_token_id=0))
    rows = []
    for asked, answered in ((2, 8), (5, 1), (1, 2), (4, 3), (6, 1)):
        ids = torch.randint(11, (asked + answered,)).tolist()
        rows.append(Example(ids, [False] * asked + [True] * answered, "row"))
    wanted = copy.deepcopy(model)
    ids = torch.tensor([row.ids + [0] * (10 - len(row.ids)) for row in rows])
    counts = torch.tensor([row.supervised + [False] * (10 - len(row.supervised)) for row in rows])[:, 1:]
    targets = ids[:, 1:].masked_fill(~counts, -100)
    loss = F.cross_entropy(wanted(ids)[:, :-1].flatten(0, 1), targets.flatten(), ignore_index=-100)
    loss.backward()
    return model, rows, torch.cat([p.grad.flatten() for p in wanted.parameters()]), loss.item()


def gradient_of_one_batch() -> None:
    model, rows, gradient, loss = a_step()
    model = copy.deepcopy(model)
    trainer = Trainer(model, rows, Recipe(steps=1, batch_size=5, micro_batch_size=2, lr=0.1, warmup_steps=0))
    assert trainer.gradients(rows) == (pytest.approx(loss, rel=1e-5), 15)
    torch.testing.assert_close(torch.cat([p.grad.flatten() for p in model.parameters()]), gradient, rtol=0, atol=1e-6)


ORACLES: dict[str, Callable[[], None]] = {
    "minigpt.learn.optimizer.descend": steps_of_torch,
    "minigpt.learn.optimizer.adam": steps_of_torch,
    "minigpt.learn.schedule.warmup_then_decay": rates_of_transformers,
    "minigpt.learn.trainer.Trainer.gradients": gradient_of_one_batch,
}
