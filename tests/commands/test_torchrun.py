"""`torchrun -m minigpt.train`: real processes over gloo, against the same run in one."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from minigpt import GPT
from minigpt.run.checkpoint import checkpoints
from minigpt.run.metrics import read_metrics
from tests.commands.conftest import Outcome, write_questions
from tests.commands.test_lost_runs import stop_before
from tests.faults import outcome

pytestmark = [pytest.mark.usefixtures("no_pictures"), pytest.mark.xdist_group("torchrun")]
ROOT = Path(__file__).parents[2]
SMALL = ("--n-layer", 2, "--n-embd", 32, "--n-head", 4, "--n-ctx", 96, "--lr", 3e-3, "--math", "fast")
CPU = ("--device", "cpu")
# Micro-batches of 2 rows and fewer; evaluations and checkpoints that fall on different steps.
ASKED = ("--steps", 12, "--batch-size", 6, "--accuracy-rows", 1, "--eval-every", 5, "--checkpoint-every", 4)


def torchrun(processes: int, *args: object, sent: str = "", folder: Path) -> Outcome:
    """What `torchrun --nproc-per-node` with these arguments of train prints, without its own report."""
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *start, "-m", "tests.commands.torchrun_train", "--", *map(str, args)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | ({"SIGNAL": sent} if sent else {})
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("torchrun")
    write_questions(folder / "questions.jsonl")
    return folder


@pytest.fixture(scope="module")
def options(folder: Path) -> tuple:
    return ("--data", folder / "questions.jsonl", *SMALL, *ASKED, *CPU)


@pytest.fixture(scope="module")
def two(folder: Path, options: tuple) -> Outcome:
    """The run two/ of two processes."""
    done = torchrun(2, *options, "--run", folder / "two", folder=folder)
    assert done.status == 0, done.err
    return done


@pytest.fixture
def one(cli, folder: Path, options: tuple) -> Path:
    """The same run in one process, made once."""
    if not (folder / "one").exists():
        assert cli("train", *options, "--run", folder / "one").status == 0
    return folder / "one"


def figures(run: Path, split: str, name: str) -> torch.Tensor:
    values = {event["step"]: event[name] for event in read_metrics(run / "metrics.jsonl") if event["split"] == split}
    return torch.tensor(list(values.values()), dtype=torch.float64)


def assert_alike(run: Path, other: Path) -> None:
    """The same losses but for rounding, the same tokens, the same files."""
    for split in ("train", "valid"):
        torch.testing.assert_close(
            figures(run, split, "loss"), figures(other, split, "loss"), atol=1e-5, rtol=0, msg=split
        )
    assert torch.equal(figures(run, "train", "supervised_tokens"), figures(other, "train", "supervised_tokens"))
    results = [json.loads((folder / "result.json").read_text()) for folder in (run, other)]
    assert results[0].keys() == results[1].keys()
    assert results[0]["steps"] == results[1]["steps"]
    assert results[0]["valid_loss"] == pytest.approx(results[1]["valid_loss"], abs=1e-5)
    assert {path.name for path in run.iterdir()} == {path.name for path in other.iterdir()}


def test_two_processes_make_the_run_of_one(two, one, folder):
    assert_alike(folder / "two", one)
    assert two.out.count("minigpt 0.1.0: training a GPT-2") == 1
    assert "; 2 processes" in two.out
    assert two.out.count("Held-out loss") == 1
    assert json.loads((folder / "two" / "options.json").read_text())["processes"] == 2
    GPT.from_pretrained(folder / "two")


def test_a_run_goes_on_with_another_number_of_processes_whole_or_in_parts(one, cli, folder, options, monkeypatch):
    """One process, then two that share the weights, then one, against one never stopped."""
    run = folder / "changing"
    with monkeypatch.context() as patch:
        stop_before(patch, 4, signal.SIGTERM)
        assert cli("train", *options, "--run", run).status == 128 + signal.SIGTERM
    parts = torchrun(2, "--resume", "--run", run, "--shard", sent=f"0:8:{int(signal.SIGTERM)}", folder=folder)
    assert "The run was made by 1 process, this is 2: the same but for rounding." in parts.out, parts.err
    assert "; 2 processes, the model in parts" in parts.out
    assert "Stopped after step 8." in parts.out
    assert len(list(checkpoints(run / "checkpoint")[-1].glob("*.safetensors"))) == 2
    alone = cli("train", "--resume", "--run", run)
    assert alone.status == 2
    assert "--no-shard continues it in one." in alone.err
    last = cli("train", "--resume", "--run", run, "--no-shard")
    assert last.status == 0, last.err
    assert "The run was made by 2 processes, this is 1: the same but for rounding." in last.out
    assert_alike(run, one)


@pytest.mark.parametrize(("when", "step"), [("1:7", 7), ("0:evaluation", 5)])
def test_a_signal_to_one_process_stops_all_and_the_resumed_run_ends_in_the_same_bytes(two, folder, options, when, step):
    """Also while the first evaluates and the other waits for it."""
    run = folder / f"stopped-{step}"
    stopped = torchrun(2, *options, "--run", run, sent=f"{when}:{int(signal.SIGTERM)}", folder=folder)
    assert stopped.status == 1  # torchrun's own
    assert f"exitcode  : {128 + signal.SIGTERM}" in stopped.err
    told = f"Stopped after step {step}. To continue: torchrun --standalone --nproc-per-node 2 -m minigpt.train -- "
    assert stopped.out.count(told) == 1
    assert [path.name for path in checkpoints(run / "checkpoint")] == ["step-00000004", f"step-0000000{step}"]
    done = torchrun(2, "--resume", "--run", run, folder=folder)
    assert done.status == 0, done.err
    whole, parts = outcome(folder / "two"), outcome(run)
    for what in whole:
        assert parts[what] == whole[what], what


@pytest.mark.parametrize("rank", [0, 1])
def test_when_a_process_dies_the_others_end_with_a_sentence(folder, options, rank):
    start = time.monotonic()
    done = torchrun(2, *options, "--run", folder / f"killed-{rank}", sent=f"{rank}:6:{signal.SIGKILL}", folder=folder)
    assert done.status == 1
    assert time.monotonic() - start < 120  # and not the two hours for which an evaluation is waited for
    assert "Another process of this run ended; what it said stands above." in done.err
    assert "torchrun --standalone --nproc-per-node 2 -m minigpt.train -- --resume --run" in done.err
    assert "minigpt/" not in done.err.replace(str(folder), "")  # no traceback of ours


def test_a_mistake_is_told_once(folder, options):
    done = torchrun(2, "--data", folder / "questions.jsonl", "--batch-size", 5, "--run", folder / "five", folder=folder)
    sentence = "train: --batch-size 5 cannot be shared evenly by 2 processes; 4 and 6 can."
    assert done.err.count(sentence) == 1
    assert done.err.startswith(sentence)
    assert not (folder / "five").exists()


def test_what_the_first_process_cannot_do_all_of_them_end_with(folder, options):
    """The folder is there already: the first alone looks, and the others do not wait for it."""
    (folder / "taken").mkdir()
    (folder / "taken" / "something").touch()
    done = torchrun(2, *options, "--run", folder / "taken", folder=folder)
    assert done.status == 1
    assert done.err.count("already exists; choose another --run") == 1


def test_adapters_in_parts_and_computed_again_are_those_of_one_process(one, cli, folder, options):
    asked = ("--init", one / "model", "--data", folder / "questions.jsonl", *ASKED, "--math", "fast", *CPU)
    adapted = (*asked, "--lora-rank", 4, "--recompute")
    done = torchrun(2, *adapted, "--shard", "--run", folder / "adapted-two", folder=folder)
    assert done.status == 0, done.err
    assert cli("train", *adapted, "--run", folder / "adapted-one").status == 0
    assert_alike(folder / "adapted-two", folder / "adapted-one")
    mine, theirs = (
        load_file(folder / name / "adapter" / "adapter_model.safetensors") for name in ("adapted-two", "adapted-one")
    )
    assert mine.keys() == theirs.keys()


@pytest.mark.parametrize("name", ["evaluate", "prefer", "chat"])
def test_other_commands_run_in_one_process(cli, monkeypatch, name):
    monkeypatch.setenv("WORLD_SIZE", "2")
    done = cli(name, "--model", "nowhere")
    assert (done.status, done.err) == (2, f"{name}: {name} runs in one process; torchrun is for train.\n")


def test_a_leading_separator_is_passed_over(cli):
    done = cli("train", "--", "--shard")
    assert done.status == 2
    assert "--shard spreads a model over several processes; start them with torchrun --nproc-per-node N" in done.err


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there are no two GPUs")
@pytest.mark.parametrize("more", [(), ("--shard",), ("--shard", "--recompute")], ids=" ".join)
def test_two_gpus_make_the_run_of_one(cli, folder, more):
    """Over NCCL, with products in bfloat16."""
    name = "-".join(("gpus", *(option.strip("-") for option in more)))
    options = ("--data", folder / "questions.jsonl", *SMALL, *ASKED, "--device", "cuda", "--dtype", "bfloat16")
    done = torchrun(2, *options, *more, "--run", folder / name, folder=folder)
    assert done.status == 0, done.err
    if not (folder / "gpu").exists():
        assert cli("train", *options, "--run", folder / "gpu").status == 0
    torch.testing.assert_close(
        figures(folder / name, "train", "loss"), figures(folder / "gpu", "train", "loss"), atol=5e-3, rtol=0
    )
