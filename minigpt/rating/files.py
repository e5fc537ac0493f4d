"""Read a page's key and the files that raters have sent: either all of it holds together, or a sentence says what
does not."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from minigpt.errors import UserError
from minigpt.rating.key import (
    BEST,
    BOTH_BAD,
    CANNOT_JUDGE,
    CRITERIA,
    EQUAL,
    KEY_FORMAT,
    RATINGS_FORMAT,
    WORST,
    Key,
)
from minigpt.reading import read_object
from minigpt.text.printing import shortened


@dataclass(frozen=True)
class Judgment:
    """What a rater said of an item: the model that is better (a place in `Key.models`), EQUAL, BOTH_BAD, CANNOT_JUDGE,
    or None where nothing was chosen; a rating for each (model, criterion) that got one; and a remark."""

    preference: int | str | None
    ratings: dict[tuple[int, str], int]
    remark: str = ""


@dataclass(frozen=True)
class Rater:
    """A rater's judgments by the items' ids."""

    name: str
    judgments: dict[str, Judgment]


class Malformed(Exception):
    """What is wrong with a value of a file."""


def read_key(path: Path) -> Key:
    """UserError for what is not a key, and for one that was changed after it was written."""
    values = read_object(path)
    if values.get("format") == RATINGS_FORMAT:
        raise UserError(f"{path} is what a rater has sent; the key of the page comes first.")
    if values.get("format") != KEY_FORMAT:
        raise UserError(f"{path} is not the key of a page of ratings; rate prepare writes one beside the page.")
    try:
        key = Key.from_json(values)
        same = key.page == values["page"]
    except (TypeError, KeyError, ValueError):  # parts that are missing, or of another kind
        same = False
    if not same:
        raise UserError(f"{path} was changed after it was written: it is not certain any more whose answer each is.")
    return key


def read_raters(paths: Sequence[Path], key: Key) -> list[Rater]:
    """UserError for a file that is not a rater's, or of another page, and for two files of one rater."""
    raters, files, names = [], {}, {}
    for path in paths:
        if path in files.values():
            raise UserError(f"{path} is given twice.")
        values = read_object(path, damaged="it may be cut off; ask for the file once more")
        if values.get("format") == KEY_FORMAT:
            raise UserError(f"{path} is a key; after the first come the files that raters have sent.")
        if values.get("format") != RATINGS_FORMAT:
            raise UserError(f"{path} is not a file of ratings, as the page saves it.")
        if values.get("page") != key.page:
            raise UserError(f"{path} has ratings of another page than that of this key.")
        try:
            identity, name = part(part(values, "rater", dict), "id"), part(values["rater"], "name")
            raters.append(Rater(name, read_items(part(values, "items", dict), key)))
        except Malformed as error:
            raise UserError(f"{path}: {error}") from None
        if (other := files.setdefault(identity, path)) is not path:
            raise UserError(f"{other} and {path} are of the same rater; leave out the older one.")
        if (other := names.setdefault(name.strip().casefold(), path)) is not path:
            raise UserError(
                f"{other} and {path} both have the name {quoted(name.strip())}. If that is one person, leave out the "
                "older file; if they are two, change the name in one of the files."
            )
    return raters


def part(values: dict, name: str, kind: type = str) -> dict | str:
    if not isinstance(found := values.get(name), kind):
        raise Malformed(f'"{name}" is missing, or not {"text" if kind is str else "an object"}.')
    return found


def read_items(values: dict, key: Key) -> dict[str, Judgment]:
    """The judgments of one rater; Malformed for an item or an answer that the page does not have."""
    items = {item.id: item for item in key.items}
    if unknown := [name for name in values if name not in items]:
        raise Malformed(f"the page has no item {quoted(unknown[0])}.")
    found = {}
    for name in values:
        entry, sides = part(values, name, dict), {side.id: side.model for side in items[name].sides}
        preference = read_choice(entry.get("preference"), sides)
        ratings = {
            (model, criterion): rating
            for side, model in sides.items()
            for criterion in CRITERIA
            if (rating := read_rating(entry, side, criterion)) is not None
        }
        found[name] = Judgment(preference, ratings, part(entry, "remark"))
    return found


def read_choice(value: object, sides: dict[str, int]) -> int | str | None:
    others = (EQUAL, BOTH_BAD, CANNOT_JUDGE)
    if value is None or (value in others and len(sides) > 1):
        return value
    if not isinstance(value, str) or value not in sides:
        raise Malformed(f'"preference" is {quoted(value)}; the page has no such answer.')
    return sides[value]


def read_rating(entry: dict, side: str, criterion: str) -> int | None:
    """From WORST to BEST, or None where there is none."""
    ratings = part(entry, "ratings", dict)
    rating = part(ratings, side, dict).get(criterion)
    if rating is None or rating == CANNOT_JUDGE:
        return None
    if type(rating) is not int or not WORST <= rating <= BEST:
        raise Malformed(f'"{criterion}" is {quoted(rating)}; it must be a whole number from {WORST} to {BEST}.')
    return rating


def quoted(value: object) -> str:
    return shortened(repr(value))
