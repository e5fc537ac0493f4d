"""Lesson 09: a resumed run has taken the time of all of its parts."""

from pathlib import Path

import pytest

from minigpt.run import stopwatch
from minigpt.run.folder import read_options, write_options
from minigpt.run.stopwatch import Stopwatch, duration


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set."""
    write_options(tmp_path, {"steps": 3})
    now = [100.0]
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: now[0])
    return now


def resumed(folder: Path) -> Stopwatch:
    watch = Stopwatch()
    watch.read(folder)
    return watch


def test_the_parts_of_a_run_are_added_up_without_the_time_between(tmp_path: Path, clock: list[float]) -> None:
    first = Stopwatch()
    clock[0] += 40
    first.write(tmp_path)
    clock[0] += 1000
    second = resumed(tmp_path)
    clock[0] += 2
    assert second.seconds == 42
    second.write(tmp_path)
    assert resumed(tmp_path).seconds == 42
    assert read_options(tmp_path)["steps"] == 3, "the options stay"
    (tmp_path / "result.json").write_text('{"seconds": 45.5}')
    assert resumed(tmp_path).seconds == 45.5, "a finished run has measured after its last checkpoint"


@pytest.mark.parametrize("note", [None, "soon", [], {}])
def test_a_note_that_is_missing_or_damaged_counts_as_nothing(tmp_path: Path, clock: list[float], note) -> None:
    write_options(tmp_path, {"seconds": note})
    watch = resumed(tmp_path)
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
