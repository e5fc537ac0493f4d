"""The curve of the optimum: the most reward at each divergence, known before training. Read with lesson 15."""

from dataclasses import asdict, dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from minigpt.preference.optimum import optimum

LARGE = 20  # times the largest spread of rewards to one prompt: at this beta the optimum still is nearly the reference
A_DECADE = 20  # points of the curve for each factor of 10 in beta
MOST = 10 * A_DECADE
REACHED = 0.999  # of the way to the best draws; smaller betas only choose among those
ENOUGH = 8  # draws that carry weight, on average; with fewer the curve says little of the true optimum


@dataclass(frozen=True)
class Point:
    """The optimum at one beta: E[r] and KL(pi*, ref) in nats an answer, means over prompts.

    `effective_draws` is 1 / sum w^2, how many of a prompt's draws still carry weight.
    """

    beta: float
    reward: float
    divergence: float
    effective_draws: float

    def as_json(self) -> dict[str, float]:
        return asdict(self)


def at(rewards: Float[Tensor, "P K"], beta: float) -> Point:
    """The optimum of beta > 0, from the rewards of K draws of the reference to each of P prompts.

    The draws stand for all answers, each with the probability 1 / K, so that w is proportional to exp(r / beta):

        E[r] = sum_i w_i r_i    KL = sum_i w_i log(K w_i), which is log K at most

    A prompt none of whose draws is rewarded cannot move: there the true optimum lies higher.
    """
    rewards = rewards.double()
    reference = torch.zeros_like(rewards).log_softmax(-1)
    log_w = optimum(reference, rewards, beta)
    w = log_w.exp()
    kl = (w * (log_w - reference)).sum(-1).clamp(min=0)  # 0 may come out as -1e-17
    return Point(beta, (w * rewards).sum(-1).mean().item(), kl.mean().item(), (1 / w.square().sum(-1)).mean().item())


def curve(rewards: Float[Tensor, "P K"]) -> list[Point]:
    """The optima from large beta to small: from near the reference to where each prompt's best draws are chosen.

    One point where the rewards to each prompt are all alike: then the optimum is the reference, whatever beta is.
    ValueError for a reward that is NaN or infinite.
    """
    rewards = rewards.double()
    if not rewards.isfinite().all():
        raise ValueError("A reward is NaN or infinite.")
    missing = rewards - rewards.amax(-1, keepdim=True)  # exactly 0 where all are alike, and small for exp
    spread = missing.std(-1, correction=0).max().item()
    if spread == 0:
        return [at(rewards, 1.0)]
    best, enough = rewards.amax(-1).mean().item(), (1 - REACHED) * missing.mean().item()
    points: list[Point] = []
    for i in range(MOST):
        point = at(missing, LARGE * spread * 10 ** (-i / A_DECADE))
        points.append(replace(point, reward=best + point.reward))
        if point.reward >= enough:
            break
    return points
