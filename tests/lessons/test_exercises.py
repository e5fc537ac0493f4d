"""Of every exercise: the stub is recognized, the solution is right, and every mistake gets its own hint."""

import inspect
import subprocess
from functools import wraps
from pathlib import Path
from pkgutil import resolve_name

import pytest
from beartype import beartype
from jaxtyping import jaxtyped

from lessons.harness import mine
from lessons.harness.grade import SIGNS, Exercise, Lesson, is_stub
from tests.lessons.conftest import EXERCISES, mutants
from tests.lessons.oracles import ORACLES

EACH = [pytest.param(x, e, id=f"{x.folder}-{e.name}") for x, e in EXERCISES]
ALL = pytest.mark.parametrize(("lesson", "exercise"), EACH)
PLACES = [pytest.param(x, e, place, id=place) for x, e in EXERCISES for place in e.places]


def is_changed(file: str) -> bool:
    """Whether a learner has worked on it: it differs from what is committed."""
    done = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", file], cwd=Path(file).parent, check=False)
    return done.returncode == 1


@ALL
def test_the_stub_waits_to_be_written(lesson: Lesson, exercise: Exercise) -> None:
    stub = lesson.answer(exercise)
    if not is_stub(stub) and is_changed(lesson.exercises.__file__):
        pytest.skip("this exercise is written here")
    assert is_stub(stub)
    assert exercise.verdict(stub, lesson) == f"{exercise.name} is not written yet."
    assert inspect.getdoc(stub).startswith(f"{exercise.level.title()}, {exercise.minutes} minutes. ")
    assert exercise.level in SIGNS


@ALL
def test_the_solution_is_right_and_so_are_the_mistakes_without_a_switch(lesson: Lesson, exercise: Exercise) -> None:
    for module in (lesson.solutions, lesson.mistakes):
        assert exercise.verdict(getattr(module, exercise.name), lesson) is None


@ALL
def test_each_mistake_gets_exactly_its_own_hint(lesson: Lesson, exercise: Exercise) -> None:
    found = {switch: exercise.verdict(mutant, lesson) for switch, mutant in mutants(exercise, lesson)}
    assert found == exercise.hints
    assert len(set(found.values())) == len(found)


@ALL
def test_the_solution_keeps_to_the_shapes_of_the_stub(lesson: Lesson, exercise: Exercise) -> None:
    stub, solution = lesson.answer(exercise), getattr(lesson.solutions, exercise.name)
    typed = jaxtyped(typechecker=beartype)(wraps(stub)(lambda *args: solution(*args)))
    for case in exercise.cases():
        typed(*case)


def test_every_lesson_has_an_exercise_of_each_level_and_at_least_six_mistakes() -> None:
    for lesson in {lesson.folder: lesson for lesson, _ in EXERCISES}.values():
        graders = lesson.graders.values()
        assert {exercise.level for exercise in graders} == set(SIGNS), lesson.folder
        assert len({hint for exercise in graders for hint in exercise.hints.values()}) >= 6, lesson.folder


def test_no_two_exercises_have_one_name_or_one_place() -> None:
    """--mine finds a learner's functions by their names."""
    names = [exercise.name for _, exercise in EXERCISES]
    places = [place for _, exercise in EXERCISES for place in exercise.places]
    assert len(set(names)) == len(names)
    assert len(set(places)) == len(places)


@pytest.mark.parametrize(("lesson", "exercise", "place"), PLACES)
def test_an_exercise_takes_what_its_place_is_given(lesson: Lesson, exercise: Exercise, place: str) -> None:
    names = list(inspect.signature(inspect.unwrap(resolve_name(place))).parameters)
    assert list(inspect.signature(lesson.answer(exercise)).parameters) == names


@pytest.mark.parametrize(("lesson", "exercise", "place"), PLACES)
def test_a_wrong_function_in_a_place_is_caught_without_asking_the_function(
    lesson: Lesson, exercise: Exercise, place: str
) -> None:
    """By an oracle of tests/lessons/oracles, which the right function passes."""

    def passes(function) -> bool:
        undo = mine.put(place, function, exercise.name)
        try:
            ORACLES[place]()
        except Exception:
            return False
        finally:
            undo()
        return True

    assert passes(getattr(lesson.solutions, exercise.name))
    caught = [switch for switch, mutant in mutants(exercise, lesson) if not passes(mutant)]
    print(f"{place}: {len(caught)} of {len(exercise.hints)} mistakes caught")
    assert caught
    ORACLES[place]()  # the package's own function is back
