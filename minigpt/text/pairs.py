"""Pairs of answers to one prompt, of which one is preferred."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from minigpt.text.messages import read_messages
from minigpt.text.records import BadRow, kind_of, read_all
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
    """Every pair of these files and hub data sets, in order; bad rows as `read_conversations` treats them."""

    def read(row: object, source: str) -> Pair:
        sides = [read_messages(row[key], key)[0]["content"] for key in ("chosen", "rejected")]
        return Pair(read_messages(row["prompt"], "prompt"), *sides, source, kind_of(row))

    return read_all(names, read, bad)
