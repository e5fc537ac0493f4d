"""Sample the next token: temperature, top-k, top-p. Read with lesson 07."""

from dataclasses import dataclass
from numbers import Integral, Real

import torch
from jaxtyping import Float, Int
from torch import Tensor

from minigpt.errors import UserError
from minigpt.ranges import Count, Temperature, TopP, check_values

KINDS = {"temperature": (Real, "number"), "top_k": (Integral | None, "whole number"), "top_p": (Real | None, "number")}


@dataclass(frozen=True)
class Sampling:
    """Sampling settings; UserError for an invalid one. Temperature 0 is greedy."""

    temperature: Temperature = 1.0
    top_k: Count | None = None
    top_p: TopP | None = None

    def __post_init__(self) -> None:
        for name, (kind, wanted) in KINDS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, kind):
                raise UserError(f"{name.replace('_', '-')} is {value!r}; it must be a {wanted}.")
        check_values(self, prefix="")

    def unused(self, seed: int | None) -> str:
        """The sentence that top-k, top-p or a seed has no effect where nothing is drawn; "" otherwise."""
        given = {"top-k": self.top_k, "top-p": self.top_p, "seed": seed}
        names = [f"--{name}" for name, value in given.items() if value is not None]
        if self.temperature or not names:
            return ""
        verb = "has" if len(names) == 1 else "have"
        return f"--temperature 0 always takes the most probable token, so {' and '.join(names)} {verb} no effect."


GREEDY = Sampling(temperature=0.0)


def keep_top_k(logits: Float[Tensor, "B V"], k: int) -> Float[Tensor, "B V"]:
    """Set all logits below the k-th best to minus infinity; k above V means V. Ties with the k-th best are kept."""
    kth = logits.topk(min(k, logits.shape[-1])).values[:, -1:]
    return logits.masked_fill(logits < kth, float("-inf"))


def keep_top_p(logits: Float[Tensor, "B V"], p: float) -> Float[Tensor, "B V"]:
    """Set the improbable tail to minus infinity: the smallest set of best tokens with total probability p is kept."""
    scores, order = logits.sort(dim=-1)
    tail = scores.softmax(-1).cumsum(-1) <= 1.0 - p
    tail[:, -1] = False  # the best one is always kept
    return logits.masked_fill(tail.scatter(-1, order, tail), float("-inf"))


def probabilities(
    logits: Float[Tensor, "B V"], temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Float[Tensor, "B V"]:
    """P(. | x_<t) after temperature (above 0), top-k and top-p, in that order, in float32 whatever logits are in."""
    logits = logits.float() / temperature
    if top_k is not None:
        logits = keep_top_k(logits, top_k)
    if top_p is not None:
        logits = keep_top_p(logits, top_p)
    return logits.softmax(-1)


def sample(
    logits: Float[Tensor, "B V"], sampling: Sampling, generator: torch.Generator | None = None
) -> Int[Tensor, " B"]:
    """Sample x_t from P(. | x_<t) after temperature, top-k and top-p; temperature 0 takes the best."""
    if sampling.temperature == 0.0:
        return logits.argmax(-1)
    P = probabilities(logits, sampling.temperature, sampling.top_k, sampling.top_p)
    return torch.multinomial(P, 1, generator=generator).squeeze(-1)  # eq 7.1
