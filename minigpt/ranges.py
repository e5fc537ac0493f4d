"""The range of every number on a command line, declared beside its option, and the one check of them all."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Annotated, get_args, get_origin, get_type_hints

from minigpt.errors import UserError


@dataclass(frozen=True)
class Range:
    """The numbers from `low` to `high`; NaN is in none."""

    low: float | int
    high: float | int
    without_low: bool = False
    without_high: bool = False
    or_zero: bool = False

    def __contains__(self, value: float | int) -> bool:
        above = self.low < value if self.without_low else self.low <= value
        below = value < self.high if self.without_high else value <= self.high
        return (above and below) or (self.or_zero and value == 0)

    def __str__(self) -> str:
        low, high = (f"{end:,}" if isinstance(end, int) else f"{end:g}" for end in (self.low, self.high))
        if self.without_low or self.without_high:
            words = f"{'above' if self.without_low else 'at least'} {low} and "
            words += f"{'below' if self.without_high else 'at most'} {high}"
        else:
            words = f"from {low} to {high}"
        return f"0, or {words}" if self.or_zero else words


class AnyText:
    """Marks an option whose text may be empty; an empty name of a file or a folder is a mistake."""


Count = Annotated[int, Range(1, 10**9)]  # steps, tokens, rows to read
CountOrZero = Annotated[int, Range(0, 10**9)]
AtOnce = Annotated[int, Range(1, 10**6)]  # what is listed or computed together
Layers = Annotated[int, Range(1, 1000)]
Epochs = Annotated[float, Range(0, 10**6, without_low=True)]
Rank = Annotated[int, Range(0, 10**6)]  # from 1 to the model's width, which is known later
Alpha = Annotated[float, Range(0, 10**6, without_low=True)]
# Beyond these, float32 rounds a step to nothing or to infinity.
LearningRate = Annotated[float, Range(1e-12, 1e30)]
LeastLearningRate = Annotated[float, Range(0, 1e30)]
Clip = Annotated[float, Range(1e-8, 1e30)]
WeightDecay = Annotated[float, Range(0, 10**6)]
BelowOne = Annotated[float, Range(0, 1, without_high=True)]  # a share, or a decay rate
BelowHalf = Annotated[float, Range(0, 0.5, without_high=True)]  # a share of wrong labels
Beta = Annotated[float, Range(1e-6, 10**6, or_zero=True)]
Weight = Annotated[float, Range(0, 10**6)]
Value = Annotated[float, Range(-(10**9), 10**9)]  # of an answer
Temperature = Annotated[float, Range(1e-6, 10**6, or_zero=True)]
TopP = Annotated[float, Range(0, 1, without_low=True)]
Seed = Annotated[int, Range(0, 2**63 - 1)]  # torch takes no more, numpy nothing below 0
Text = Annotated[str, AnyText()]


def check_values(options: object, prefix: str = "--") -> None:
    """UserError for a number outside of its option's range."""
    for name, hint in get_type_hints(type(options), include_extras=True).items():
        value, mark = getattr(options, name), mark_of(hint)
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(mark, Range) and one is not None and one not in mark:
                raise UserError(f"{_option(name, prefix)} is {one}; it must be {mark}.")


def check_used(options: object, names: Sequence[str], where: str) -> None:
    """UserError if one of these options was given another value than its default, though it has no effect here."""
    defaults = {field.name: field.default for field in fields(options)}
    if given := [_option(name) for name in names if getattr(options, name) != defaults[name]]:
        raise UserError(f"{', '.join(given)} {'has' if len(given) == 1 else 'have'} no effect {where}; leave it out.")


def _option(name: str, prefix: str = "--") -> str:
    return prefix + name.replace("_", "-")


def mark_of(hint: object) -> Range | AnyText | None:
    """What is declared beside an option, at any depth: in `Count | None`, in `tuple[BelowOne, BelowOne]`."""
    if get_origin(hint) is Annotated:
        return next((mark for mark in hint.__metadata__ if isinstance(mark, Range | AnyText)), None)
    return next((mark for inner in get_args(hint) if (mark := mark_of(inner))), None)
