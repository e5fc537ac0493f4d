"""What a model says, shown before, midway and after training: answers to conversations, or continuations of a text."""

import re
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from torch import nn

from minigpt.measure.accuracy import Accuracy, answer, exact_match, wanted
from minigpt.model.gpt import GPT
from minigpt.preference.rewards import Prompt
from minigpt.sample.generation import generate_batch
from minigpt.sample.sampling import Sampling
from minigpt.text.examples import Example, Splits
from minigpt.text.pairs import Pair
from minigpt.text.printing import on_one_line, shortened
from minigpt.text.records import Conversation
from minigpt.text.template import Template
from minigpt.text.tokenizer import Tokenizer

SAMPLES = 6  # conversations shown
OPENINGS, NEW_TOKENS = 3, 120  # texts continued, and by how much at most


@runtime_checkable
class Samples(Protocol):
    """A few prompts that a model answers; how many of them are right or wrong is the length."""

    def __len__(self) -> int: ...

    def show(self, model: nn.Module) -> tuple[list[str], str]: ...


Row = TypeVar("Row", Conversation, Pair, Prompt)


class Answers:
    """The same few conversations, answered; and the exact match on all of them."""

    def __init__(self, template: Template, test: Sequence[Conversation]) -> None:
        self.template, self.test = template, test
        self.shown = spread(test, SAMPLES)
        # An answer longer than the longest reference is wrong whatever follows, so generation stops there.
        self.max_new_tokens = max(len(template.tokenizer.encode(wanted(row))) for row in test) + 1

    def __len__(self) -> int:
        return len(self.test)

    def show(self, model: GPT) -> tuple[list[str], str]:
        """A line for each conversation, and the same in full as Markdown."""
        lines, text = [], ""
        for row, given in zip(self.shown, self._answer(model, self.shown), strict=True):
            turns = [f"{message['role']}: {on_one_line(message['content'])}" for message in row.asked]
            right = wanted(row)
            verdict = "right" if given == right else f"wanted: {on_one_line(right)}"
            shown = (shortened(part) for part in (" | ".join(turns), on_one_line(given), verdict))
            lines.append("{}  ->  {}  ({})".format(*shown))
            text += "".join(f"- {message['role']}: {as_code(message['content'])}\n" for message in row.asked)
            text += f"- **model:** {as_code(given)} ({'right' if given == right else f'wanted: {as_code(right)}'})\n\n"
        return lines, text

    def accuracy(self, model: GPT, progress: Callable[[int], object]) -> Accuracy:
        return exact_match(self.test, self._answer(model, self.test, progress))

    def _answer(
        self, model: GPT, rows: Sequence[Conversation], progress: Callable[[int], object] = lambda n: None
    ) -> list[str]:
        prompts = [row.asked for row in rows]
        return answer(model, self.template, prompts, self.max_new_tokens, progress=progress)


class Continuations:
    """The beginnings of a few held-out rows, continued; drawn with a seed of their own, the same each time."""

    def __init__(self, tokenizer: Tokenizer, valid: Sequence[Example]) -> None:
        self.tokenizer = tokenizer
        step = max(1, len(valid) // OPENINGS)
        rows = [valid[i].ids for i in range(0, len(valid), step)]
        self.prompts = [ids[: max(1, len(ids) // 4)] for ids in rows[:OPENINGS]]

    def __len__(self) -> int:
        return 0  # a continuation is neither right nor wrong

    def show(self, model: GPT) -> tuple[list[str], str]:
        """A line for each text, and the same in full as Markdown."""
        lines, text = [], ""
        new = min(NEW_TOKENS, model.config.n_ctx - max(map(len, self.prompts)))
        stop = (self.tokenizer.control["<|endoftext|>"],)
        drawn = generate_batch(model, self.prompts, new, sampling=Sampling(0.8), stop=stop, seed=0)
        for prompt, ids in zip(self.prompts, drawn, strict=True):
            text_only = [token for token in prompt if token not in self.tokenizer.control.values()]
            opening, continued = (self.tokenizer.decode(part) for part in (text_only, ids))
            lines.append(f"{shortened(on_one_line(opening), 40)}  ->  {shortened(on_one_line(continued))}")
            text += f"- {as_code(opening)}\n- **model:** {as_code(continued)}\n\n"
        return lines, text


def samples_of(splits: Splits, template: Template) -> Answers | Continuations:
    """Answers where there are conversations to answer, else continuations."""
    return Answers(template, splits.test) if splits.test else Continuations(template.tokenizer, splits.valid)


def spread(conversations: Sequence[Row], count: int) -> list[Row]:
    """`count` conversations, pairs or prompts of as many different kinds as possible."""
    first_of_kind = list({row.kind: row for row in reversed(conversations)}.values())
    rest = [row for row in conversations if row not in first_of_kind]
    kinds = sorted(first_of_kind, key=lambda row: row.kind)
    step = max(1, len(kinds) // count)
    return (kinds[::step] + [row for row in kinds if row not in kinds[::step]] + rest)[:count]


def as_code(text: str) -> str:
    """As a code span of Markdown, in which no character of the text is markup."""
    text = on_one_line(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " * (text[:1] in ("`", " ", "") or text[-1:] in ("`", " "))
    return f"{fence}{space}{text}{space}{fence}"
