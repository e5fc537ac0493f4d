"""A GPT-2 written by hand, and taught to follow instructions."""

import os

# Threads that wait for one another sleep instead of spinning. On two cores with one other busy program this is the
# difference between half the speed and a twentieth of it. It is read once, when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from minigpt.config import GPTConfig
from minigpt.model.gpt import GPT
from minigpt.sample.generation import generate
from minigpt.text.template import load_template
from minigpt.text.tokenizer import load_tokenizer

__all__ = ["GPT", "GPTConfig", "generate", "load_template", "load_tokenizer"]
__version__ = "0.1.0"
