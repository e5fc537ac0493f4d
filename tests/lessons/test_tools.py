"""The commands around the lessons: progress, levels, and a learner's functions inside the package."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from lessons.__main__ import progress
from lessons.harness import links, mine
from lessons.harness.grade import Lesson
from tests.lessons.conftest import LESSONS

SOLUTIONS = links.LESSONS / "03_attention" / "solutions.py"
MASKED_AFTER = """
import math, torch

def attend(q, k, v, mask=None, dropout=0.0):
    T, S = q.shape[-2], k.shape[-2]
    mask = torch.ones(T, S, dtype=torch.bool).tril(S - T) if mask is None else mask
    weights = torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), -1)
    return torch.nn.functional.dropout(weights * mask, dropout) @ v
"""


def python(*args: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", *map(str, args)]
    return subprocess.run(command, cwd=links.ROOT, capture_output=True, text=True, timeout=300, check=False)


def test_progress_names_the_first_exercise_that_is_not_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """First with all solutions in the exercises' place, then without one of them."""
    for lesson in LESSONS:
        for name in lesson.graders:
            monkeypatch.setattr(lesson.exercises, name, getattr(lesson.solutions, name))
    assert "All are right." in progress()
    assert "✗" not in progress().split("\n\n")[0]
    lesson = Lesson("03_attention")

    def weights(q, k, mask):
        raise NotImplementedError

    monkeypatch.setattr(lesson.exercises, "weights", weights)
    monkeypatch.setattr(lesson.exercises, "attend", lesson.mistakes.weights)
    text = progress()
    assert "03 attention        🐢 ✓  🐢 ·  🐕 ✓  🦁 ✓  🦁 ✗" in text
    line = weights.__code__.co_firstlineno
    assert f"Next: weights (turtle, 10 minutes), lessons/03_attention/exercises.py:{line}\n" in text
    assert "weights is not written yet.\nTo check it: pytest lessons/03_attention/exercises.py::weights" in text


def test_a_level_picks_its_exercises() -> None:
    done = python("pytest", "lessons", "-m", "turtle", "--collect-only", "-q", "-n", "0")
    turtles = [e.name for lesson in LESSONS for e in lesson.graders.values() if e.level == "turtle"]
    assert [line.split("::")[1] for line in done.stdout.splitlines() if "::" in line] == turtles


@pytest.mark.parametrize("right", [True, False])
def test_the_package_s_tests_run_through_a_learner_s_function(right: bool, tmp_path: Path) -> None:
    file = SOLUTIONS if right else tmp_path / "answers.py"
    if not right:
        file.write_text(MASKED_AFTER)
    tests = "tests/model/test_attention.py", "tests/reference/test_any_layout.py", "lessons", "tests/lessons"
    done = python("pytest", *tests, "-n", "0", "-q", "--mine", file)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("attend: called")]
    passed, failed = (int(line.split(f" {word}")[0].split()[-1]) for word in ("passed", "failed"))
    assert passed > 5
    assert (failed == 0, done.returncode) == ((True, 0) if right else (False, 1)), done.stdout[-3000:]
    verdict = "right." if right else Lesson("03_attention").graders["attend"].hints["mask_after"]
    assert f"attend_fast; its grader says: {verdict}" in done.stdout
    assert ("split_heads: called" in done.stdout) == right, "only what is written is put in place"


def test_a_command_runs_through_a_learner_s_function() -> None:
    options = "--model", "lessons/model", "--prompt", "What", "--max-new-tokens", 3, "--temperature", 0
    theirs = python("lessons.harness.mine", SOLUTIONS, "minigpt.generate", *options)
    ours = python("minigpt.generate", *options)
    assert theirs.returncode == 0, theirs.stderr
    assert theirs.stdout == ours.stdout
    assert "Your attend in place of minigpt.model.attention.attend, " in theirs.stderr
    assert "Calls: split_heads 6, attend 6." in theirs.stderr


def test_a_file_without_a_function_that_has_a_place_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("def attend(q, k, v, mask=None, dropout=0.0):\n    raise NotImplementedError\n")
    with pytest.raises(LookupError, match=r"no function here that is written and has a place in the package; .*attend"):
        mine.put_all([tmp_path / "empty.py"])
    done = python("lessons.harness.mine", "nowhere.py", "minigpt.generate")
    assert done.returncode == 1
    assert "nowhere.py" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_placed_function_is_reached_by_names_bound_earlier_and_taken_out_again() -> None:
    attention = importlib.import_module("minigpt.model.attention")
    bound, before = attention.causal_mask, attention.causal_mask(2, 3)
    undo = mine.put("minigpt.model.attention.causal_mask", lambda T, S, device=None: ~before, "causal_mask")
    try:
        assert (bound(2, 3) == ~before).all()
        assert mine.calls["causal_mask"] == 1
    finally:
        undo()
    assert (bound(2, 3) == before).all()


def test_a_learner_s_function_that_calls_its_own_place_is_told_so() -> None:
    attention = importlib.import_module("minigpt.model.attention")
    undo = mine.put("minigpt.model.attention.causal_mask", lambda T, S: attention.causal_mask(T, S), "causal_mask")
    try:
        with pytest.raises(RecursionError, match="Your causal_mask calls the package's"):
            attention.causal_mask(2, 3)
    finally:
        undo()
