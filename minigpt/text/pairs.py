"""Pairs of answers to one prompt, of which one is preferred."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from minigpt.text.formats import PAIR
from minigpt.text.pair_formats import read_pair
from minigpt.text.records import (
    BUILTIN_NAME,
    BUILTIN_PAIRS,
    BadRow,
    Conversation,
    kind_of,
    read_all,
    rows_of,
)
from minigpt.text.template import Message


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
    if name in (BUILTIN_NAME, BUILTIN_PAIRS):
        return name == BUILTIN_PAIRS
    first = next((row.value for row in rows_of(name) if isinstance(row.value, dict)), {})
    return all(key in first for key in PAIR)


def conversations_of(pair: Pair, side: Literal["chosen", "both"] = "chosen") -> list[Conversation]:
    """The prompt with the chosen answer, and for "both" with the rejected one too, for `train`; earlier answers, which
    nobody chose, are context only."""
    prompt = [{**message, "weight": 0} if message["role"] == "assistant" else message for message in pair.prompt]
    answers = [pair.chosen, pair.rejected] if side == "both" else [pair.chosen]
    return [
        Conversation([*prompt, {"role": "assistant", "content": answer}], pair.source, pair.kind) for answer in answers
    ]
