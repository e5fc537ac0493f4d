"""The grader of the loss-curve detective: it never says which letter has which bug.

The answers are not written down: `accuse` finds them from the clues, as a reader can.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lessons.harness.grade import Exercise, short

from .detective import BUGS, CONFIG, cases

FLAT = 2.0  # a loss above it at the end: nothing was learned but how often each byte occurs
EQUAL = 1e-6  # a smaller difference of logits is rounding


def accuse(found: dict) -> str:
    """The bug of one run, from its curve and its clues."""
    flat = found["losses"][-1] > FLAT
    first_position, anywhere = found["parity"]
    if anywhere > EQUAL:  # the network is not GPT-2's
        if first_position < EQUAL:
            return "scores not scaled"
        if flat:
            return "residual lost at attention"
        return "mask after the softmax" if found["right"] else "attention sees the future"
    if found["first"][0] < math.log(CONFIG.vocab_size) - 0.5:
        return "targets not shifted"
    if flat:
        if found["norms"][-1] > 2 * found["norms"][0]:
            return "gradients never zeroed"
        steep = found["losses"][0] - found["losses"][5]
        return "learning rate x 30" if steep > 1.5 else "learning rate / 30"
    if found["right"] == 0:
        return "end token not supervised" if found["ended"] == 0 else "supervision one token late"
    return "no bug"


def solve() -> dict[str, str]:
    """Every letter's bug."""
    return {letter: accuse(found) for letter, found in cases().items()}


# By switch, who is taken for whom.
CONFUSIONS: dict[str, dict[str, str]] = {
    "by_the_curve": dict.fromkeys(
        ("scores not scaled", "attention sees the future", "end token not supervised", "supervision one token late"),
        "no bug",
    ),
    "second_seed_blamed": {"no bug": "learning rate / 30"},
    "flat_is_flat": {
        "learning rate x 30": "residual lost at attention", "residual lost at attention": "learning rate x 30",
    },
    "norm_not_read": {"gradients never zeroed": "learning rate x 30"},
    "slow_or_stuck": {"learning rate x 30": "learning rate / 30"},
    "copies_or_peeks": {
        "targets not shifted": "attention sees the future", "attention sees the future": "targets not shifted",
    },
    "peeks_or_leaks": {"attention sees the future": "mask after the softmax"},
    "first_position_not_read": {"scores not scaled": "mask after the softmax"},
    "first_or_last": {
        "supervision one token late": "end token not supervised",
        "end token not supervised": "supervision one token late",
    },
    "network_blamed": {"targets not shifted": "residual lost at attention"},
}  # fmt: skip
HINTS = {
    "by_the_curve": "You went by the curve alone. Several runs end as low as the right ones and still have a bug: look "
    "at their samples and their parity before you let them go.",
    "second_seed_blamed": "You accuse a run that has no bug. Two seeds never give the same curve; ask what the other "
    "clues say against it.",
    "flat_is_flat": "You took a run that learns nothing for another one. A step's size does not change what the "
    "network computes, so it cannot break parity.",
    "norm_not_read": "For a run that learns nothing you blame the step's size. Look at the gradient norms of all that "
    "learn nothing: one of them does what no learning rate explains.",
    "slow_or_stuck": "Steps that are too small give a smooth curve that is still on its way down. How did yours fall "
    "at first, and how did it go on?",
    "copies_or_peeks": "Copying the token that was read and looking at the next one are two bugs. Only one of them "
    "changes the network, and only the other shows before anything is learned.",
    "peeks_or_leaks": "Both let the future in, and both break parity. But with the mask after the softmax it only "
    "changes a sum in the denominator; who reads it outright has learned nothing else, and the sample shows that.",
    "first_position_not_read": "At the first position there is one key that may be seen. Ask of each suspect whether "
    "it changes anything there, and read the parity again.",
    "first_or_last": "One run never learned how to begin an answer, another one never learned how to end it, and you "
    "took one for the other. Read the samples from both sides.",
    "network_blamed": "You blame the network of a run whose parity is perfect. The same weights give GPT-2's logits, "
    "so look for the bug in what was asked of it: targets, mask, optimizer.",
}
LOOK = {
    "no bug": "all of its clues: is there one that speaks against it",
    "learning rate x 30": "its gradient norm, beside those of the other runs that learn nothing",
    "learning rate / 30": "its curve",
    "gradients never zeroed": "its gradient norm",
    "targets not shifted": "its first loss",
    "supervision one token late": "how its sample begins",
    "end token not supervised": "how its sample ends",
    "residual lost at attention": "its parity",
    "scores not scaled": "its parity, at the first position and elsewhere",
    "mask after the softmax": "its parity, at the first position and elsewhere",
    "attention sees the future": "its parity, then its sample",
}


def mistaken(**switches: bool) -> dict[str, str]:
    """Every letter's bug, with typical confusions."""
    taken_for = {}
    for switch, confusion in CONFUSIONS.items():
        if switches.get(switch):
            taken_for |= confusion
    answers = solve()
    if switches.get("second_seed_blamed"):  # of the right runs, only the one that ended higher
        letters = [letter for letter, bug in answers.items() if bug == "no bug"]
        blamed = max(letters, key=lambda letter: cases()[letter]["losses"][-1])
        answers[blamed] = taken_for.pop("no bug")
    return {letter: taken_for.get(bug, bug) for letter, bug in answers.items()}


@dataclass(frozen=True)
class Detective(Exercise):
    """An exercise whose answer is a verdict on each letter; what is said of a wrong one does not give it away."""

    def difference(self, answers: Sequence[Any], expected: Sequence[Any]) -> str:
        (mine,), (right,) = answers, expected
        if not isinstance(mine, dict):
            return f"detective gave {short(mine)}; wanted a dict from letters to suspects."
        if missing := [letter for letter in right if letter not in mine]:
            return f"detective says nothing of {', '.join(missing)}."
        if unknown := [letter for letter in mine if letter not in right]:
            return f"There is no run {unknown[0]!r}; the runs are {', '.join(right)}."
        for letter, name in mine.items():
            if name not in [*BUGS]:
                return f"{letter}: {name!r} is not on the list of suspects, which are: {'; '.join(BUGS)}."
        wrong = [letter for letter in right if mine[letter] != right[letter]]
        counted = f"{len(right) - len(wrong)} of {len(right)} are right."
        names = Counter(mine.values())
        if len(names) == 1:
            return f"{counted} One suspect cannot have done everything."
        for letter in wrong:
            if right[letter] == "no bug":
                return f"{HINTS['second_seed_blamed']}\n{counted}"
            for switch, confusion in CONFUSIONS.items():
                if confusion.get(right[letter]) == mine[letter]:
                    return f"{HINTS[switch]}\n{counted} The first to look at again is {letter}."
        return f"{counted} Look at {wrong[0]} again: {LOOK[right[wrong[0]]]}."


DETECTIVE = Detective("detective", "dog", 25, lambda: [()], HINTS)
