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


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc (Linux)")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_loading_takes_little_more_memory_than_the_tensors(tmp_path: Path, dtype: torch.dtype) -> None:
    """In float32, in which the model computes, whatever the file holds."""
    model = GPT(GPTConfig(n_embd=1024, n_head=16, n_layer=2))
    model.save_pretrained(tmp_path)
    if dtype != torch.float32:
        file = tmp_path / "model.safetensors"
        save_file({name: tensor.to(dtype) for name, tensor in load_file(file).items()}, file)
    command = [sys.executable, "-c", CODE, str(tmp_path)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=120, check=True
    )
    ratio = int(done.stdout) / (4 * model.config.parameter_count)
    print(f"{ratio:.2f} times the tensors' bytes")
    assert ratio <= 1.2
