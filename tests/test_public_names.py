"""What a notebook needs is exported, and importing the package stays as quick as before."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import minigpt


@pytest.mark.parametrize("name", minigpt.__all__)
def test_every_public_name_is_there_with_a_sentence_on_it(name: str) -> None:
    found = getattr(minigpt, name)
    assert found is not None
    assert name in dir(minigpt)
    if callable(found):
        assert found.__doc__, f"{name} has no docstring"


def test_what_is_imported_later_is_the_module_s_own() -> None:
    for module, names in minigpt.LATER.items():
        for name in names:
            assert getattr(minigpt, name) is getattr(importlib.import_module(module), name)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'minigpt' has no attribute 'nothing'"):
        _ = minigpt.nothing


def test_a_star_import_brings_all_and_a_plain_one_only_what_it_needs() -> None:
    code = (
        "import sys, minigpt; assert not {'minigpt.learn.trainer', 'minigpt.command'} & {*sys.modules}; "
        "from minigpt import *; assert AdamW and Trainer and load_model; assert callable(generate)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
