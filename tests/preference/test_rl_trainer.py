"""Lesson 15: a step of reinforcement learning, as `Trainer` does it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from minigpt import load_template, load_tokenizer
from minigpt.learn.trainer import Recipe
from minigpt.preference.likelihood import continued, log_likelihood
from minigpt.preference.policy import Draw, draw_answers, leave_one_out, penalised
from minigpt.preference.rewards import Prompt
from minigpt.preference.rl_trainer import RLTrainer
from minigpt.run.start import set_dropout
from tests.conftest import two_layers

TEMPLATE = load_template("chatml", load_tokenizer("bytes"))
RECIPE = Recipe(steps=4, batch_size=3, micro_batch_size=3, lr=1e-3, warmup_steps=0, weight_decay=0.0)


def prompts() -> list[Prompt]:
    asked = [[{"role": "user", "content": "?" * (1 + 3 * i)}] for i in range(5)]
    return [Prompt(TEMPLATE.prompt(m), m, None, f"row {i}") for i, m in enumerate(asked)]


def odd(prompts: Sequence[Prompt], draws: Sequence[Draw]) -> torch.Tensor:
    """A reward that differs from draw to draw."""
    return torch.tensor([sum(draw.answer) % 7 / 7 + 0.5 * draw.ended for draw in draws])


def trainer(recipe: Recipe = RECIPE, beta: float = 0.1, moved: bool = True, reward=odd) -> RLTrainer:
    policy, reference = two_layers(), two_layers() if beta else None
    if moved:
        with torch.no_grad():
            for parameter in policy.parameters():
                parameter.add_(0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))
    return RLTrainer(policy, prompts(), recipe, reward, reference, beta, TEMPLATE.end, 4, 6)


def gradient(made: RLTrainer) -> torch.Tensor:
    made.step = 1
    made.gradients(made.rows())
    return torch.cat([p.grad.flatten() for p in made.model.parameters()])


@pytest.mark.parametrize("most", [2, 1])
@pytest.mark.parametrize("beta", [0.1, 0.0])
def test_a_step_s_gradient_is_the_same_however_its_draws_are_split(most: int, beta: float) -> None:
    """The log-likelihoods are then worked out twice, the second time with gradients; the rewards' groups stay whole."""
    whole, split = trainer(beta=beta), trainer(replace(RECIPE, micro_batch_size=most), beta)
    a, b = gradient(whole), gradient(split)
    assert ((a - b).norm() / a.norm()).item() < 1e-6
    for name, figure in whole.figures.items():
        assert split.figures[name] == pytest.approx(figure, abs=1e-5), name


def test_a_step_s_gradient_is_15_6_with_the_draws_of_its_seed() -> None:
    made = trainer()
    found = gradient(made)
    rows = made.rows()
    draws = draw_answers(made.model, [p.ids for p in rows], 4, TEMPLATE.end, 6, made.seed())
    made.model.zero_grad()
    examples = [continued(draw.prompt, draw.answer) for draw in draws]
    policy = log_likelihood(made.model, examples).view(3, 4)
    with torch.no_grad():
        reference = log_likelihood(two_layers(), examples).view(3, 4)
        R = odd([], draws).view(3, 4) - 0.1 * (policy - reference)
        b = torch.stack([(R.sum(1) - R[:, i]) / 3 for i in range(4)], 1)
    (-((R - b) * policy).mean()).backward()
    wanted = torch.cat([p.grad.flatten() for p in made.model.parameters()])
    assert ((found - wanted).norm() / wanted.norm()).item() < 1e-6
    assert torch.allclose(leave_one_out(penalised(odd([], draws).view(3, 4), policy.detach(), reference, 0.1)), R - b)


def test_the_first_step_is_at_no_distance_with_dropout_in_the_config_too() -> None:
    made = trainer(moved=False)
    set_dropout(made.model, 0.5)
    assert made.train_step().figures["kl"] == 0.0


def test_the_seed_of_a_step_s_draws_depends_on_the_run_s_seed_and_the_step_alone() -> None:
    made, other = trainer(), trainer(replace(RECIPE, seed=1))
    seeds = set()
    for each in (made, other):
        for each.step in range(1, 30):
            seeds.add(each.seed())
            torch.rand(3)
            assert each.seed() in seeds
    assert len(seeds) == 58


def test_answers_that_are_all_worth_the_same_teach_nothing() -> None:
    made = trainer(beta=0.0, reward=lambda prompts, draws: torch.full((len(draws),), 0.7))
    assert gradient(made).abs().max() < 1e-7
    assert made.figures["alike"] == 1.0
    assert made.figures["advantage_std"] < 1e-6


def test_what_is_rewarded_is_said_more_often() -> None:
    """The letter a, once: 0 to 1 for each answer."""

    def says_a(prompts: Sequence[Prompt], draws: Sequence[Draw]) -> torch.Tensor:
        return torch.tensor([float(draw.answer[0] == ord("a")) for draw in draws])

    made = RLTrainer(
        two_layers(), prompts(), replace(RECIPE, steps=40, lr=1e-2), says_a, None, 0.0, TEMPLATE.end, 16, 1
    )
    rewards = [made.train_step().figures["reward"] for _ in range(40)]
    assert sum(rewards[-5:]) / 5 > 0.5 > sum(rewards[:5]) / 5


def test_every_prompt_stands_by_its_own_answers_when_it_is_judged() -> None:
    seen = []

    def judged(prompts: Sequence[Prompt], draws: Sequence[Draw]) -> torch.Tensor:
        seen.extend((prompt.ids, draw.prompt) for prompt, draw in zip(prompts, draws, strict=True))
        return odd(prompts, draws)

    gradient(trainer(reward=judged))
    assert len(seen) == 12
    assert all(asked == answered for asked, answered in seen)
