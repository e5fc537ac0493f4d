"""Lesson 09: what a run wrote down survives a crash, and a resumed run does not tell a step twice."""

from pathlib import Path

import pytest

from minigpt.errors import UserError
from minigpt.run.metrics import Metrics, read_metrics


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


def test_a_run_resumed_at_its_last_step_forgets_the_evaluation_that_ends_it(path: Path) -> None:
    """It died within that evaluation, or behind it; told anew it would stand there twice."""
    metrics = Metrics(path, step=4)
    metrics.write(4, "test", accuracy=0.5, accuracy_by_kind={"all": 0.5})
    metrics.write(4, "valid", loss=1.0)
    metrics.close()
    Metrics(path, step=4, last=9).close()
    assert steps(path)[-2:] == [(4, "test"), (4, "valid")], "an evaluation on the way stays"
    Metrics(path, step=4, last=4).close()
    assert steps(path) == [(1, "train"), (2, "train"), (3, "train"), (4, "train"), (2, "valid")]


@pytest.mark.parametrize("line", ["nonsense", "[]", "{}", '{"step": "x", "split": "train", "loss": 1}', "\x80"])
def test_a_line_that_is_no_event_is_named(path: Path, line: str) -> None:
    """Between others; as the last it is what a crash left."""
    whole = path.read_text()
    path.write_bytes((whole + line).encode("latin-1"))
    assert len(read_metrics(path)) == 5
    path.write_bytes((line + "\n" + whole).encode("latin-1"))
    with pytest.raises(UserError, match=r"metrics\.jsonl, line 1 is not a valid event"):
        read_metrics(path)


def test_a_run_from_the_start_forgets_all_steps(path: Path) -> None:
    Metrics(path).close()
    assert steps(path) == []
