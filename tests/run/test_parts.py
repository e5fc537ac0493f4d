"""Lesson 16: a checkpoint goes from one process into two that share the weights, and back, without losing a bit."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from minigpt.run.checkpoint import WHOLE, checkpoints, load_checkpoint, path_of, save_checkpoint
from tests.run.test_checkpoint import content, new_trainer, train

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("processes")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one process has saved two steps, and two have done what parts.py says."""
    folder = tmp_path_factory.mktemp("parts")
    trainer = new_trainer(seed=1)
    train(trainer, 2)
    save_checkpoint(folder / "whole", trainer)
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "tests.run.parts", folder]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *start], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(("name", "files"), [("parts", 3), ("parts of parts", 3), ("by replicas", 2)])
def test_what_two_processes_load_and_save_has_the_same_bytes_in_one(
    folder: Path, name: str, files: int, tmp_path: Path
) -> None:
    """Weights and moments, whole -> in two parts -> whole."""
    assert len(list(path_of(folder / name, 2).iterdir())) == files
    assert not (folder / name / "incoming").exists()
    trainer = new_trainer(seed=5)
    load_checkpoint(folder / name, trainer)
    assert trainer.step == 2
    save_checkpoint(tmp_path, trainer)
    assert content(path_of(tmp_path, 2)) == content(path_of(folder / "whole", 2))


def test_torch_s_own_reader_reads_what_two_processes_save(folder: Path) -> None:
    """Its reader is another program than ours."""
    engine = pytest.importorskip("torch.distributed.checkpoint")
    expected = load_file(path_of(folder / "whole", 2) / WHOLE)
    read = {name: torch.zeros_like(tensor) for name, tensor in expected.items()}
    reader = engine.HuggingFaceStorageReader(str(path_of(folder / "parts", 2)))
    engine.load(read, storage_reader=reader, no_dist=True)
    assert all(torch.equal(read[name], expected[name]) for name in expected)


def test_only_the_last_ones_stay_of_what_two_processes_save(folder: Path) -> None:
    assert checkpoints(folder / "removed") == [path_of(folder / "removed", 3)]


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("full disk of the first", "step 3 cannot be written to {}/by replicas (No space left on device); {}/by"),
        ("full disk of the second", "step 3 cannot be written to {}/parts (No space left on device); {}/parts/step-0"),
        ("NaN of the second", "After step 3 a weight is NaN or infinite, so no checkpoint is written; {}/parts/step-0"),
        ("broken", "{}/whole/step-00000003 is not a checkpoint of this model (No such file or directory); remove it"),
    ],
)
def test_what_goes_wrong_in_one_process_is_said_by_both(folder: Path, what: str, sentence: str) -> None:
    first, second = (json.loads((folder / f"said-{rank}.json").read_text())[what] for rank in (0, 1))
    assert sentence.replace("{}", str(folder)) in first
    assert first == second
