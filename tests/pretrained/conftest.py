"""A model with few tokens and an adapter of it."""

from pathlib import Path

import pytest
import torch

from minigpt import GPT, GPTConfig
from minigpt.model.low_rank import adapter_of
from minigpt.pretrained.adapter import write_peft
from tests.pretrained.adapters import NEW, OLD, learned, randomize


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small model over 300 tokens, of weights large enough that every part of it matters."""
    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=OLD, n_ctx=64, n_embd=48, n_head=4, n_layer=2, bos_token_id=0))
    randomize(model, 0.1)
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def adapter(base: Path, tmp_path: Path) -> Path:
    """A good adapter with three new tokens."""
    write_peft(tmp_path / "mine", adapter_of(learned(base, NEW), "gpt2"))
    return tmp_path / "mine"
