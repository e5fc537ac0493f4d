"""Loading holds each tensor once, or a large model would not fit where it fits."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from minigpt import GPT, GPTConfig

pytestmark = pytest.mark.slow

# What a fresh process holds at the most while it loads and reads every tensor, less what it held before: bytes.
CODE = """
import sys
from minigpt import GPT

def held(name):
    with open("/proc/self/status") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith(name + ":"))

before = held("VmRSS")
model = GPT.from_pretrained(sys.argv[1])
for parameter in model.parameters():
    parameter.sum()
print(held("VmHWM") - before)
"""


# What a process holds beyond a run's tensors, as a share of them, while it saves and loads these.
RESUME = """
import sys
from pathlib import Path
from minigpt import GPT, GPTConfig
from minigpt.learn.trainer import Recipe, Trainer
from minigpt.run.checkpoint import learned, load_checkpoint, save_checkpoint

def held(name):
    with open("/proc/self/status") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith(name + ":"))

recipe = Recipe(steps=1, batch_size=1, micro_batch_size=1, lr=1e-3, warmup_steps=1)
trainer = Trainer(GPT(GPTConfig(vocab_size=257, n_embd=256, n_head=4, n_layer=24, bos_token_id=256)), [], recipe)
tensors = list(learned(trainer).values())
for tensor in tensors:
    tensor.fill_(1.0)
before = held("VmHWM")
save_checkpoint(Path(sys.argv[1]), trainer)
load_checkpoint(Path(sys.argv[1]), trainer)
print((held("VmHWM") - before) / sum(tensor.nbytes for tensor in tensors))
assert "torch.distributed.checkpoint" not in sys.modules
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc (Linux)")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_loading_takes_little_more_memory_than_the_tensors(tmp_path: Path, dtype: torch.dtype) -> None:
    """In float32, in which the model computes, whatever the file holds."""
    model = GPT(GPTConfig(n_embd=1024, n_head=16, n_layer=2))
    model.save_pretrained(tmp_path)
    if dtype != torch.float32:
        file = tmp_path / "model.safetensors"
        save_file({name: tensor.to(dtype) for name, tensor in load_file(file).items()}, file)
    ratio = printed(CODE, tmp_path) / (4 * model.config.parameter_count)
    print(f"{ratio:.2f} times the tensors' bytes")
    assert ratio <= 1.2


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc (Linux)")
def test_a_checkpoint_is_written_from_and_read_into_the_tensors_that_are_there(tmp_path: Path) -> None:
    """One of 870 at a time is held twice, where it is."""
    ratio = printed(RESUME, tmp_path)
    print(f"{ratio:.2f} times the tensors' bytes")
    assert ratio <= 0.25


def printed(code: str, folder: Path) -> float:
    command = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=120, check=True
    )
    return float(done.stdout)
