"""Lesson 09: a resumed run has taken the time of all of its parts."""

from pathlib import Path

import pytest

from minigpt.run import stopwatch
from minigpt.run.stopwatch import Stopwatch, duration


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set."""
    (tmp_path / "checkpoint").mkdir()
    now = [100.0]
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: now[0])
    return now


def test_the_parts_of_a_run_are_added_up_without_the_time_between(tmp_path: Path, clock: list[float]) -> None:
    first = Stopwatch()
    clock[0] += 40
    first.write(tmp_path)
    clock[0] += 1000
    second = Stopwatch()
    second.read(tmp_path)
    clock[0] += 2
    assert second.seconds == 42
    second.write(tmp_path)
    third = Stopwatch()
    third.read(tmp_path)
    assert third.seconds == 42


@pytest.mark.parametrize("note", [None, "", "soon"])
def test_a_note_that_is_missing_or_damaged_counts_as_nothing(tmp_path: Path, clock: list[float], note) -> None:
    if note is not None:
        (tmp_path / stopwatch.NOTE).write_text(note)
    watch = Stopwatch()
    watch.read(tmp_path)
    assert watch.seconds == 0
    watch.write(tmp_path / "nowhere")  # no reason to end a run


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.84, "0.8 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (207, "3 min 27 s"),
        (3599.4, "59 min 59 s"), (3599.6, "1 h 0 min"), (7500, "2 h 5 min"), (100_000, "27 h 47 min"),
    ],
)  # fmt: skip
def test_a_duration_is_in_the_units_that_people_use(seconds: float, words: str) -> None:
    assert duration(float(seconds)) == words
