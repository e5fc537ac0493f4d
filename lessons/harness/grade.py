"""Exercises that name the mistake: an answer is compared with the right one, then with each typical wrong one.

A lesson's `solutions.py` has the right function and its `mistakes.py` the same one with a switch (a keyword that is
False) for each typical mistake. An answer that equals the function with a switch set has made that mistake; pairs of
switches are tried too. Nothing else is needed to grade, so a new mistake costs a switch and a sentence.
"""

import ast
import importlib
import inspect
import math
import traceback
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

SIGNS = {"turtle": "🐢", "dog": "🐕", "lion": "🦁"}  # a formula; a small program; measured against a target
NOT_WRITTEN = "is not written yet."


@dataclass(frozen=True)
class Exercise:
    """One function to write.

    `cases` makes the arguments that it is tried on, the tiny numbers first. `hints` has a sentence for each switch of
    the function in mistakes.py. `places` are the functions of the package that it can stand in for, explicit and fast,
    by their full names. `judge` is a last check of a right answer without the solution: a sentence, or None. `trains`
    is false where nothing is trained through the answer, which then needs no gradient.
    """

    name: str
    level: str
    minutes: int
    cases: Callable[[], Sequence[tuple]]
    hints: dict[str, str]
    places: tuple[str, ...] = ()
    judge: Callable[[Callable], str | None] | None = None
    tolerance: float = 1e-9
    trains: bool = True

    def verdict(self, mine: Callable | None, lesson: "Lesson") -> str | None:
        """None for a right answer, else what is wrong with it, for the learner."""
        if mine is None:
            return f"exercises.py has no function {self.name}."
        answers = []
        for case in self.cases():
            given = deepcopy(case)
            try:
                answers.append(mine(*given))
            except NotImplementedError:
                return f"{self.name} {NOT_WRITTEN}"
            except Exception as error:
                return f"{self.name} stopped: {type(error).__name__}: {error}\n{where(error, mine)}"
            if not same(given, case, 0.0):
                return f"{self.name} changed what it was given; work on a copy (no x += ..., no x.masked_fill_)."
        right, wrong = getattr(lesson.solutions, self.name), getattr(lesson.mistakes, self.name)
        expected = [right(*case) for case in self.cases()]
        if same(answers, expected, self.tolerance):
            return (self.judge and self.judge(mine)) or (self.learns(mine, right) if self.trains else None)
        for switches in (chosen for n in (1, 2) for chosen in combinations(self.hints, n)):
            looks = [wrong(*case, **dict.fromkeys(switches, True)) for case in self.cases()]
            if same(answers, looks, self.tolerance):
                return "\n".join(self.hints[switch] for switch in switches)
        return self.difference(answers, expected)

    def learns(self, mine: Callable, right: Callable) -> str | None:
        """Whether the gradient of a right answer is right too: training goes through it."""
        for slopes in ([gradients(function, case) for function in (mine, right)] for case in self.cases()):
            if slopes[1] and not slopes[0]:
                lost = "was it detached, made of lists, or changed in place?"
                return f"{self.name} is right, but no gradient comes through it: {lost}"
            if not same(*slopes, 1e-6):
                return f"{self.name} is right, but its gradient is not."
        return None

    def difference(self, answers: Sequence[Any], expected: Sequence[Any]) -> str:
        """What can be said without knowing the mistake: of the first case that differs."""
        pairs = zip(self.cases(), answers, expected, strict=True)
        case, a, b = next(pair for pair in pairs if not same(*pair[1:], self.tolerance))
        return f"{self.name} {difference(a, b, self.tolerance)}\nIt was called with {', '.join(map(short, case))}."


def difference(a: Any, b: Any, tolerance: float) -> str:
    """How `a` differs from `b`, which was wanted: in kind, shape, dtype, or at which place."""
    if isinstance(b, tuple) and isinstance(a, tuple | list | Tensor) and len(a) == len(b):
        place = next(i for i in range(len(b)) if not same(a[i], b[i], tolerance))
        return f"has {len(b)} results, of which number {place + 1} {difference(a[place], b[place], tolerance)}"
    if not isinstance(a, type(b)):
        return f"gave {type(a).__name__}; wanted {type(b).__name__}."
    if not isinstance(b, Tensor):
        return f"gave {short(a)}; wanted {short(b)}."
    if a.shape != b.shape:
        swapped = " (two axes are swapped)" if sorted(a.shape) == sorted(b.shape) else ""
        return f"gave the shape {tuple(a.shape)}; wanted {tuple(b.shape)}{swapped}."
    if a.dtype != b.dtype:
        return f"gave {a.dtype}; wanted {b.dtype}."
    if b.is_floating_point():
        if b.isfinite().all() and not a.isfinite().all():
            place = (~a.isfinite()).nonzero()[0].tolist()
            return f"gave {a[tuple(place)]:g} at {place}: a softmax over -inf alone, 0/0, log 0?"
        if same(a, b, 1e-4):
            return "is right to four digits only: is a constant or a dtype less exact than needed?"
        ratio = (a / b)[b.abs() > 1e-6]
        if len(ratio) > 1 and same(a, ratio[0] * b, 1e-6):
            return f"gave {ratio[0]:.4g} times the right numbers."
    different = (a - b).abs() > tolerance if b.is_floating_point() else a != b
    place = different.nonzero()[0].tolist()
    return f"gave {a[tuple(place)].item():.4g} at {place}; wanted {b[tuple(place)].item():.4g}."


def same(a: Any, b: Any, tolerance: float) -> bool:
    """Equal in kind, shape and dtype, and in value to within the tolerance."""
    if isinstance(b, Tensor):
        if not isinstance(a, Tensor) or a.shape != b.shape or a.dtype != b.dtype:
            return False
        close = {"rtol": tolerance, "atol": tolerance, "equal_nan": True}
        return torch.allclose(a, b, **close) if b.is_floating_point() else torch.equal(a, b)
    if isinstance(b, tuple | list):
        # q, k, v may come as a tuple or as one stacked tensor: unpacking treats them alike.
        alike = isinstance(a, list if isinstance(b, list) else tuple | list | Tensor) and len(a) == len(b)
        return alike and all(same(x, y, tolerance) for x, y in zip(a, b, strict=True))
    if isinstance(b, float):
        return isinstance(a, float | int) and math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance)
    return isinstance(a, type(b)) and bool(a == b)


def short(value: Any) -> str:
    """A value in a line: of a large tensor, its shape."""
    if isinstance(value, Tensor):
        return str(value.tolist()) if value.numel() < 8 else f"a tensor {tuple(value.shape)}"
    return repr(value) if len(repr(value)) <= 80 else f"{repr(value)[:77]}..."


def gradients(function: Callable, case: tuple) -> tuple[Tensor, ...]:
    """Of the answer, weighted by 1, 2, 3, ..., with respect to each tensor given; () where none comes through."""
    given = [x.clone().requires_grad_() if isinstance(x, Tensor) and x.is_floating_point() else x for x in case]
    try:
        answer = function(*given)
    except RuntimeError:  # such as x.numpy() of a tensor that wants a gradient
        return ()
    answers = answer if isinstance(answer, tuple | list) else (answer,)
    outputs = [y for y in answers if isinstance(y, Tensor) and y.requires_grad]
    inputs = [x for x in given if isinstance(x, Tensor) and x.requires_grad]
    if not (outputs and inputs):
        return ()
    total = sum((y * torch.arange(1.0, y.numel() + 1, dtype=y.dtype).view(y.shape)).sum() for y in outputs)
    try:
        found = torch.autograd.grad(total, inputs, allow_unused=True)
    except RuntimeError:  # something that the backward pass needs was changed in place
        return ()
    return tuple(torch.zeros_like(x) if g is None else g for x, g in zip(inputs, found, strict=True))


def where(error: Exception, function: Callable) -> str:
    """The learner's own line at which it stopped."""
    file = inspect.getsourcefile(function)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f"in {file}, line {lines[-1]}" if lines else ""


def is_stub(function: Callable) -> bool:
    """Whether nothing but a docstring and `raise NotImplementedError` is there."""
    definition = ast.parse(dedent(inspect.getsource(function))).body[0]
    body = getattr(definition, "body", [definition])
    return len(body) <= 2 and ast.unparse(body[-1]) == "raise NotImplementedError"


@dataclass(frozen=True)
class Lesson:
    """A lesson's folder: `exercises`, `solutions`, `mistakes`, `grader` and `figures` are its modules."""

    folder: str

    def __getattr__(self, name: str) -> ModuleType:
        if name.startswith("_"):
            raise AttributeError(name)
        return importlib.import_module(f"lessons.{self.folder}.{name}")

    @property
    def graders(self) -> dict[str, Exercise]:
        return {exercise.name: exercise for exercise in self.grader.EXERCISES}

    def answer(self, exercise: Exercise) -> Callable | None:
        return getattr(self.exercises, exercise.name, None)


def all_lessons() -> list[Lesson]:
    return [Lesson(path.parent.name) for path in sorted(Path(__file__).parents[1].glob("[0-9]*/grader.py"))]


class ExerciseFile(pytest.File):
    """exercises.py of a lesson: an item for each function, `pytest lessons/03_attention/exercises.py::attend`."""

    def collect(self) -> Iterator["ExerciseItem"]:
        lesson = Lesson(self.path.parent.name)
        for name in lesson.graders:
            item = ExerciseItem.from_parent(self, name=name)
            item.lesson, item.exercise = lesson, lesson.graders[name]
            item.add_marker(getattr(pytest.mark, item.exercise.level))
            yield item


class ExerciseItem(pytest.Item):
    def runtest(self) -> None:
        if sentence := self.exercise.verdict(self.lesson.answer(self.exercise), self.lesson):
            if sentence.endswith(NOT_WRITTEN):
                pytest.skip(f"{sentence} ({self.exercise.level}, {self.exercise.minutes} minutes)")
            pytest.fail(sentence, pytrace=False)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, f"{self.exercise.level} {self.name}"
