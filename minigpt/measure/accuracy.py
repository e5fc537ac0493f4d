"""Exact match of generated answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from minigpt.model.gpt import GPT
from minigpt.sample.generation import generate_batch
from minigpt.sample.sampling import GREEDY, Sampling
from minigpt.text.gsm8k import GSM8K_ANSWER, gsm8k_number  # noqa: F401 - lesson 14 finds them here
from minigpt.text.printing import on_one_line, shortened
from minigpt.text.records import Conversation
from minigpt.text.template import Message, Template


def answer(
    model: GPT,
    template: Template,
    conversations: Sequence[Sequence[Message]],
    max_new_tokens: int,
    batch_size: int = 64,
    progress: Callable[[int], object] = lambda done: None,
    sampling: Sampling = GREEDY,
    seed: int | None = None,
) -> list[str]:
    """The answer to each conversation, all of which end with the user: the greedy one, or drawn by `sampling`.
    `progress` gets the number finished."""
    prompts = [template.prompt(messages) for messages in conversations]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))  # prompts of similar length pad little
    answers = [""] * len(prompts)
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        batch, of_batch = [prompts[i] for i in rows], None if seed is None else seed + start
        new = generate_batch(model, batch, max_new_tokens, sampling, stop=(template.end,), seed=of_batch)
        for i, ids in zip(rows, new, strict=True):
            answers[i] = template.tokenizer.decode(ids)
        progress(len(rows))
    return answers


@dataclass(frozen=True)
class Accuracy:
    """Exact matches and totals per kind of task."""

    right: dict[str, int]
    total: dict[str, int]

    @property
    def overall(self) -> float:
        return sum(self.right.values()) / max(1, sum(self.total.values()))  # eq 14.2

    @property
    def by_kind(self) -> dict[str, float]:
        return {kind: self.right[kind] / total for kind, total in self.total.items()}

    def __str__(self) -> str:
        rows = [(kind, share, self.total[kind]) for kind, share in self.by_kind.items()]
        if len(rows) != 1:
            rows.append(("all", self.overall, sum(self.total.values())))
        named = [(shortened(on_one_line(kind), 60), share, total) for kind, share, total in rows]
        width = max(24, *(len(kind) + 1 for kind, *_ in named))
        return "\n".join(f"  {kind:<{width}}{share:>7.1%} of {total}" for kind, share, total in named)


def exact_match(conversations: Sequence[Conversation], answers: Sequence[str]) -> Accuracy:
    """Count the answers that equal their conversation's reference, by kind of task."""
    kinds = sorted({conversation.kind for conversation in conversations})
    right, total = dict.fromkeys(kinds, 0), dict.fromkeys(kinds, 0)
    for conversation, given in zip(conversations, answers, strict=True):
        total[conversation.kind] += 1
        right[conversation.kind] += given == wanted(conversation)
    return Accuracy(right, total)


def wanted(conversation: Conversation) -> str:
    """The reference answer: the assistant's last message that is trained on."""
    return conversation.answer
