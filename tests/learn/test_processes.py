"""Lesson 16: training in real processes over gloo, against the same training in one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from minigpt.learn.parallel import Team
from tests.learn.scenarios import SCENARIOS, train

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def alone() -> dict[str, dict]:
    return {name: train(Team(), **options | {"sharded": False}) for name, options in SCENARIOS.items()}


@pytest.fixture(scope="module", params=[2, 4])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """What `request.param` processes find."""
    out = tmp_path_factory.mktemp("processes") / "found.pt"
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(request.param)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *start, "-m", "tests.learn.scenarios", str(out)],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return torch.load(out)


@pytest.mark.slow
@pytest.mark.xdist_group("processes")
@pytest.mark.parametrize("name", SCENARIOS)
def test_several_processes_learn_what_one_learns(alone, shared, name):
    one, several = alone[name], shared[name]
    low = SCENARIOS[name].get("dtype") == "bfloat16"
    off = (several["gradient"] - one["gradient"]).norm() / one["gradient"].norm()
    losses = (several["losses"] - one["losses"]).abs().max()
    print(f"{name}: gradient {off:.1e}, losses {losses:.1e}")
    assert off < (1e-2 if low else 1e-6)
    assert losses < (5e-3 if low else 1e-5)
    assert several["supervised"] == one["supervised"]
    assert several["weights"].keys() == one["weights"].keys()
    assert one["losses"][-1] < one["losses"][0] - 0.1  # it does learn
    if name == "fast again":  # as many processes give the same bytes
        assert torch.equal(several["losses"], shared["fast"]["losses"])
        assert all(torch.equal(weight, shared["fast"]["weights"][key]) for key, weight in several["weights"].items())
