"""What the README shows is so."""

import importlib
import re
from pathlib import Path

import pytest

from minigpt import command

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def test_its_python_runs_and_the_prompt_begins_the_training_ids():
    (code,) = re.findall(r"```python\n(.*?)```", README, re.S)
    names: dict[str, object] = {}
    exec(code, names)
    assert names["logits"].shape == (1, 2, 260)
    assert names["ids"][: len(names["prompt"])] == names["prompt"]
    assert isinstance(names["answer"], str)


@pytest.mark.parametrize("line", re.findall(r"python -m minigpt\.(\w+ .*?)(?:`|\s+#|\n)", README))
def test_every_command_it_names_takes_the_options_it_shows(line):
    name, *args = re.findall(r'"[^"]*"|\S+', line)
    if "--help" not in args:
        command.parse(importlib.import_module(f"minigpt.{name}").Options, name, args)


def test_every_file_it_links_to_is_there():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
