"""Where the reward of an answer comes from: a rule, a reward model, a function in the user's own file."""

import importlib.util
import inspect
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from minigpt.errors import UserError
from minigpt.preference.likelihood import continued
from minigpt.preference.policy import Draw
from minigpt.preference.reward import RewardModel
from minigpt.text.template import Message, Template


@dataclass(frozen=True)
class Prompt:
    """What is asked: its ids, the messages that they say, the wanted answer if there is one, and where it is from."""

    ids: list[int]
    messages: list[Message]
    wanted: str | None
    source: str
    kind: str = "all"


class Reward(Protocol):
    """r(x, y) of each draw; `prompts` has the prompt of each of them."""

    def __call__(self, prompts: Sequence[Prompt], draws: Sequence[Draw]) -> Float[Tensor, " N"]: ...


class Exact:
    is_learned = False
    def __init__(self, template): self.template = template
    def __call__(self, prompts, draws):
        decode = self.template.tokenizer.decode
        return torch.tensor([float(d.ended and decode(d.answer[:-1]) == p.wanted) for p, d in zip(prompts, draws)])


class Rule:
    is_learned = False
    def __init__(self, function, template): self.function, self.template = function, template
    def __call__(self, prompts, draws):
        decode = self.template.tokenizer.decode
        return torch.tensor([float(self.function(p.messages, decode(d.answer[: len(d.answer) - d.ended]), d.ended)) for p, d in zip(prompts, draws)])


class Learned:
    is_learned = True
    def __init__(self, model): self.model = model
    @torch.no_grad()
    def __call__(self, prompts, draws):
        return self.model([continued(d.prompt, d.answer) for d in draws]).cpu()


def load_reward(name, template, device="cpu"):
    if name == "exact": return Exact(template)
    if m := re.fullmatch(r"(.+\.py):(\w+)", name):
        spec = importlib.util.spec_from_file_location("reward", m[1]); mod = importlib.util.module_from_spec(spec); spec.loader.exec_module(mod)
        return Rule(getattr(mod, m[2]), template)
    return Learned(torch.load(Path(name) / "rm.pt", weights_only=False).eval())


def unfinished(reward, value):
    def judged(prompts, draws):
        r = reward(prompts, draws)
        return torch.where(torch.tensor([d.ended for d in draws]), r, torch.tensor(float(value)))
    return judged
