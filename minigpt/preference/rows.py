"""Encode pairs, and prompts to be answered, as rows of at most T_max tokens. Read with lesson 15."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from minigpt.errors import UserError
from minigpt.preference.likelihood import answer_row
from minigpt.text.examples import Example, as_bad
from minigpt.text.pairs import Pair
from minigpt.text.records import BadRow, Conversation, refuse
from minigpt.text.template import Message, Template, without_oldest_turn


@dataclass
class EncodedPairs:
    """Pairs within T_max: the rows of both sides, the pairs with the messages that were kept, and how much was dropped
    or cut."""

    chosen: list[Example] = field(default_factory=list)
    rejected: list[Example] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    turns_dropped: int = 0
    answers_cut: int = 0

    def __str__(self) -> str:
        if not self.turns_dropped and not self.answers_cut:
            return "all fit"
        return f"{self.turns_dropped} oldest turns dropped, {self.answers_cut} answers cut at the end"


@dataclass
class EncodedPrompts:
    """Prompts within T_max, as ids, and the conversations that they are of, with the messages that were kept."""

    prompts: list[list[int]] = field(default_factory=list)
    conversations: list[Conversation] = field(default_factory=list)
    turns_dropped: int = 0

    def __str__(self) -> str:
        return f"{self.turns_dropped} oldest turns dropped" if self.turns_dropped else "all fit"


def encode_pairs(
    pairs: Iterable[Pair], template: Template, t_max: int, bad: list[BadRow] | None = None
) -> EncodedPairs:
    """Encode both sides of every pair as a prompt and an answer of at most T_max tokens (document B 5.2).

    The oldest turns are dropped whole until both sides fit, so that both keep the same prompt; the system message
    stays. Then either answer is cut at the end, and ends without an end token. A row with no room for a token of its
    answers, or whose answers are the same once cut, is added to `bad`, or without that list refused with its line
    number.
    """
    encoded = EncodedPairs()
    refused: list[BadRow] = []
    for pair in pairs:
        answers = pair.chosen, pair.rejected
        longest = max(len(template.tokenizer.encode(answer)) for answer in answers) + 1  # and the end token
        try:
            prompt, _, dropped = _shortened(pair.prompt, template, t_max - longest)
        except UserError as error:
            refused.append(_as_bad(pair, str(error)))
            continue
        rows = [answer_row(template, prompt, answer, pair.source) for answer in answers]
        cut = [_cut(row, t_max) for row in rows]
        if not any(cut[0].supervised):
            refused.append(_as_bad(pair, f"no token of the answers fits into {t_max} tokens."))
            continue
        if cut[0].ids == cut[1].ids:
            reason = f"chosen and rejected are the same within {t_max} tokens; nothing can be learned from that."
            refused.append(_as_bad(pair, reason))
            continue
        encoded.chosen.append(cut[0])
        encoded.rejected.append(cut[1])
        encoded.pairs.append(replace(pair, prompt=prompt))
        encoded.turns_dropped += dropped
        encoded.answers_cut += sum(len(row.ids) > t_max for row in rows)
    _report(refused, bad)
    return encoded


def encode_prompts(
    conversations: Iterable[Conversation], template: Template, t_max: int, bad: list[BadRow] | None = None
) -> EncodedPrompts:
    """Encode what each conversation asks in at most `t_max` tokens, which is what the answers leave of the context.

    The oldest turns are dropped whole, the system message stays. A prompt that is still too long is added to `bad`, or
    without that list refused with its line number.
    """
    encoded = EncodedPrompts()
    refused: list[BadRow] = []
    for conversation in conversations:
        try:
            prompt, ids, dropped = _shortened(conversation.asked, template, t_max)
        except UserError as error:
            refused.append(as_bad(conversation, str(error)))
            continue
        if len(ids) > t_max:
            reason = f"its prompt has {len(ids):,} tokens, and there is room for {max(t_max, 0):,}."
            refused.append(as_bad(conversation, reason))
            continue
        answered = conversation.messages[len(conversation.asked)]
        encoded.prompts.append(ids)
        encoded.conversations.append(replace(conversation, messages=[*prompt, answered]))
        encoded.turns_dropped += dropped
    _report(refused, bad)
    return encoded


def _shortened(prompt: Sequence[Message], template: Template, t_max: int) -> tuple[list[Message], list[int], int]:
    """The prompt without as many of its oldest turns as it takes to fit into `t_max` tokens, but for the last; its ids;
    and how many turns were dropped."""
    prompt, dropped = list(prompt), 0
    while len(ids := template.prompt(prompt)) > t_max and (shorter := without_oldest_turn(prompt)):
        prompt, dropped = shorter, dropped + 1
    return prompt, ids, dropped


def _cut(row: Example, t_max: int) -> Example:
    return replace(row, ids=row.ids[:t_max], supervised=row.supervised[:t_max])


def _as_bad(pair: Pair, reason: str) -> BadRow:
    row = {"prompt": pair.prompt, "chosen": pair.chosen, "rejected": pair.rejected}
    return BadRow(pair.source, reason, json.dumps(row, ensure_ascii=False))


def _report(refused: list[BadRow], bad: list[BadRow] | None) -> None:
    if bad is None:
        refuse(refused, "Raise --max-length, or remove these rows.")
    else:
        bad += refused
