"""--weights and --compile of the commands that read a model."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from minigpt import GPT, GPTConfig
from minigpt.measure.cost import generation_bytes
from minigpt.preference.reward import RewardModel
from tests.conftest import two_layers


@pytest.fixture
def figures(cli, tmp_path):
    """What evaluate finds."""

    def call(*args: object) -> dict:
        done = cli("evaluate", *args, "--json", tmp_path / "e.json")
        assert done.status == 0, done.err
        return json.loads((tmp_path / "e.json").read_text())

    return call


def test_evaluate_rounds_what_is_measured_and_not_what_it_is_compared_with(figures, run, questions):
    common = ("--data", questions, "--limit", 4, "--no-answers")
    whole = figures("--model", run, *common)
    light = figures("--model", run, *common, "--weights", "int8")
    assert light["loss"] != whole["loss"]
    assert light["loss"] == pytest.approx(whole["loss"], rel=0.01)
    assert light["baselines"] == whole["baselines"]


def test_evaluate_rounds_both_models_that_it_compares(figures, run, questions, tmp_path):
    shutil.copytree(run, tmp_path / "same")
    common = ("--data", questions, "--limit", 4, "--no-answers", "--weights", "int8")
    both = figures("--compare", run, tmp_path / "same", *common)
    assert both["difference"]["loss"]["value"] == 0
    assert {model["loss"] for model in both["models"].values()} == {figures("--model", run, *common)["loss"]}


def test_evaluate_rounds_a_reward_model_too(figures, run, tmp_path):
    model = RewardModel(two_layers())
    torch.nn.init.normal_(model.score)
    model.save_pretrained(tmp_path / "rm")
    shutil.copy(run / "model" / "minigpt.json", tmp_path / "rm")
    (tmp_path / "pairs.jsonl").write_text('{"prompt": "A?", "chosen": "Yes.", "rejected": "No, b."}\n')
    margins = [
        figures("--model", "rm", "--pairs", tmp_path / "pairs.jsonl", "--weights", weights)["margin"]
        for weights in ("float32", "int8")
    ]
    assert margins[0] != margins[1]
    assert margins[0] == pytest.approx(margins[1], rel=0.1)


@pytest.mark.parametrize("weights", ["bfloat16", "int8"])
def test_chat_and_generate_answer_with_lighter_weights(cli, only_a, monkeypatch, weights):
    assert cli("generate", "--model", only_a, "--max-new-tokens", 5, "--weights", weights).out == "aaaaa\n"
    monkeypatch.setattr("sys.stdin", io.StringIO("hello\n"))
    assert cli("chat", "--model", only_a, "--max-new-tokens", 3, "--weights", weights).out == "aaa\n"


@pytest.mark.parametrize(("weights", "share"), [("float32", 1), ("bfloat16", 0.51), ("int8", 0.27)])
def test_bench_counts_the_bytes_that_it_reads(cli, monkeypatch, weights, share):
    monkeypatch.setattr("minigpt.measure.speed.best_time", lambda work, device: (work(), 1.0)[1])
    settings = ("--size", "tiny", "--steps", 1, "--batch-size", 1, "--prompt-tokens", 3, "--new-tokens", 2)
    done = cli("bench", "--mode", "generate", *settings, "--weights", weights)
    assert done.status == 0, done.err
    assert f"greedy, {weights}; " in done.out
    megabytes = int(re.search(r"reads ([\d,]+) MB", done.out)[1].replace(",", ""))
    whole = generation_bytes(GPTConfig.named("tiny")) / 1e6
    assert share * whole - 2 < megabytes < share * whole + 1


def test_bench_of_training_has_no_lighter_weights(cli):
    done = cli("bench", "--weights", "int8")
    assert (done.status, done.out) == (2, "")
    assert done.err == "bench: --weights has no effect with --mode sft; leave it out.\n"


COMPILED = """
import sys, minigpt, torch
from torch._dynamo.utils import counters
from minigpt import GPT, generate
from minigpt.run.device import place_to_read
from minigpt.sample.generation import generate_batch
from minigpt.sample.sampling import GREEDY
for weights in ("float32", "int8"):
    texts = []
    for compiled in (False, True):
        model = place_to_read(GPT.from_pretrained(sys.argv[1]), "cpu", "fast", weights, compiled)
        before = counters["stats"]["unique_graphs"]
        texts.append([generate(model, prompt, n, temperature=0.0) for prompt, n in (([1, 2, 3], 40), ([5] * 9, 12))])
        texts.append(generate_batch(model, [[4], [5, 6]], 3, GREEDY))
    assert texts[:2] == texts[2:], texts
    print(weights, counters["stats"]["unique_graphs"] - before, dict(counters["graph_break"]))
"""


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
def test_a_compiled_model_says_the_same_and_is_compiled_once_for_all_lengths(tmp_path):
    """A block and the head: two functions, whatever the length of the text. In a process without shape checks."""
    torch.manual_seed(0)
    model = GPT(GPTConfig.named("tiny", n_ctx=64, n_embd=64, n_head=2, n_layer=2))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    model.save_pretrained(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", COMPILED, tmp_path],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "float32 2 {}\nint8 2 {}\n"
