"""Oracles of lesson 08: torch's own loss and its gradients, in float64, and powers of ten."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch.nn import functional as F

from minigpt.learn import loss


def torch_s_cross_entropy(name: str) -> None:
    """Each token's, and the gradient of a weighted sum; also where softmax would be 0."""
    generator = torch.Generator().manual_seed(0)
    logits = (9.0 * torch.randn(3, 4, 30, generator=generator)).index_fill(1, torch.tensor([2]), 0.0)
    logits[0, 0, :2] = torch.tensor([150.0, -150.0])
    logits.requires_grad_()
    targets = torch.randint(30, (3, 4), generator=generator)
    targets[0, 0] = 1
    weights = torch.randn(3, 4, generator=generator)
    wanted = F.cross_entropy(logits.double().flatten(0, 1), targets.flatten(), reduction="none").view(3, 4)
    found = getattr(loss, name)(logits, targets)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)
    slopes = [torch.autograd.grad((weights * nll).sum(), logits)[0] for nll in (found, wanted)]
    torch.testing.assert_close(*slopes, rtol=1e-5, atol=1e-5)


def powers_of_ten() -> None:
    """A die of 10 sides, rolled T times, has the probability 10^-T."""
    for count in (1, 3, 40):
        assert math.isclose(loss.perplexity(math.log(10.0**count), count), 10.0, rel_tol=1e-9)
    assert round(loss.perplexity(1.95), 2) == 7.03


def torch_s_loss_through_the_head(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    h, E = (torch.randn(n, 6, generator=generator).requires_grad_() for n in (150, 20))
    y = torch.randint(20, (150,), generator=generator)
    wanted = F.cross_entropy(h.double() @ E.double().T, y, reduction="sum")
    found = getattr(loss, name)(h, E, y)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-4)
    slopes = [torch.autograd.grad(nll / 7, [h, E]) for nll in (found, wanted)]
    torch.testing.assert_close(*slopes, rtol=1e-4, atol=1e-5)


ORACLES: dict[str, Callable[[], None]] = {
    "minigpt.learn.loss.token_nll": partial(torch_s_cross_entropy, "token_nll"),
    "minigpt.learn.loss.token_nll_fast": partial(torch_s_cross_entropy, "token_nll_fast"),
    "minigpt.learn.loss.perplexity": powers_of_ten,
    "minigpt.learn.loss.head_nll": partial(torch_s_loss_through_the_head, "head_nll"),
    "minigpt.learn.loss.head_nll_fast": partial(torch_s_loss_through_the_head, "head_nll_fast"),
}
