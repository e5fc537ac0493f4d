"""More of what is rewarded, and no further from the reference than it is worth. Read with lesson 15."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from minigpt.model.gpt import GPT
from minigpt.sample.generation import draw_batch
from minigpt.sample.prompt import as_ids
from minigpt.sample.sampling import Sampling


@dataclass(frozen=True)
class Draw:
    """An answer drawn to a prompt: the ids that were drawn, the end token among them exactly if it was drawn."""

    prompt: list[int]
    answer: list[int]
    ended: bool


def draw_answers(
    model: GPT, prompts: Sequence[Sequence[int]], group_size: int, end: int, max_new_tokens: int, seed: int
) -> list[Draw]:
    """`group_size` answers to each prompt, prompt after prompt, from the model's own distribution: temperature 1, and
    nothing cut off, or 15.6 would differentiate another distribution than was drawn from."""
    new = draw_batch(model, prompts, max_new_tokens, Sampling(temperature=1.0), (end,), seed, copies=group_size)
    asked = [as_ids(prompt, model.config) for prompt in prompts for _ in range(group_size)]
    return [Draw(prompt, ids, ids[-1:] == [end]) for prompt, ids in zip(asked, new, strict=True)]


def mean_reward(rewards: Float[Tensor, "*draws"]) -> Float[Tensor, ""]:
    """J = E[r(x, y)] with x from the data and y drawn from the model (document B 6), estimated by these draws."""
    return rewards.mean()  # eq 15.1


def penalised(
    rewards: Float[Tensor, "P K"], policy: Float[Tensor, "P K"], reference: Float[Tensor, "P K"], beta: float
) -> Float[Tensor, "P K"]:
    """R = r - beta log pi(y | x) / ref(y | x), whose mean over draws of pi is J_beta = E[r] - beta KL(pi, ref).

    `policy` and `reference` are log-likelihoods of the answers; beta is what a nat of divergence costs.
    """
    return rewards - beta * (policy - reference)  # eq 15.2


def leave_one_out(returns: Float[Tensor, "P K"]) -> Float[Tensor, "P K"]:
    """R_i - b_i, with b_i the mean return of the other K - 1 answers to the same prompt (Kool et al., 2019).

    That mean knows nothing of the answer that it is subtracted from, so the gradient stays unbiased.
    """
    b = (returns.sum(1, keepdim=True) - returns) / (returns.shape[1] - 1)  # eq 15.7
    return returns - b


def policy_loss(advantages: Float[Tensor, "*draws"], policy: Float[Tensor, "*draws"]) -> Float[Tensor, ""]:
    """-mean(A log pi(y | x)), whose gradient is minus that of J_beta (Williams, 1992); the advantages are constants."""
    return -(advantages.detach() * policy).mean()  # eq 15.6
