"""The key of a page: whose answer each side of each item is. It stays with the person who made the page."""

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

from minigpt.text.template import Message

Language = Literal["en", "vi"]
CRITERIA = ("accuracy", "naturalness", "reasoning")  # document A 6.2's
WORST, BEST = 1, 5  # the ends of the scale
EQUAL, BOTH_BAD, CANNOT_JUDGE = "equal", "both bad", "cannot judge"  # what a rater may say in place of a side
KEY_FORMAT, RATINGS_FORMAT = "minigpt rating key 1", "minigpt ratings 1"


@dataclass(frozen=True)
class Side:
    """An answer as it is shown: `id` stands in the page, `model` (a place in `Key.models`) does not."""

    id: str
    model: int
    answer: str


@dataclass(frozen=True)
class Item:
    """A conversation that ends with the user, and the answers to it in the order of the page; `source` and `kind` are
    those of its row."""

    id: str
    messages: list[Message]
    sides: tuple[Side, ...]
    source: str
    kind: str = "all"


@dataclass(frozen=True)
class Key:
    """All that a page's ratings mean. `equal` items had the same answer twice, and are not shown."""

    models: tuple[str, ...]
    items: tuple[Item, ...]
    equal: int
    seed: int
    temperature: float
    language: Language = "en"

    @property
    def page(self) -> str:
        """The name of the page in the page and in its ratings. It is computed from the whole key, so that a key that
        was changed later is recognized."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]
