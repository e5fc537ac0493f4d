"""What pytest finds in a lesson's folder: its README's fences, and its exercises."""

import os  # noqa: I001
from pathlib import Path

import minigpt  # noqa: F401 - before torch, as the commands import it
import pytest
import torch

from lessons.harness.fences import Fences, parse
from lessons.harness.grade import ExerciseFile

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)  # a worker a core

fences = Fences([parse], path=str(Path(__file__).parent), pattern="*/README.md").pytest()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.File | None:
    if file_path.name == "exercises.py":
        return ExerciseFile.from_parent(parent, path=file_path)
    return fences(file_path, parent)
