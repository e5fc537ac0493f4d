"""The formula that is read is the line that runs: with --math explicit the commands execute every marked line."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest
import torch

from minigpt import GPT, GPTConfig
from minigpt.measure.cost import forward_flops, training_bytes
from minigpt.measure.gradients import gradient_parts
from minigpt.text.examples import Example
from tests.rating.raters import key_of, saved, write_key, write_ratings
from tests.test_formulas import FAST, MARK, PACKAGE

Line = tuple[str, int]


def marked(pattern) -> dict[Line, str]:
    """Each marked line of the package, and the number of its formula."""
    return {
        (str(path), i): number
        for path in PACKAGE.rglob("*.py")
        for i, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        for number in pattern.findall(line)
    }


@contextmanager
def executed(lines: dict[Line, str]) -> Iterator[set[Line]]:
    """Which of these lines run while it lasts."""
    files, seen = {path for path, _ in lines}, set()

    def on_line(frame: FrameType, event: str, _: object):
        if (line := (frame.f_code.co_filename, frame.f_lineno)) in lines:
            seen.add(line)
        return on_line

    before = sys.gettrace()
    sys.settrace(lambda frame, event, _: on_line if frame.f_code.co_filename in files else None)
    try:
        yield seen
    finally:
        sys.settrace(before)


def train_evaluate_generate(cli, data: Path, run: Path, math: str) -> None:
    settings = ("--data", data, "--math", math)
    steps = ("--steps", 5, "--batch-size", 2, "--warmup-steps", 1, "--accuracy-rows", 1, "--template", "documents")
    long = ("--max-length", 40)  # shorter than the longest row, so that one is encoded within T_max
    assert cli("train", *settings, *steps, *long, "--run", run).status == 0
    assert cli("evaluate", *settings, "--model", run, "--limit", 2).status == 0
    generate = ("generate", "--model", run / "model", "--max-new-tokens", 2, "--math", math, "--seed", 1)
    assert cli(*generate).status == 0
    assert cli(*generate, "--weights", "int8").status == 0


def prefer(cli, init: Path, folder: Path, math: str) -> None:
    """Each method; that of rl has the curve of the optimum too."""
    rows = [{"prompt": f"{i}?", "chosen": "a", "rejected": "b"} for i in range(1, 5)]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = ("--init", init, "--data", folder / "pairs.jsonl", "--steps", 1, "--batch-size", 2, "--math", math)
    for method, more in {"dpo": (), "reward": (), "rl": ("--reward", "exact", "--group-size", 2)}.items():
        assert cli("prefer", "--method", method, *settings, *more, "--run", folder / method).status == 0


def adapt(cli, data: Path, init: Path, math: str) -> None:
    settings = ("--data", data, "--steps", 2, "--batch-size", 1, "--warmup-steps", 1, "--accuracy-rows", 1)
    assert cli("train", "--init", init, "--lora-rank", 1, *settings, "--math", math).status == 0


def rate(cli, folder: Path) -> None:
    """What a rater says of two answers."""
    key = key_of([("yes", "no")])
    said = write_ratings(folder, saved(key, "Anna", lambda item: (0, {(0, "accuracy"): 4})))
    assert cli("rate", "summarize", write_key(folder / "key.json", key), said).status == 0


@pytest.mark.fast_form
def test_every_marked_line_runs_in_explicit_mode(cli, tmp_path, questions, no_pictures):
    """By train, evaluate, generate, prefer and rate; eq 11.3 is what `view` counts, 10.2 what `bench` divides by, 10.1
    what 16.3 is where all weights are learned, 13.2 a measurement that no command takes."""
    lines = marked(MARK)
    with executed(lines) as seen:
        train_evaluate_generate(cli, questions, tmp_path / "run", "explicit")
        prefer(cli, tmp_path / "run", tmp_path, "explicit")
        adapt(cli, questions, tmp_path / "run", "explicit")
        rate(cli, tmp_path)
    missed = {lines[line] for line in lines.keys() - seen}
    assert missed == {"10.1", "10.2", "11.3", "13.2"}
    with executed(lines) as seen:
        assert cli("view", "--data", questions, "--rows", 1).status == 0
        model = GPT(GPTConfig.named("tiny", n_embd=8, n_head=2))
        forward_flops(model.config, 4)
        training_bytes(model.config)
        gradient_parts(model, [Example([1, 2, 3], [False, False, True], "row")], "sum")
    assert missed <= {lines[line] for line in seen}


@pytest.mark.fast_form
def test_every_fast_form_runs_in_fast_mode_and_no_line_that_it_replaces(cli, tmp_path, questions, no_pictures):
    fast, explicit = marked(FAST), marked(MARK)
    with executed(fast | explicit) as seen:
        train_evaluate_generate(cli, questions, tmp_path / "run", "fast")
    assert {fast[line] for line in seen & fast.keys()} == set(fast.values())
    # But the head's: its fast form is for the few rows of a step of generation, and evaluation scores many.
    assert set(fast.values()) & {explicit[line] for line in seen & explicit.keys()} == {"6.2"}


def test_auto_is_explicit_at_size_tiny_and_fast_at_the_official_sizes():
    with torch.device("meta"):
        assert GPT(GPTConfig.named("tiny")).is_explicit
        for name in ("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"):
            assert not GPT(GPTConfig.named(name, n_layer=1)).is_explicit
