"""Kill a training process at random instants, again and again: python -m tests.faults --kills 50

The run checkpoints at every step. After each kill its folder must hold a whole checkpoint, and what is resumed to the
end must be, byte for byte, what was never killed.
"""

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch
from safetensors.torch import load_file
from tqdm import tqdm

from minigpt import command, prefer, train
from minigpt.run.checkpoint import INCOMING, STATE, WHOLE, checkpoints, step_of
from minigpt.run.metrics import read_metrics


def run_command(name: str, args: list[str], log: Path) -> None:
    """What `python -m minigpt.train` or prefer does, in a process that has its imports behind it."""
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    torch.set_num_threads(1)
    tqdm.set_lock(threading.RLock())  # its usual one is shared by processes, and a killed one cannot give it back
    sys.argv = [name, *args]
    module = {"train": train, "prefer": prefer}[name]
    command.run(module.Options, module.main, name, module.saved_options)


def process(name: str, args: list[str], log: Path) -> multiprocessing.Process:
    """Started from a server that has imported everything and computed nothing, so that it starts at once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["minigpt.train", "minigpt.prefer"])
    started = context.Process(target=run_command, args=(name, args, log))
    started.start()
    return started


def finish(name: str, args: list[str], log: Path) -> None:
    started = process(name, args, log)
    started.join()
    if started.exitcode:
        raise RuntimeError(f"The run ended with status {started.exitcode}:\n{log.read_text()[-2000:]}")


METHODS = ("train", "dpo", "reward", "rl")
CHEERFUL = 'def cheerful(messages, answer, ended):\n    return answer.count("2") - 0.1 * len(answer) + ended\n'


def options(method: str, folder: Path, run: Path, steps: int) -> list[str]:
    """A small run of `train`, or of a method of `prefer`, whose initial model is in `folder` too."""
    common = [
        "--run", str(run), "--steps", str(steps), "--batch-size", "3", "--micro-batch-size", "2",
        "--checkpoint-every", "1", "--eval-every", str(steps * 5 // 8),
    ]  # fmt: skip
    if method == "train":
        return ["--data", str(questions(folder)), "--accuracy-rows", "1", *common]
    data, rule = folder / "pairs.jsonl", folder / "rule.py"
    rows = [{"prompt": f"{i} + {i}?", "chosen": f"{2 * i}", "rejected": f"{i} or so"} for i in range(1, 21)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    rule.write_text(CHEERFUL)
    more = ["--reward", f"{rule}:cheerful", "--group-size", "2", "--max-new-tokens", "4"] if method == "rl" else []
    return ["--init", str(folder / "init"), "--method", method, "--data", str(data), *more, *common]


def questions(folder: Path) -> Path:
    data = folder / "questions.jsonl"
    rows = [{"question": f"What is {i} + {i}?", "answer": f"{2 * i}"} for i in range(20)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return data


def outcome(run: Path) -> dict[str, object]:
    """What must come out the same: the bytes of weights and checkpoint, the samples, every step's figures."""
    timed = ("seconds", "tokens_per_second")
    events = read_metrics(run / "metrics.jsonl")
    return {
        "model": (run / "model" / "model.safetensors").read_bytes(),
        "checkpoint": {file.name: file.read_bytes() for file in checkpoints(run / "checkpoint")[-1].iterdir()},
        "frontier": (run / "frontier.json").read_bytes() if (run / "frontier.json").exists() else None,
        "samples": (run / "samples.md").read_text(),
        "events": [{k: v for k, v in event.items() if k not in timed} for event in events],
    }


def check_whole(checkpoint: Path) -> None:
    """Raises an error for a folder that has a checkpoint's name and lacks something of it."""
    assert json.loads((checkpoint / STATE).read_text())["step"] == step_of(checkpoint)
    names = [name.split(".", 1) for name in load_file(checkpoint / WHOLE)]
    weights, m, v = ({name for kind, name in names if kind == which} for which in ("model", "m", "v"))
    assert weights == m == v != set()


def inject(kills: int, seed: int, folder: Path, steps: int = 24, method: str = "train") -> dict[str, int]:
    """Runs of `steps` steps, killed until there were enough kills; how many runs there were, and what the kills hit."""
    draw = random.Random(seed)
    whole = folder / "whole"
    start = time.perf_counter()
    name = "train" if method == "train" else "prefer"
    if name == "prefer":
        finish("train", options("train", folder, folder / "init", 2), folder / "init.log")
        start = time.perf_counter()
    finish(name, options(method, folder, whole, steps), folder / "whole.log")
    duration = time.perf_counter() - start
    expected = outcome(whole)
    told = {"kills": 0, "runs": 0, "while writing a checkpoint": 0, "before the first checkpoint": 0}
    while told["kills"] < kills:
        run, log = folder / f"killed-{told['runs']}", folder / f"killed-{told['runs']}.log"
        args = options(method, folder, run, steps)
        while told["kills"] < kills and not (run / "result.json").exists():
            started = process(name, args, log)
            started.join(draw.uniform(0.0, 0.5 * duration))
            if started.is_alive():
                os.kill(started.pid, signal.SIGKILL)
                started.join()
                told["kills"] += 1
                told["while writing a checkpoint"] += (run / "checkpoint" / INCOMING).exists()
                told["before the first checkpoint"] += not checkpoints(run / "checkpoint")
                for kept in checkpoints(run / "checkpoint"):
                    check_whole(kept)
            elif started.exitcode:
                raise RuntimeError(f"A resumed run ended with status {started.exitcode}:\n{log.read_text()[-2000:]}")
            if (run / "options.json").exists():
                args = ["--resume", "--run", str(run)]
            else:
                shutil.rmtree(run, ignore_errors=True)
        if not (run / "result.json").exists():
            finish(name, args, log)
        found = outcome(run)
        for what, value in expected.items():
            if found[what] != value:
                raise AssertionError(f"After the kills the {what} of {run} differs from that of {whole}.")
        told["runs"] += 1
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--method", choices=METHODS, default="train")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        told = inject(chosen.kills, chosen.seed, Path(folder), method=chosen.method)
    print("; ".join(f"{name} {count}" for name, count in told.items()), "- every run ended in the same bytes.")


if __name__ == "__main__":
    main()
