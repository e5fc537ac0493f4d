"""How many tasks are answered exactly. Read with lesson 14."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from minigpt.model.gpt import GPT
from minigpt.sample.generation import generate_batch
from minigpt.sample.sampling import GREEDY
from minigpt.text.records import Conversation
from minigpt.text.template import Message, Template

GSM8K_ANSWER = re.compile(r"#### (\-?[0-9\.\,]+)")


def answer(
    model: GPT,
    template: Template,
    conversations: Sequence[Sequence[Message]],
    max_new_tokens: int,
    batch_size: int = 64,
    progress: Callable[[int], object] = lambda done: None,
) -> list[str]:
    """The greedy answer to each conversation, all of which end with the user. `progress` hears how many are done."""
    prompts = [template.prompt(messages) for messages in conversations]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))  # prompts of similar length pad little
    answers = [""] * len(prompts)
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        new = generate_batch(model, [prompts[i] for i in rows], max_new_tokens, GREEDY, stop=(template.end,))
        for i, ids in zip(rows, new, strict=True):
            answers[i] = template.tokenizer.decode(ids)
        progress(len(rows))
    return answers


@dataclass(frozen=True)
class Accuracy:
    """Exact matches and totals of each kind of task."""

    right: dict[str, int]
    asked: dict[str, int]

    @property
    def overall(self) -> float:
        return sum(self.right.values()) / max(1, sum(self.asked.values()))  # eq 14.2

    @property
    def by_kind(self) -> dict[str, float]:
        return {kind: self.right[kind] / asked for kind, asked in self.asked.items()}

    def __str__(self) -> str:
        rows = [(kind, share, self.asked[kind]) for kind, share in self.by_kind.items()]
        if len(rows) != 1:
            rows.append(("all", self.overall, sum(self.asked.values())))
        return "\n".join(f"  {kind:<24}{share:>7.1%} of {asked}" for kind, share, asked in rows)


def exact_match(conversations: Sequence[Conversation], answers: Sequence[str]) -> Accuracy:
    """Compare each answer with its conversation's last message."""
    kinds = sorted({conversation.kind for conversation in conversations})
    right, asked = dict.fromkeys(kinds, 0), dict.fromkeys(kinds, 0)
    for conversation, given in zip(conversations, answers, strict=True):
        asked[conversation.kind] += 1
        right[conversation.kind] += given == wanted(conversation)
    return Accuracy(right, asked)


def wanted(conversation: Conversation) -> str:
    """The right answer: what the assistant says last."""
    return conversation.messages[-1]["content"]


def gsm8k_number(text: str) -> str | None:
    """The final number of a worked answer, by the official rule (openai/grade-school-math, dataset.py): what stands
    behind the first "#### ", without its commas; None where the format is missed. Two are equal as text alone."""
    found = GSM8K_ANSWER.search(text)
    return found[1].strip().replace(",", "") if found else None
