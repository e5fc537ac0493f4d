"""What the raters of a page say in all: ratings, preferences, how far they agree. Read with lesson 14."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from jaxtyping import Float

from minigpt.measure.evaluation import Figure
from minigpt.measure.interval import wilson
from minigpt.measure.ratings import agreement, items_needed, mean_rating, sign_test
from minigpt.rating.files import Judgment, Rater
from minigpt.rating.key import BOTH_BAD, CANNOT_JUDGE, CRITERIA, EQUAL, Item, Key

CHOICES = (0, 1, EQUAL, BOTH_BAD)  # the two models, and neither
NOTHING = Judgment(None, {})
SPLIT = "split"  # no choice has more than half of an item's votes


@dataclass(frozen=True)
class Summary:
    """All figures of a page's ratings. Tables have a row for each item and a column for each rater, NaN where a rater
    did not say anything or cannot judge; figures of nothing are None."""

    key: Key
    raters: Sequence[Rater]

    def judgments(self, item: Item) -> list[Judgment]:
        return [rater.judgments.get(item.id, NOTHING) for rater in self.raters]

    def table(self, number: Callable[[Judgment], float | None]) -> Float[np.ndarray, "items raters"]:
        rows = [[number(judgment) for judgment in self.judgments(item)] for item in self.key.items]
        return np.array(rows, dtype=float)  # None becomes NaN

    def of_criterion(self, model: int, criterion: str) -> Float[np.ndarray, "items raters"]:
        return self.table(lambda judgment: judgment.ratings.get((model, criterion)))

    @cached_property
    def ratings(self) -> dict[tuple[int, str], Figure | None]:
        """Eq 14.3 of each model and criterion."""
        both = [(model, criterion) for criterion in CRITERIA for model in range(len(self.key.models))]
        return {one: figure(self.of_criterion(*one)) for one in both}

    @cached_property
    def differences(self) -> dict[str, tuple[Figure | None, int | None]]:
        """By how much the first model's ratings exceed the second's, where a rater rated both; and how many items a
        difference of this size needs."""
        tables = {name: self.of_criterion(0, name) - self.of_criterion(1, name) for name in CRITERIA}
        return {name: (figure(table), items_needed(of_items(table))) for name, table in tables.items()}

    @cached_property
    def shares(self) -> dict[int | str, Figure | None]:
        """How often each of CHOICES is chosen, of all that are."""
        return {choice: share(self.votes(lambda vote, c=choice: float(vote == c))) for choice in CHOICES}

    def votes(self, number: Callable[[int | str], float]) -> Float[np.ndarray, "items raters"]:
        """A number for each vote."""
        return self.table(lambda one: number(one.preference) if one.preference in CHOICES else None)

    @cached_property
    def score(self) -> Figure | None:
        """The first model's share of the votes, with half of those for neither; one half is a draw."""
        return share(self.votes(lambda vote: {0: 1.0, 1: 0.0}.get(vote, 0.5)))

    @property
    def figures(self) -> list[Figure]:
        """All that have an interval."""
        differences = [difference for difference, _ in self.differences.values()]
        found = [*self.shares.values(), self.score] if len(self.key.models) == 2 else []
        return [one for one in (*found, *self.ratings.values(), *differences) if one]

    @cached_property
    def needed(self) -> int | None:
        """How many items a lead of this size needs."""
        return items_needed(of_items(self.votes(lambda vote: {0: 0.5, 1: -0.5}.get(vote, 0.0))))

    @cached_property
    def majorities(self) -> dict[str, int | str | None]:
        """What more than half of the votes for an item are, by its id: one of CHOICES or SPLIT; None without a vote."""
        return {item.id: majority(self.judgments(item)) for item in self.key.items}

    @cached_property
    def won(self) -> tuple[int, int]:
        """How many items the majority gives to each model."""
        counts = Counter(self.majorities.values())
        return counts[0], counts[1]

    @property
    def p(self) -> float:
        """Of the sign test of the items that a majority decided."""
        return sign_test(*self.won)

    @cached_property
    def agreement(self) -> dict[str, float | None]:
        """Krippendorff's alpha of the votes, and of each criterion's ratings: of every answer, whosever it is."""
        found = {}
        if len(self.key.models) == 2:
            found["preference"] = agreement(self.votes(lambda vote: float(CHOICES.index(vote))), "nominal")
        for name in CRITERIA:
            tables = [self.of_criterion(model, name) for model in range(len(self.key.models))]
            found[name] = agreement(np.concatenate(tables), "ordinal")
        return found

    @cached_property
    def on_the_left(self) -> tuple[int, int]:
        """How many of the votes for one answer are for the one on the left, and how many there are."""
        left = [
            vote == item.sides[0].model
            for item in self.key.items
            for judgment in self.judgments(item)
            if type(vote := judgment.preference) is int
        ]
        return sum(left), len(left)

    def most_disputed(self, count: int) -> list[Item]:
        """The items on which most pairs of raters chose differently; among equals, whose ratings are farthest apart."""
        disputes = {item.id: self.dispute(item) for item in self.key.items}
        order = sorted(self.key.items, key=lambda item: disputes[item.id], reverse=True)
        return [item for item in order[:count] if any(disputes[item.id])]

    def dispute(self, item: Item) -> tuple[float, float]:
        said = self.judgments(item)
        votes = [one.preference for one in said if one.preference in CHOICES]
        pairs = [a != b for a, b in combinations(votes, 2)]
        names = {name for one in said for name in one.ratings}
        spreads = [float(np.std([one.ratings[name] for one in said if name in one.ratings])) for name in sorted(names)]
        return (sum(pairs) / len(pairs) if pairs else 0.0), (sum(spreads) / len(spreads) if spreads else 0.0)

    @property
    def judged(self) -> list[int]:
        """How many items each rater has judged: chosen something, "cannot judge" too, or given a rating."""
        said = [rater.judgments.values() for rater in self.raters]
        return [sum(one.preference is not None or bool(one.ratings) for one in judgments) for judgments in said]


def figure(table: Float[np.ndarray, "items raters"]) -> Figure | None:
    """The mean rating with its interval; None where there is no rating."""
    return None if np.isnan(table).all() else mean_rating(table)


def share(table: Float[np.ndarray, "items raters"]) -> Figure | None:
    """The same of a share. Where all votes are the same, from which a bootstrap draws nothing else, it has Wilson's
    interval, of as many answers as there are items."""
    found = of_items(table)
    if len(found) and found.min() == found.max() and found[0] in (0, 1):
        return (value := float(found[0])), *wilson(int(value) * len(found), len(found))
    return figure(table)


def of_items(table: Float[np.ndarray, "items raters"]) -> Float[np.ndarray, " judged"]:
    """The mean of each item that somebody judged."""
    judged = table[~np.isnan(table).all(axis=1)]
    return np.nanmean(judged, axis=1)


def majority(judgments: Sequence[Judgment]) -> int | str | None:
    votes = Counter(one.preference for one in judgments if one.preference not in (None, CANNOT_JUDGE))
    if not votes:
        return None
    [(choice, count)] = votes.most_common(1)
    return choice if 2 * count > votes.total() else SPLIT
