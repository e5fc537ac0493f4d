"""Lesson 09: what a run wrote down survives a crash, and a resumed run does not tell a step twice."""

from pathlib import Path

import pytest

from minigpt.learn.log import Metrics, read_metrics


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The metrics of a run that wrote four steps, the second with a validation."""
    path = tmp_path / "metrics.jsonl"
    metrics = Metrics(path)
    for step in (1, 2, 3, 4):
        metrics.write(step, "train", loss=5.0 - step, lr=0.1)
    metrics.write(2, "valid", loss=3.5)
    metrics.close()
    return path


def steps(path: Path) -> list[tuple[int, str]]:
    return [(event["step"], event["split"]) for event in read_metrics(path)]


def test_events_are_read_as_they_were_written(path: Path) -> None:
    events = read_metrics(path)
    assert events[0] == {"step": 1, "split": "train", "loss": 4.0, "lr": 0.1}
    assert steps(path) == [(1, "train"), (2, "train"), (3, "train"), (4, "train"), (2, "valid")]


def test_an_event_is_in_the_file_once_it_is_written(tmp_path: Path) -> None:
    """A killed process closes nothing."""
    metrics = Metrics(tmp_path / "metrics.jsonl")
    metrics.write(1, "train", loss=2.0)
    assert steps(tmp_path / "metrics.jsonl") == [(1, "train")]
    metrics.close()


@pytest.mark.parametrize("lost", [2, 3, 10])
def test_a_last_line_that_was_cut_short_is_no_event(path: Path, lost: int) -> None:
    path.write_bytes(path.read_bytes()[:-lost])
    assert steps(path) == [(1, "train"), (2, "train"), (3, "train"), (4, "train")]


def test_a_resumed_run_forgets_what_comes_after_its_step(path: Path) -> None:
    metrics = Metrics(path, step=2)
    assert steps(path) == [(1, "train"), (2, "train"), (2, "valid")]
    metrics.write(3, "train", loss=1.0)
    metrics.close()
    assert steps(path) == [(1, "train"), (2, "train"), (2, "valid"), (3, "train")]
    assert read_metrics(path)[-1]["loss"] == 1.0


def test_a_resumed_run_writes_behind_whole_lines_only(path: Path) -> None:
    """Else its first event would continue the line that the crash cut."""
    path.write_bytes(path.read_bytes()[:-5])
    metrics = Metrics(path, step=4)
    metrics.write(5, "train", loss=0.0)
    metrics.close()
    assert steps(path) == [(1, "train"), (2, "train"), (3, "train"), (4, "train"), (5, "train")]


def test_a_run_from_the_start_forgets_all_steps(path: Path) -> None:
    Metrics(path).close()
    assert steps(path) == []
