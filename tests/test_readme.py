"""What the README shows is so."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import minigpt
from minigpt import GPT, GPTConfig, command
from minigpt.pretrained.official import VOCABULARY
from tests.every_command import EVERY
from tests.hub import Hub

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def test_its_python_runs_and_the_prompt_begins_the_training_ids():
    (code,) = re.findall(r"```python\n(.*?)```", README, re.S)
    names: dict[str, object] = {}
    exec(code, names)
    assert names["logits"].shape == (1, 2, 260)
    assert names["ids"][: len(names["prompt"])] == names["prompt"]
    assert isinstance(names["answer"], str)


@pytest.mark.parametrize("line", re.findall(r"python -m minigpt\.(\w+ .*?)(?:`|\s+[#<]|\n)", README))
def test_every_command_it_names_takes_the_options_it_shows(line):
    name, *args = re.findall(r'"[^"]*"|\S+', line)
    if name == "rate":
        name += f" {args.pop(0)}"
    if "--help" not in args:
        command.parse(EVERY[name], name, args)


def test_every_file_it_links_to_is_there():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_lines_beside_the_formulas_are_those_of_the_block():
    lines = [line.strip() for line in (ROOT / "minigpt" / "model" / "block.py").read_text("utf-8").splitlines()]
    quoted = re.findall(r"^\| \(5\.\d\) .*\| `(.*)` \|$", README, re.M)
    assert len(quoted) == 2
    assert set(quoted) <= set(lines)


def test_the_public_names_it_lists_are_those_of_the_package():
    table = README.split("What a notebook needs")[1].split("\n## ")[0]
    assert set(re.findall(r"`(\w+)`", table)) == set(minigpt.__all__)


SUMMARIZE = "python -m minigpt.rate summarize"
SMALL = dict(n_embd=32, n_head=2, n_layer=2)  # in the place of the official size's
# `python` for the README's commands: as it is, but for the official size, the SHA-256 of its tensors, fewer steps,
# and fewer rows to answer.
PYTHON = """
import runpy, sys
import minigpt.config, minigpt.pretrained.official
import minigpt.run.defaults
minigpt.config.SIZES["gpt2"] = {small}
minigpt.pretrained.official.TENSORS["gpt2"] = {sha256!r}
import minigpt.run.prefer_options, minigpt.run.preference_measures
minigpt.run.defaults.DEFAULT_STEPS = 2
minigpt.run.prefer_options.STEPS.update(dpo=2, reward=2, rl=2)
minigpt.run.preference_measures.CURVE_PROMPTS = minigpt.run.preference_measures.EVALUATED = 4
import dataclasses, minigpt.text.pair_splits as pair_splits
load = pair_splits._load
pair_splits._load = lambda *given: dataclasses.replace(data := load(*given), valid=data.valid[:8])
module, *arguments = [word for word in sys.argv[1:] if word not in ("-u", "-m", "--")]  # torchrun adds -u
for option, most in (("--steps", 6), ("--warmup-steps", 1), ("--n-embd", 16)):
    if option in arguments:
        at = arguments.index(option) + 1
        arguments[at] = str(min(most, max(1, int(arguments[at]) // 20)) if option != "--n-embd" else most)
if module.endswith("train") and not {{"--resume", "--repeat", "plain.jsonl", "train.txt"}} & {{*arguments}}:
    arguments += ["--accuracy-rows", "4"]
if module.endswith("evaluate"):
    arguments += ["--limit", "4"]
if module.endswith("rate") and "prepare" in arguments:  # so that models of a few steps do not say the same
    arguments += ["--temperature", "2", "--max-new-tokens", "8"]
sys.argv = [module, *arguments]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


def commands() -> str:
    """Every command of the README's blocks, in the order in which they stand. .ci/run has those of installing, of the
    tests and of the lessons."""
    blocks = [code for language, code in re.findall(r"^```(\w*)\n(.*?)^```$", README, re.S | re.M) if not language]
    lines = [line for block in blocks for line in block.splitlines() if "-m minigpt." in line]
    return "".join(line.removeprefix("pip install -e . && ") + "\n" for line in lines)


@pytest.mark.slow
def test_every_command_runs_in_the_order_in_which_it_stands(tmp_path: Path, gpt2_folder: Path) -> None:
    """With fewer steps, the hub on loopback, and a small model in the place of the official one."""
    GPT(GPTConfig(**SMALL)).save_pretrained(tmp_path / "official")
    served = {path.name: path.read_bytes() for path in (tmp_path / "official").iterdir()}
    served |= {name: (gpt2_folder / name).read_bytes() for name in VOCABULARY}
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"
    code = PYTHON.format(small=SMALL, sha256=hashlib.sha256(served["model.safetensors"]).hexdigest())
    python.write_text(f"#!{sys.executable}\n{code}")
    python.chmod(0o755)
    torchrun = python.with_name("torchrun")
    torchrun.write_text(f"#!{sys.executable}\nfrom torch.distributed.run import main\nmain()\n")
    torchrun.chmod(0o755)
    (tmp_path / "weights" / "gpt2").mkdir(parents=True)
    for name in VOCABULARY:  # what --tokenizer gpt2 needs, before the weights are downloaded
        (tmp_path / "weights" / "gpt2" / name).write_bytes(served[name])
    rows = [{"question": f"What is {i} + {i}?", "answer": f"It is {2 * i}."} for i in range(4)]
    for name in ("train.jsonl", "test.jsonl"):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name in ("train.txt", "valid.txt"):
        (tmp_path / name).write_bytes((ROOT / "tests" / "story.txt").read_bytes())
    (tmp_path / "questions.txt").write_text("Xin chào 👋\nWho are you?\n")
    with Hub(served).serving() as hub:
        there = hub.environment(tmp_path)
        there |= {"PATH": f"{python.parent}:{there['PATH']}", "PYTHON_EXEC": str(python)}  # torchrun's own name of it
        there["CUDA_VISIBLE_DEVICES"] = ""  # two processes need two GPUs, or none
        rate = f"PYTHONPATH={ROOT} {sys.executable} -m tests.rating.raters rating.key.json"
        script = "set -euo pipefail\n" + commands().replace(SUMMARIZE, f"{rate}\n{SUMMARIZE}")
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, env=there, input="Hi\n", capture_output=True, text=True, timeout=600
        )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "weights/gpt2: " in done.stdout
    assert "Alan Turing theorized that computers would one day become" in done.stdout
    learned = ("dpo", "both", "reward", "rl", "rl-no-kl")
    trained = ("builtin-tiny-1", "train-tiny-2", "shakespeare", "plain", "mine", "short", "second")
    shared = ("two", "parts", "recomputed", "adapted")
    for name in (*trained, *learned, *shared):
        assert (tmp_path / "runs" / name / "model" / "model.safetensors").exists(), name
    rated = ("rating.html", "report.md", "votes.jsonl")
    for name in ("lengths.png", "both.png", "frontier.png", "figures.json", "contrast.json", *rated):
        assert (tmp_path / name).stat().st_size > 0, name
    assert len((tmp_path / "answers.txt").read_text("utf-8").split("\n")) == 3  # two lines, each ended
