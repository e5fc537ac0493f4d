"""What the README shows is so."""

import hashlib
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from minigpt import GPT, GPTConfig, command, load_template, load_tokenizer
from minigpt.pretrained.official import VOCABULARY
from minigpt.text.template import save_template
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
    if "--help" not in args:
        command.parse(importlib.import_module(f"minigpt.{name}").Options, name, args)


def test_every_file_it_links_to_is_there():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


SMALL = dict(n_embd=32, n_head=2, n_layer=2)  # in the place of the official size's
# `python` for the README's commands: as it is, but for the official size and the SHA-256 of its tensors.
PYTHON = """
import runpy, sys
import minigpt.config, minigpt.pretrained.official
minigpt.config.SIZES["gpt2"] = {small}
minigpt.pretrained.official.TENSORS["gpt2"] = {sha256!r}
name, sys.argv = sys.argv[2], sys.argv[2:]
runpy.run_module(name, run_name="__main__", alter_sys=True)
"""


def section(title: str) -> str:
    """The commands of one section, as they are written."""
    text = README.split(f"## {title}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"```\n(.*?)```", text, re.S)
    return "".join(block for block in blocks if "python -m" in block)


@pytest.mark.slow
def test_downloading_fine_tuning_and_talking_run_as_they_are_written(tmp_path: Path, gpt2_folder: Path) -> None:
    """With the hub on loopback, and a small model in the place of the official one."""
    GPT(GPTConfig(**SMALL)).save_pretrained(tmp_path / "official")
    served = {path.name: path.read_bytes() for path in (tmp_path / "official").iterdir()}
    served |= {name: (gpt2_folder / name).read_bytes() for name in VOCABULARY}
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"
    code = PYTHON.format(small=SMALL, sha256=hashlib.sha256(served["model.safetensors"]).hexdigest())
    python.write_text(f"#!{sys.executable}\n{code}")
    python.chmod(0o755)
    run = tmp_path / "runs" / "builtin-tiny-1" / "model"  # as the main job leaves it
    GPT(GPTConfig.named("tiny")).save_pretrained(run)
    save_template(run, load_template("chatml", load_tokenizer("bytes")))
    rows = [{"question": f"What is {i} + {i}?", "answer": f"It is {2 * i}."} for i in range(4)]
    for name in ("train.jsonl", "test.jsonl"):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "questions.txt").write_text("Xin chào 👋\nWho are you?\n")
    titles = "Use the official weights", "Fine-tune GPT-2 on your data", "Talk to it"
    script = "set -euo pipefail\n" + "".join(map(section, titles))
    with Hub(served).serving() as hub:
        there = hub.environment(tmp_path)
        there["PATH"] = f"{python.parent}:{there['PATH']}"
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, env=there, input="Hi\n", capture_output=True, text=True, timeout=300
        )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "weights/gpt2: " in done.stdout
    assert "Alan Turing theorized that computers would one day become" in done.stdout
    assert (tmp_path / "runs" / "mine" / "model" / "model.safetensors").exists()
    assert len((tmp_path / "answers.txt").read_text("utf-8").split("\n")) == 3  # two lines, each ended
