"""Encode conversations as rows of at most T_max tokens."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from minigpt.errors import UserError
from minigpt.text.records import BadRow, Conversation, refuse
from minigpt.text.template import Message, Template, is_supervised, without_oldest_turn
from minigpt.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Example:
    """One row: its ids, which of them are supervised, and where it came from."""

    ids: list[int]
    supervised: list[bool]
    source: str
    withheld: tuple[int, ...] = ()  # positions of the responses of weight 0

    def supervise_all(self) -> "Example":
        """The same row with every token supervised, as in pretraining, but for responses of weight 0."""
        supervised = [True] * len(self.ids)
        for t in self.withheld:
            supervised[t] = False
        return replace(self, supervised=supervised)


@dataclass
class Encoded:
    """Conversations within T_max: their rows, the messages that were kept, and how much was dropped or cut."""

    examples: list[Example] = field(default_factory=list)
    conversations: list[Conversation] = field(default_factory=list)
    turns_dropped: int = 0
    responses_cut: int = 0

    def __str__(self) -> str:
        if not self.turns_dropped and not self.responses_cut:
            return "all fit"
        return f"{self.turns_dropped} oldest turns dropped, {self.responses_cut} responses cut at the end"


@dataclass(frozen=True)
class Splits:
    """The rows of a run: to train on, to measure the loss on, and the conversations to answer (none in plain text)."""

    train: Sequence[Example]
    valid: Sequence[Example]
    test: Sequence[Conversation]
    words: str  # lines that describe them, for the first lines of a run


def encode_within(
    conversations: Iterable[Conversation],
    template: Template,
    t_max: int,
    supervise: Literal["response", "all"] = "response",
    bad: list[BadRow] | None = None,
) -> Encoded:
    """Encode every conversation so that |Q| + |A| <= T_max (document B 5.2).

    The oldest turns are dropped whole, the system message is kept; then the last response is cut at the end, without
    adding an end token. Turns after the last response to be trained on, all of weight 0, teach nothing and go first. An
    instruction is never cut: a row with no room for one supervised token is added to `bad`, or without that list
    refused with its line number. `supervise` "all" marks every token, as in pretraining, but for responses of weight 0.
    """
    encoded = Encoded()
    refused: list[BadRow] = []
    for conversation in conversations:
        messages, turns_dropped, response_cut = conversation.messages, 0, False
        try:
            ids, supervised = template.encode(messages)
        except UserError as error:
            refused.append(as_bad(conversation, str(error)))
            continue
        if len(ids) > t_max and not is_supervised(messages[-1]):
            messages = [*conversation.asked, messages[len(conversation.asked)]]
            ids, supervised = template.encode(messages)
        while len(ids) > t_max and (shorter := without_oldest_turn(messages)):  # eq 11.4
            messages = shorter
            turns_dropped += 1
            ids, supervised = template.encode(messages)
        if len(ids) > t_max:
            # Tokens after the response's end are not supervised; losing only those cuts no response.
            response_cut = any(supervised[t_max:])
            ids, supervised = ids[:t_max], supervised[:t_max]
        if not any(supervised[1:]):
            refused.append(as_bad(conversation, f"no token of the response fits into {t_max} tokens."))
            continue
        example = Example(ids, supervised, conversation.source, withheld(messages, template, supervised))
        encoded.examples.append(example.supervise_all() if supervise == "all" else example)
        encoded.conversations.append(replace(conversation, messages=messages))
        encoded.turns_dropped += turns_dropped
        encoded.responses_cut += response_cut
    if bad is None:
        refuse(refused, "Raise --max-length, or remove these rows.")
    else:
        bad += refused
    return encoded


def withheld(messages: Sequence[Message], template: Template, supervised: list[bool]) -> tuple[int, ...]:
    """The positions of the responses of weight 0: supervised without their weights, and not with them."""
    if all(is_supervised(message) for message in messages if message["role"] == "assistant"):
        return ()
    _, responses = template.encode([{**message, "weight": 1} for message in messages])
    return tuple(t for t, (a, b) in enumerate(zip(responses, supervised, strict=False)) if a and not b)


def as_bad(conversation: Conversation, reason: str) -> BadRow:
    return BadRow(conversation.source, reason, json.dumps({"messages": conversation.messages}, ensure_ascii=False))


@dataclass(frozen=True)
class Lengths:
    """Prompt and response token counts of each conversation (document B 3.1): of the texts, without the template."""

    prompt: list[int]  # Q_i: the system's and the user's messages
    response: list[int]  # A_i: the assistant's messages

    @property
    def totals(self) -> tuple[int, int]:
        """N_Q = sum Q_i and N_A = sum A_i."""
        return sum(self.prompt), sum(self.response)  # eq 11.3


def lengths(conversations: Iterable[Conversation], tokenizer: Tokenizer) -> Lengths:
    """Count the prompt and response tokens, Q_i and A_i, of each conversation."""
    prompt, response = [], []
    for conversation in conversations:
        counts = [(m["role"] == "assistant", len(tokenizer.encode(m["content"]))) for m in conversation.messages]
        prompt.append(sum(n for by_assistant, n in counts if not by_assistant))
        response.append(sum(n for by_assistant, n in counts if by_assistant))
    return Lengths(prompt, response)
