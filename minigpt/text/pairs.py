"""Pairs of answers to one prompt, of which one is preferred."""

from dataclasses import dataclass

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
