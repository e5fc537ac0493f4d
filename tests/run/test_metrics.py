"""Lesson 09: what a run wrote down survives a crash, and a resumed run does not tell a step twice."""

import json
import math
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


@pytest.mark.parametrize(
    "line",
    ["nonsense", "[]", "{}", '{"step": "x", "split": "train", "loss": 1}', "\x80", '{"step": 1, "split": "valid"}',
     '{"step": 1, "split": "valid", "reward": 1.0}', '{"step": 1, "split": "valid", "divergence": 1.0}',
     '{"step": 1, "split": "valid", "reward": 1.0, "divergence": "far"}',
     '{"step": 1, "split": "train", "reward": 1.0, "divergence": 1.0}',
     '{"step": 1, "split": "valid", "loss": 1.0, "chosen_logp": []}'],
)  # fmt: skip
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


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def test_every_line_is_json_and_pandas_reads_them_with_what_is_no_number(tmp_path: Path) -> None:
    """NaN, and the perplexity of a loss above 709: JSON has neither, and strict readers stop at both."""
    path = tmp_path / "metrics.jsonl"
    metrics = Metrics(path)
    metrics.write(0, "test", accuracy=0.5, accuracy_by_kind={"$a": 0.5}, rows=2)
    metrics.write(1, "train", loss=math.nan, perplexity=math.inf, grad_norm=-math.inf)
    metrics.write(2, "train", loss=1.5, perplexity=4.5, grad_norm=2.0)
    metrics.close()
    for line in path.read_text().splitlines():
        json.loads(line, parse_constant=refuse)
    events = read_metrics(path)
    assert math.isnan(events[1]["loss"])
    assert math.isnan(events[1]["grad_norm"])
    table = pytest.importorskip("pandas").read_json(path, lines=True)
    assert table.step.tolist() == [0, 1, 2]
    assert table.loss.isna().tolist() == [True, True, False]
    assert table.perplexity[2] == 4.5


def test_a_line_of_an_earlier_version_with_nan_in_it_is_read(path: Path) -> None:
    path.write_text('{"step": 1, "split": "train", "loss": NaN, "perplexity": Infinity}\n')
    Metrics(path, step=1).close()
    [event] = read_metrics(path)
    assert math.isnan(event["loss"])
    assert "null" in path.read_text()


def test_held_out_prompts_have_a_reward_and_a_divergence_in_place_of_a_loss(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path / "metrics.jsonl")
    metrics.write(0, "valid", reward=0.25, divergence=0.0, task=0.5)
    metrics.write(4, "valid", reward=math.nan, divergence=math.inf)
    metrics.close()
    first, second = read_metrics(tmp_path / "metrics.jsonl")
    assert first == {"step": 0, "split": "valid", "reward": 0.25, "divergence": 0.0, "task": 0.5}
    assert math.isnan(second["reward"])
    assert math.isnan(second["divergence"])


def test_who_observes_gets_the_events_that_were_kept_and_each_new_one(path: Path) -> None:
    seen: list[dict] = []
    metrics = Metrics(path, step=2)
    metrics.observe(seen.append)
    assert seen == read_metrics(path)
    metrics.write(3, "train", loss=1.0)
    metrics.close()
    assert seen == read_metrics(path)


def test_an_observer_that_fails_is_left_out_with_a_warning_and_costs_no_event(path: Path, capsys) -> None:
    seen: list[dict] = []

    def failing(event: dict) -> None:
        raise OSError(28, "No space left on device")

    metrics = Metrics(path)
    metrics.observe(failing)
    metrics.observe(seen.append)
    for step in (1, 2):
        metrics.write(step, "train", loss=1.0)
    metrics.close()
    assert seen == read_metrics(path)
    assert capsys.readouterr().err.count("No space left on device") == 1
