"""A GPT-2 written by hand, and taught to follow instructions."""

import os

# How long GNU OpenMP's threads spin while they wait for one another before they sleep. Alone on two cores this changes
# nothing; beside one other busy program it makes a training step 5 times as fast as the default, which spins on a core
# that the other needs. Read once, when torch is first imported.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")
# Linux: large tensors in pages of 2 MiB, which a CPU run with GPT-2's vocabulary would else fault in by the 100,000.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

from minigpt.config import GPTConfig
from minigpt.model.gpt import GPT
from minigpt.sample.generation import generate
from minigpt.text.template import load_template
from minigpt.text.tokenizer import load_tokenizer

__all__ = ["GPT", "GPTConfig", "generate", "load_template", "load_tokenizer"]
__version__ = "0.1.0"
