"""Where the reward of an answer comes from: a rule, a reward model, a function in the user's own file. Read with
lesson 15."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from minigpt.errors import UserError
from minigpt.preference.likelihood import continued
from minigpt.preference.policy import Draw
from minigpt.preference.reward import RewardModel
from minigpt.preference.reward_files import function_of, load_function
from minigpt.pretrained.folder import model_folder
from minigpt.pretrained.official import TENSORS
from minigpt.text.gsm8k import all_gsm8k, gsm8k_number
from minigpt.text.printing import on_one_line, shortened
from minigpt.text.saved import saved_template
from minigpt.text.template import Message, Template
from minigpt.text.token_cache import tokenizer_sha256
from minigpt.text.tokenizer import load_tokenizer

MOST_SHOWN = 500  # characters of a prompt or an answer in an error


@dataclass(frozen=True)
class Prompt:
    """What is asked: its ids, the messages that they are of, the wanted answer if there is one, its file and line, and
    its kind of task."""

    ids: list[int]
    messages: list[Message]
    wanted: str | None
    source: str
    kind: str = "all"


@runtime_checkable
class Reward(Protocol):
    """r(x, y) of each draw, where `prompts` has the prompt of each. UserError with the prompt and the answer for a
    reward that is NaN, infinite, or no number."""

    def __call__(self, prompts: Sequence[Prompt], draws: Sequence[Draw]) -> Float[Tensor, " N"]: ...


class Exact:
    """1 for an answer that ended and is the wanted one, character by character, else 0. With `gsm8k` for one whose
    final number is the wanted answer's, by GSM8K's official rule."""

    def __init__(self, template: Template, gsm8k: bool = False) -> None:
        self.template, self.gsm8k = template, gsm8k

    def __call__(self, prompts: Sequence[Prompt], draws: Sequence[Draw]) -> Float[Tensor, " N"]:
        return torch.tensor([float(self.right(prompt, draw)) for prompt, draw in zip(prompts, draws, strict=True)])

    def right(self, prompt: Prompt, draw: Draw) -> bool:
        if prompt.wanted is None:
            raise UserError(f"{prompt.source} has no wanted answer, and --reward exact compares with one.")
        said, wanted = answer_text(draw, self.template), prompt.wanted
        if self.gsm8k:
            said, wanted = gsm8k_number(said), gsm8k_number(wanted)
        return draw.ended and said is not None and said == wanted


class Learned:
    """What a reward model gives to the ids that were drawn, after those of their prompt."""

    def __init__(self, model: RewardModel, template: Template, name: str = "the reward model") -> None:
        self.model, self.template, self.name = model, template, name

    @torch.no_grad()
    def __call__(self, prompts: Sequence[Prompt], draws: Sequence[Draw]) -> Float[Tensor, " N"]:
        self.check_length(max((len(draw.prompt) + len(draw.answer) for draw in draws), default=0))
        rows = [continued(d.prompt, d.answer, p.source) for p, d in zip(prompts, draws, strict=True)]
        rewards = self.model(rows).cpu() if rows else torch.zeros(0)
        for i in (~rewards.isfinite()).nonzero().flatten().tolist():
            raise UserError(f"{self.name} gave {rewards[i].item()}.\n{given(prompts[i], draws[i], self.template)}")
        return rewards

    def check_length(self, tokens: int) -> None:
        """UserError for a prompt and an answer that together are longer than the reward model's context."""
        if tokens > (n_ctx := self.model.config.n_ctx):
            raise UserError(
                f"The context of {self.name} holds {n_ctx:,} tokens, and a prompt with its answer has {tokens:,}; "
                "give fewer --max-new-tokens or a smaller --max-length."
            )


class FromFile:
    """What the function that FILE.py:NAME names says: NAME(messages, answer, ended) -> float, where the answer is text
    without its end.

    This runs the user's own code: the file as it is loaded, and then only that function. UserError if either does not
    exist or the file cannot be loaded; and later where the function raises or does not return a finite number.
    """

    def __init__(self, name: str, template: Template) -> None:
        self.rule, self.template = load_function(name), template

    def __call__(self, prompts: Sequence[Prompt], draws: Sequence[Draw]) -> Float[Tensor, " N"]:
        return torch.tensor([self.of(prompt, draw) for prompt, draw in zip(prompts, draws, strict=True)])

    def of(self, prompt: Prompt, draw: Draw) -> float:
        messages = [{**message} for message in prompt.messages]  # its own: it may change them
        try:
            return self.rule(messages, answer_text(draw, self.template), draw.ended)
        except UserError as error:
            raise UserError(f"{error}\n{given(prompt, draw, self.template)}") from None


class Unfinished:
    """Another reward for answers that ended, and one value for all that were cut off."""

    def __init__(self, reward: Reward, value: float) -> None:
        self.reward, self.value = reward, value

    def __call__(self, prompts: Sequence[Prompt], draws: Sequence[Draw]) -> Float[Tensor, " N"]:
        rewards = torch.full((len(draws),), float(self.value))
        if ended := [i for i, draw in enumerate(draws) if draw.ended]:
            rewards[ended] = self.reward([prompts[i] for i in ended], [draws[i] for i in ended]).to(rewards)
        return rewards


def unfinished(reward: Reward, value: float) -> Reward:
    """`reward`, but `value` for an answer that was cut off, of which `reward` is not asked."""
    if not math.isfinite(value):
        raise ValueError(f"An unfinished answer is worth {value}.")
    return Unfinished(reward, value)


def load_reward(
    name: str,
    template: Template,
    device: torch.device | str = "cpu",
    wanted: Sequence[str | None] = (),
    longest: int = 0,
) -> Reward:
    """The reward that --reward names: exact, FILE.py:NAME, or the folder of a reward model.

    `template` is the template, with the tokenizer, of the model that answers; `wanted` are all wanted answers of the
    data (exact follows GSM8K's rule if they all do); `longest` is the most tokens that a prompt has with its answer.
    UserError for a name that is none of the three, as from `FromFile`, and for a folder that does not hold a reward
    model with this tokenizer and template and a context of `longest`.
    """
    if name == "exact":
        return Exact(template, all_gsm8k(wanted))
    if function_of(name):
        return FromFile(name, template)
    if name not in TENSORS and not Path(name).expanduser().is_dir():
        hint = f"; give the name of its function too: {name}:NAME" if name.endswith(".py") else ""
        raise UserError(f"--reward {name} is neither exact, nor FILE.py:NAME, nor the folder of a reward model{hint}.")
    model = RewardModel.from_pretrained(name)
    folder = model_folder(name)
    tokenizer, layout = load_tokenizer(folder), saved_template(folder)
    if tokenizer_sha256(tokenizer) != tokenizer_sha256(template.tokenizer) or layout != template.name:
        theirs, ours = in_words(tokenizer.name, layout), in_words(template.tokenizer.name, template.name)
        if theirs == ours:
            theirs += f", with a vocabulary of its own in {folder}"
        raise UserError(f"The reward model {name} has {theirs}, and the model that is rewarded has {ours}.")
    reward = Learned(model.to(device).eval(), template, f"the reward model {name}")
    reward.check_length(longest)
    return reward


def in_words(tokenizer: str, template: str | None) -> str:
    return f"the tokenizer {tokenizer} and {f'the template {template}' if template else 'no template'}"


def answer_text(draw: Draw, template: Template) -> str:
    """The answer without its end token."""
    return template.tokenizer.decode(draw.answer[: len(draw.answer) - draw.ended])


def given(prompt: Prompt, draw: Draw, template: Template) -> str:
    """The prompt and the answer that a reward was asked of, for an error."""
    lines = [f"{message['role']}: {on_one_line(message['content'])}" for message in prompt.messages]
    answer = f"{answer_text(draw, template)!r}{'' if draw.ended else ', cut off'}"
    return "\n".join(shortened(line, MOST_SHOWN) for line in [prompt.source, *lines, f"answer: {answer}"] if line)
