"""Raters made up for the tests: pages without a browser, and what they would save."""

import json
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from minigpt.rating.files import read_key
from minigpt.rating.key import CRITERIA, RATINGS_FORMAT, Item, Key, draw_sides

Said = tuple[int | str | None, Mapping[tuple[int, str], int | str | None]]


def key_of(answers: Sequence[Sequence[str]], models: Sequence[str] = ("runs/a", "runs/b"), **others: object) -> Key:
    """A key with these answers of each model, item by item."""
    draw = random.Random(0)
    items = [
        Item(f"{i:016x}", [{"role": "user", "content": f"Question {i}?"}], draw_sides(said, draw), f"data, line {i}")
        for i, said in enumerate(answers)
    ]
    return Key(**{"models": (*models,), "items": (*items,), "equal": 0, "seed": 1, "temperature": 0.0} | others)


def write_key(path: Path, key: Key) -> Path:
    path.write_text(json.dumps(key.as_json()))
    return path


def saved(key: Key, name: str, judge: Callable[[Item], Said | None], remark: str = "") -> dict:
    """What the page saves of a rater: `judge` gives the preference (a model, or in words) and the ratings by model and
    criterion of an item, or None for one that was not touched."""
    items = {}
    for item in key.items:
        if (said := judge(item)) is None:
            continue
        preference, ratings = said
        sides = {side.model: side.id for side in item.sides}
        items[item.id] = {
            "preference": sides.get(preference, preference),
            "ratings": {sides[m]: {c: ratings.get((m, c)) for c in CRITERIA} for m in sides},
            "remark": remark,
        }
    rater = {"id": f"{random.Random(name).getrandbits(128):032x}", "name": name}
    return {"format": RATINGS_FORMAT, "page": key.page, "rater": rater, "items": items}


def write_ratings(folder: Path, values: dict) -> Path:
    path = folder / f"ratings-{values['rater']['name']}.json"
    path.write_text(json.dumps(values))
    return path


def follows(wanted: Mapping[str, str], noise: float, seed: int) -> Callable[[Item], Said]:
    """A rater who knows each item's right answer, says what is true of it, and errs this often: then anything."""
    draw = random.Random(seed)

    def judge(item: Item) -> Said:
        right = [answer == wanted[item.id] for answer in item.answers]
        preference = right.index(True) if sum(right) == 1 else "equal" if all(right) else "both bad"
        if draw.random() < noise:
            preference = draw.choice([0, 1, "equal", "both bad"])
        ratings = {
            (model, criterion): draw.randint(1, 5) if draw.random() < noise else 5 if is_right else 2
            for model, is_right in enumerate(right)
            for criterion in CRITERIA
        }
        return preference, ratings

    return judge


def main() -> None:
    """`python -m tests.rating.raters KEY`: three made-up raters of a page who prefer the first model's answers, and err
    in one of ten cases."""
    key = read_key(Path(sys.argv[1]))
    wanted = {item.id: item.answers[0] for item in key.items}
    for i, name in enumerate(("Anna", "Bao", "Chi")):
        write_ratings(Path(), saved(key, name, follows(wanted, 0.1, seed=i)))


if __name__ == "__main__":
    main()
