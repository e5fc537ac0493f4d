"""Pairs of answers to one prompt, of which one is preferred."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from minigpt.text.formats import PAIR
from minigpt.text.pair_formats import read_pair
from minigpt.text.records import (
    BUILTIN_NAMES,
    BUILTIN_PAIRS,
    BadRow,
    Conversation,
    kind_of,
    read_all,
    read_conversations,
    refuse,
    rows_of,
)  # fmt: skip
from minigpt.text.template import Message

Side = Literal["chosen", "both"]  # the answers of a pair that `train` learns from


@dataclass(frozen=True)
class Pair:
    """A prompt that ends with the user, the answer that was preferred to another, their file and line, and the kind of
    task."""

    prompt: list[Message]
    chosen: str
    rejected: str
    source: str
    kind: str = "all"


def read_pairs(names: Iterable[str | Path], bad: list[BadRow] | None = None) -> list[Pair]:
    """Every pair of these files and hub data sets, in order; `pair_formats.read_pair` reads a row.

    Bad rows are added to `bad` if given; otherwise UserError names the first ten and counts the rest. UserError also
    for a file that cannot be read or has no rows.
    """
    return read_all(names, lambda row, source: Pair(*read_pair(row), source, kind_of(row)), bad)


def are_pairs(name: str | Path) -> bool:
    """Whether a name of --data holds pairs: by the keys of the first row that is a JSON object."""
    if name in BUILTIN_NAMES:
        return name == BUILTIN_PAIRS
    first = next((row.value for row in rows_of(name) if isinstance(row.value, dict)), {})
    return all(key in first for key in PAIR)


def read_either(names: Iterable[str | Path], bad: list[BadRow] | None = None) -> list[Conversation | Pair]:
    """Every row of these files and hub data sets, each of which holds either conversations or pairs."""
    found: list[BadRow] = []
    names = list(names)
    if not names:
        return read_conversations(names)  # which says that there must be one
    rows = [row for name in names for row in (read_pairs if are_pairs(name) else read_conversations)([name], found)]
    if bad is None:
        refuse(found)
    else:
        bad += found
    return rows


def as_conversations(rows: Iterable[Conversation | Pair], side: Side = "chosen") -> list[Conversation]:
    """The same with each pair as a conversation that ends with the chosen answer, and for "both" another that ends with
    the rejected one. Earlier answers of a pair's prompt, between which nobody chose, are context only."""
    conversations = []
    for row in rows:
        if isinstance(row, Conversation):
            conversations.append(row)
            continue
        prompt = [{**message, "weight": 0} if message["role"] == "assistant" else message for message in row.prompt]
        for answer in [row.chosen, row.rejected] if side == "both" else [row.chosen]:
            messages = [*prompt, {"role": "assistant", "content": answer}]
            conversations.append(Conversation(messages, row.source, row.kind))
    return conversations
