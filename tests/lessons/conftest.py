"""The lessons, for the tests that hold for each of them."""

from collections.abc import Callable, Iterator

from lessons.harness.grade import Exercise, Lesson, all_lessons

LESSONS = all_lessons()
EXERCISES = [(lesson, exercise) for lesson in LESSONS for exercise in lesson.graders.values()]


def mutants(exercise: Exercise, lesson: Lesson) -> Iterator[tuple[str, Callable]]:
    """Each typical mistake as a function of its own."""
    wrong = getattr(lesson.mistakes, exercise.name)
    for switch in exercise.hints:
        yield switch, lambda *args, switch=switch, **kwargs: wrong(*args, **kwargs, **{switch: True})
