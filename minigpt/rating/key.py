"""The key of a page: whose answer each side of each item is. It stays with the person who made the page."""

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Literal

from minigpt.text.template import Message

Language = Literal["en", "vi"]
CRITERIA = ("accuracy", "naturalness", "reasoning")  # document A 6.2's
WORST, BEST = 1, 5  # the ends of the scale
EQUAL, BOTH_BAD, CANNOT_JUDGE = "equal", "both bad", "cannot judge"  # what a rater may say in place of a side
KEY_FORMAT, RATINGS_FORMAT = "minigpt rating key 1", "minigpt ratings 1"
REFERENCE = "reference"  # in a model's place: the data's own answers


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

    @property
    def answers(self) -> list[str]:
        """The answers in the order of the models."""
        return [side.answer for side in sorted(self.sides, key=lambda side: side.model)]


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

    def as_json(self) -> dict:
        return {"format": KEY_FORMAT, "page": self.page, **asdict(self)}

    @classmethod
    def from_json(cls, values: dict) -> "Key":
        """The inverse of `as_json`; TypeError, KeyError or ValueError for values that it did not give."""
        items = tuple(
            Item(**item | {"sides": tuple(Side(**side) for side in item["sides"])}) for item in values["items"]
        )
        parts = {field.name: values[field.name] for field in fields(cls)}
        return cls(**parts | {"models": tuple(values["models"]), "items": items})


def draw_sides(answers: Sequence[str], draw: random.Random) -> tuple[Side, ...]:
    """The answers of the models in an order drawn for this item, with names drawn too."""
    order = draw.sample(range(len(answers)), len(answers))
    return tuple(Side(draw_name(draw), model, answers[model]) for model in order)


def draw_name(draw: random.Random) -> str:
    """16 hex digits, which say nothing. They are a hash, as the generator's numbers themselves, of which a long page
    would show enough, tell its state (Matsumoto and Nishimura, "Mersenne Twister", 1998), and so all sides."""
    return hashlib.sha256(draw.randbytes(32)).hexdigest()[:16]
