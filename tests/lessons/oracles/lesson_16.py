"""Oracles of lesson 16: sums in Python, the bound of rounding, what a fair deal is, and torch's own linear map."""

from collections.abc import Callable

import torch
from torch.nn import functional as F

from minigpt.learn import batches
from minigpt.model import light
from minigpt.model.linear import Linear
from minigpt.model.low_rank import LowRankLinear


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def sums_of_integers(form: str) -> None:
    """The fast form rounds its input to sixteen bits where the processor has a kernel for that."""
    for n_out, n_in in ((32, 32), (48, 16)):
        x, b = random(3, n_in), random(n_out, seed=1)
        q = (50 * random(n_out, n_in, seed=2)).round().clamp(-127, 127).to(torch.int8)
        s = random(n_out, seed=3).abs() / 100 + 0.001
        rows = [[sum(a * c for a, c in zip(xs, qs, strict=True)) for qs in q.tolist()] for xs in x.tolist()]
        wanted = torch.tensor([[u * y + c for y, u, c in zip(row, s, b, strict=True)] for row in rows])
        torch.testing.assert_close(getattr(light, form)(x, q, s, b), wanted, rtol=1e-3, atol=1e-3)


def within_half_a_unit() -> None:
    W = random(9, 9) * torch.logspace(-4, 3, 9)
    W[:, 4] = 0.0
    q, s = light.rounded(W, "int8")
    assert (q.dtype, q.shape, s.shape) == (torch.int8, (9, 9), (9,))
    assert ((W - s * q.t()).abs() <= 0.5001 * s).all()
    assert [int(n) for n in q.abs().amax(1)] == [127, 127, 127, 127, 0, 127, 127, 127, 127]
    assert s[4] == 1
    q, s = light.rounded(W, "bfloat16")
    assert torch.equal(q.t(), W.to(torch.bfloat16))
    assert torch.equal(s, torch.ones(9))


def a_fair_deal() -> None:
    """Every row once, the same numbers of micro-batches of the same sizes, and nobody's row is far from the others'."""
    lengths = torch.randint(1, 60, (24,), generator=torch.Generator().manual_seed(0)).tolist()
    for hands in (1, 2, 3, 4):
        for settings in ((20, 8), (0, 3), (100, 8, 150.0)):
            found = [batches.share(lengths, hand, hands, *settings) for hand in range(hands)]
            assert sorted(i for groups in found for group in groups for i in group) == list(range(24))
            assert len({tuple(map(len, groups)) for groups in found}) == 1
            assert max(len(group) for group in found[0]) <= settings[1]
            dealt = zip(*([lengths[i] for group in groups for i in group] for groups in found), strict=True)
            flat = [length for deal in dealt for length in deal]
            assert flat == sorted(flat)
            if len(settings) == 3:
                assert all(len(g) == 1 or len(g) * max(lengths[i] for i in g) <= settings[2] for g in found[-1])


def a_linear_map_with_the_sum_of_both() -> None:
    for rank, alpha in ((1, 2.0), (3, 5.0)):
        whole = Linear(6, 6)
        whole.weight.data, whole.bias.data = random(6, 6), random(6, seed=1)
        found = LowRankLinear(whole, rank, alpha)
        found.A.data, found.B.data = random(6, rank, seed=2), random(rank, 6, seed=3)
        x, W = random(2, 4, 6, seed=4), whole.weight.double()
        for i, k, o in torch.cartesian_prod(torch.arange(6), torch.arange(rank), torch.arange(6)).tolist():
            W[i, o] += alpha / rank * found.A.data[i, k].double() * found.B.data[k, o].double()
        wanted = F.linear(x.double(), W.t(), whole.bias.double()).float()
        torch.testing.assert_close(found(x), wanted, rtol=1e-4, atol=1e-4)


ORACLES: dict[str, Callable[[], None]] = {
    "minigpt.model.light.light": lambda: sums_of_integers("light"),
    "minigpt.model.light.light_fast": lambda: sums_of_integers("light_fast"),
    "minigpt.model.light.rounded": within_half_a_unit,
    "minigpt.learn.batches.share": a_fair_deal,
    "minigpt.model.low_rank.LowRankLinear.forward": a_linear_map_with_the_sum_of_both,
}
