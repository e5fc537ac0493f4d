"""Wrong answers that mistakes.py does not have: none passes, and at least a third is named."""

import pytest

from lessons.harness.grade import Lesson
from tests.lessons.wrong_answers import ANSWERS


@pytest.mark.parametrize(("folder", "name"), ANSWERS)
def test_no_wrong_answer_passes_and_a_third_is_named(folder: str, name: str) -> None:
    lesson = Lesson(folder)
    exercise = lesson.graders[name]
    verdicts = {wrong.__name__: exercise.verdict(wrong, lesson) for wrong in ANSWERS[folder, name]}
    named = [wrong for wrong, said in verdicts.items() if said and said.split("\n")[0] in exercise.hints.values()]
    print(f"{len(named)} of {len(verdicts)} named", *verdicts.items(), sep="\n")
    assert [wrong for wrong, said in verdicts.items() if not said] == []
    assert 3 * len(named) >= len(verdicts) >= 10
