"""The training loop on the model's own answers: the policy gradient. Read with lesson 15."""

from collections.abc import Sequence

import numpy as np
import torch

from minigpt.learn.batches import split_by_length, used_length
from minigpt.learn.trainer import OVERHEAD, Recipe, Trainer, precision, room
from minigpt.model.gpt import GPT
from minigpt.preference.likelihood import continued, log_likelihood
from minigpt.preference.policy import draw_answers, leave_one_out, mean_reward, penalised, policy_loss
from minigpt.preference.rewards import Prompt, Reward
from minigpt.text.examples import Example


class RLTrainer(Trainer):
    """Trains a policy on the answers that it draws: REINFORCE with the leave-one-out baseline, one optimizer step for
    each batch of draws, so that every answer is learned from at the weights that it was drawn with.

    `reference` is a second model, which the policy is held near; None with beta 0.
    """

    dropout = False
    logits = "all"

    def __init__(
        self,
        model: GPT,
        prompts: Sequence[Prompt],
        recipe: Recipe,
        reward: Reward,
        reference: GPT | None,
        beta: float,
        end: int,
        group_size: int,
        max_new_tokens: int,
    ) -> None:
        super().__init__(model, prompts, recipe)
        self.reward, self.reference, self.beta = reward, reference, beta
        self.end, self.rows_each, self.max_new_tokens = end, group_size, max_new_tokens
        if reference is not None:
            self.frozen_bytes = 4 * reference.config.parameter_count

    def longest(self) -> list[Example]:
        prompts = sorted((prompt.ids for prompt in self.examples), key=len)[-self.recipe.micro_batch_size :]
        return [continued(ids, [self.end] * self.max_new_tokens) for ids in prompts] * self.rows_each

    def tokens(self, rows: Sequence[Prompt]) -> int:
        return self.read

    def seed(self) -> int:
        """Of this step's draws: a function of the run's seed and the step, so that a resumed run draws the same."""
        return int(np.random.SeedSequence([self.recipe.seed, self.step]).generate_state(1, np.uint64)[0])

    def gradients(self, rows: Sequence[Prompt]) -> tuple[float, int]:
        model, K = self.model, self.rows_each
        with precision(model, self.recipe.dtype):
            draws = draw_answers(model, [p.ids for p in rows], K, self.end, self.max_new_tokens, self.seed())
            asked = [prompt for prompt in rows for _ in range(K)]
            rewards = self.reward(asked, draws).to(model.device)
            answered = [continued(d.prompt, d.answer, p.source) for p, d in zip(asked, draws, strict=True)]
            lengths = [used_length(row) for row in answered]
            most = K * self.recipe.micro_batch_size
            groups = split_by_length(lengths, OVERHEAD[model.device.type], most, room(model))
            # All rewards of a group must be known before its first gradient. Where all rows may be in memory at once,
            # their log-likelihoods are worked out once, else a second time with gradients.
            padded = sum(len(group) * max(lengths[i] for i in group) for group in groups)
            once = len(answered) <= most and padded <= room(model)
            if once:
                groups = [list(range(len(answered)))]
            with torch.set_grad_enabled(once):
                policy = log_likelihood(model, answered, most)
            reference = policy.detach()
            if self.reference is not None:
                with torch.no_grad():
                    reference = log_likelihood(self.reference, answered, most)
            returns = penalised(*(each.view(-1, K) for each in (rewards, policy.detach(), reference)), self.beta)
            advantages = leave_one_out(returns).flatten()
            loss = torch.zeros((), device=model.device)
            for group in groups:
                log_pi = policy[group] if once else log_likelihood(model, [answered[i] for i in group])
                part = policy_loss(advantages[group], log_pi) * (len(group) / len(answered))
                part.backward()
                loss += part.detach()
        self.read = sum(lengths)
        drawn = sum(len(draw.answer) for draw in draws)
        groups_of = rewards.view(-1, K)
        self.figures = {
            "reward": mean_reward(rewards).item(),
            "reward_std": rewards.std(unbiased=False).item(),
            "kl": (policy.detach() - reference).mean().item(),
            "advantage_std": advantages.std(unbiased=False).item(),
            "answer_tokens": drawn / len(draws),
            "ended": sum(draw.ended for draw in draws) / len(draws),
            "alike": (groups_of == groups_of[:, :1]).all(1).float().mean().item(),
        }
        if self.reference is None:
            del self.figures["kl"]
        return loss.item(), drawn
