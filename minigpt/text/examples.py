"""Conversations to rows of tokens no longer than T_max. Read with lesson 11."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from minigpt.errors import UserError
from minigpt.text.records import BadRow, Conversation, refuse
from minigpt.text.template import Template, without_oldest_turn
from minigpt.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Example:
    """One row: its ids, which of them are learned, and where it came from."""

    ids: list[int]
    supervised: list[bool]
    source: str

    def supervise_all(self) -> "Example":
        """The same row with every token learned, as in pretraining."""
        return replace(self, supervised=[True] * len(self.ids))


@dataclass
class Encoded:
    """What fitting into T_max did: the rows, their conversations as far as they fit, and how much was lost."""

    examples: list[Example] = field(default_factory=list)
    conversations: list[Conversation] = field(default_factory=list)
    turns_dropped: int = 0
    answers_cut: int = 0

    def __str__(self) -> str:
        if not self.turns_dropped and not self.answers_cut:
            return "all fit"
        return f"{self.turns_dropped} oldest turns dropped, {self.answers_cut} answers cut at the end"


def encode_within(
    conversations: Iterable[Conversation],
    template: Template,
    t_max: int,
    supervise: Literal["response", "all"] = "response",
    bad: list[BadRow] | None = None,
) -> Encoded:
    """|Q| + |A| <= T_max (document B 5.2) for every row.

    Whole oldest turns go first, the system message stays; then the last answer's tail is cut, and no end token is
    invented. An instruction is never cut: a row with no room for one learned token is added to `bad`, or, where there
    is no such list, refused by its line number. `supervise` "all" learns from every token, as pretraining would.
    """
    fitted = Encoded()
    refused: list[BadRow] = []
    for conversation in conversations:
        messages, turns_dropped, answer_cut = conversation.messages, 0, False
        try:
            ids, supervised = template.encode(messages)
        except UserError as error:
            refused.append(as_bad(conversation, str(error)))
            continue
        while len(ids) > t_max and (shorter := without_oldest_turn(messages)):  # eq 11.4
            messages = shorter
            turns_dropped += 1
            ids, supervised = template.encode(messages)
        if len(ids) > t_max:
            # What stands behind the answer's end is not learned; losing only that cuts no answer.
            answer_cut = any(supervised[t_max:])
            ids, supervised = ids[:t_max], supervised[:t_max]
        if not any(supervised[1:]):
            refused.append(as_bad(conversation, f"no token of the answer fits into {t_max} tokens."))
            continue
        example = Example(ids, supervised, conversation.source)
        fitted.examples.append(example.supervise_all() if supervise == "all" else example)
        fitted.conversations.append(replace(conversation, messages=messages))
        fitted.turns_dropped += turns_dropped
        fitted.answers_cut += answer_cut
    if bad is None:
        refuse(refused, "Raise --max-length, or take these rows out.")
    else:
        bad += refused
    return fitted


def as_bad(conversation: Conversation, reason: str) -> BadRow:
    return BadRow(conversation.source, reason, json.dumps({"messages": conversation.messages}, ensure_ascii=False))


@dataclass(frozen=True)
class Lengths:
    """How many tokens each conversation asks and answers (document B 3.1): of the texts alone, whatever the layout."""

    asked: list[int]  # Q_i: what the system and the user say
    answered: list[int]  # A_i: what the assistant says

    @property
    def totals(self) -> tuple[int, int]:
        """N_Q = sum Q_i and N_A = sum A_i."""
        return sum(self.asked), sum(self.answered)  # eq 11.3


def lengths(conversations: Iterable[Conversation], tokenizer: Tokenizer) -> Lengths:
    """Q_i and A_i of each conversation."""
    asked, answered = [], []
    for conversation in conversations:
        said = [(m["role"] == "assistant", len(tokenizer.encode(m["content"]))) for m in conversation.messages]
        asked.append(sum(n for by_assistant, n in said if not by_assistant))
        answered.append(sum(n for by_assistant, n in said if by_assistant))
    return Lengths(asked, answered)
