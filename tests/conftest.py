"""What many tests need."""

import os
import signal
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # before its library is imported: no test asks the real hub for anything
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"  # a worker a core, and so for the processes that a test starts

if hasattr(signal, "SIGHUP"):  # nohup ignores it, and so would every run that a test interrupts
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

import minigpt  # noqa: F401, I001 - before torch, as the commands import it
import pytest
import torch
from hypothesis import settings

from minigpt import GPT, GPTConfig, load_tokenizer
from minigpt.text.tokenizer import Tokenizer
from tests import gpt2_vocabulary


settings.register_profile("any machine", deadline=None)  # a busy one is slow, not wrong
settings.load_profile("any machine")
HERE = Path(__file__).parent
SLOW = {HERE / "commands", HERE / "lessons"}  # whole commands, and what the lessons say
SHARED = ("run", "short", "once")  # runs that several tests only read


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `-m "not slow"` leaves out; a shared run is made once if the tests that read it stay in one process."""
    for item in items:
        if SLOW & {*item.path.parents} or item.path.name == "README.md":
            item.add_marker(pytest.mark.slow)
        if shared := [name for name in SHARED if name in getattr(item, "fixturenames", ())]:
            item.add_marker(pytest.mark.xdist_group(shared[0]))


@pytest.fixture(scope="session")
def gpt2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with GPT-2's vocab.json and merges.txt."""
    return gpt2_vocabulary.write(tmp_path_factory.mktemp("gpt2"))


@pytest.fixture(scope="session")
def gpt2_tokenizer(gpt2_folder: Path) -> Tokenizer:
    return load_tokenizer(gpt2_folder)


def two_layers() -> GPT:
    """A small model over the byte tokens, with weights large enough that every part of it matters."""
    torch.manual_seed(0)
    model = GPT(GPTConfig.named("tiny", n_ctx=64, n_embd=32, n_head=4, n_layer=2)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def only_says_a(model: GPT) -> GPT:
    """A model whose last hidden vector is always the embedding of the letter a."""
    with torch.no_grad():
        model.ln_f.weight.zero_()
        model.ln_f.bias.copy_(1e4 * model.wte.weight[ord("a")])
    return model


@pytest.fixture
def small_model() -> GPT:
    """One to change: every test gets its own."""
    return two_layers()
