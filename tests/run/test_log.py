"""Lesson 09: what TensorBoard and Weights & Biases show of a run is what metrics.jsonl says."""

import json
import math
import struct
import sys
from pathlib import Path

import pytest

from minigpt.errors import UserError
from minigpt.run.folder import write_options
from minigpt.run.log import check_log, open_log, scalars
from minigpt.run.metrics import Metrics, read_metrics


def write(metrics: Metrics, steps: range) -> None:
    for step in steps:
        metrics.write(step, "train", loss=5.0 / step, lr=math.nan if step == 2 else 0.1, pretraining=step < 3)
        if step % 2 == 0:
            metrics.write(step, "valid", loss=4.0 / step)
            metrics.write(step, "test", accuracy=0.5, accuracy_by_kind={"a b/$c": 0.25, "d": 1.0})


@pytest.fixture
def resumed(tmp_path: Path) -> Path:
    """A run of six steps, killed after the fifth and resumed from the third; each event goes to `open_log` too."""

    def run(name: str) -> Path:
        write_options(tmp_path, {"steps": 6})
        first = Metrics(tmp_path / "metrics.jsonl")
        first.observe(open_log(name, tmp_path))
        write(first, range(1, 6))
        second = Metrics(tmp_path / "metrics.jsonl", step=3)
        second.observe(open_log(name, tmp_path))
        write(second, range(4, 7))
        return tmp_path

    return run


def expected(run: Path) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for event in read_metrics(run / "metrics.jsonl"):
        for tag, value in scalars(event):
            found.setdefault(tag, []).append((event["step"], pytest.approx(value, rel=1e-6, nan_ok=True)))
    return found


def test_tensorboard_has_every_event_once_through_a_kill_and_a_resumption(resumed) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = resumed("tensorboard")
    assert len([*(run / "tensorboard").iterdir()]) == 1
    read = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    read.Reload()
    tags = read.Tags()["scalars"]
    shown = {tag: [(point.step, point.value) for point in read.Scalars(tag)] for tag in tags}
    assert shown == expected(run)
    assert [step for step, _ in shown["train/loss"]] == [1, 2, 3, 4, 5, 6]
    assert {"valid/loss", "test/accuracy_by_kind/d", "train/pretraining"} <= shown.keys()


def test_wandb_has_every_event_without_a_network(resumed, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    from wandb.proto import wandb_internal_pb2

    monkeypatch.setenv("WANDB_MODE", "offline")
    run = resumed("wandb")
    import wandb

    wandb.finish()
    last = max(run.glob("wandb/offline-run-*/run-*.wandb"), key=lambda path: path.stat().st_mtime)
    seen: dict[str, list[tuple[int, float]]] = {}
    for data in leveldb_records(last.read_bytes()):
        record = wandb_internal_pb2.Record.FromString(data)
        if record.WhichOneof("record_type") == "history":
            items = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
            for tag, value in items.items():
                if "/" in tag:
                    seen.setdefault(tag, []).append((items["step"], float(value)))
    assert seen == expected(run)


def leveldb_records(content: bytes) -> list[bytes]:
    """The records of a file in LevelDB's log format, after wandb's own header of seven bytes."""
    records, place, parts = [], 7, []
    while place + 7 <= len(content):
        if 2**15 - place % 2**15 < 7:  # the rest of a block is too short for a record's head
            place += 2**15 - place % 2**15
            continue
        length, kind = struct.unpack("<HB", content[place + 4 : place + 7])
        parts.append(content[place + 7 : place + 7 + length])
        place += 7 + length
        if kind in (1, 4):  # whole, or its last part
            records.append(b"".join(parts))
            parts = []
    return records


def test_a_package_that_is_missing_is_a_sentence_with_the_command_that_installs_it(tmp_path, monkeypatch) -> None:
    """Also where a folder of its name is found in its place, as wandb leaves one beside a script."""
    for name in ("wandb", "tensorboard"):
        (tmp_path / name).mkdir()
    for path in ([], [str(tmp_path)]):
        monkeypatch.setattr("sys.path", path)
        for module in [name for name in sys.modules if name.split(".")[0] in ("wandb", "tensorboard")]:
            monkeypatch.delitem(sys.modules, module)
        with pytest.raises(UserError, match=r'--log tensorboard needs .*: pip install "minigpt\[log\]"'):
            check_log("tensorboard")
        with pytest.raises(UserError, match=r"--log wandb needs .*: pip install wandb"):
            check_log("wandb")
    check_log(None)


def test_one_that_does_not_start_is_a_sentence(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(folder: Path) -> None:
        raise OSError("no key is configured")

    monkeypatch.setattr("minigpt.run.log.to_wandb", failing)
    with pytest.raises(UserError, match="--log wandb does not start: OSError: no key is configured"):
        open_log("wandb", tmp_path)
