"""A GPT-2 written by hand, and taught to follow instructions."""

import os

# Threads that wait for one another sleep instead of spinning. On two cores with one other busy program this is the
# difference between half the speed and a twentieth of it. It is read once, when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from minigpt.config import GPTConfig  # noqa: E402
from minigpt.model.gpt import GPT  # noqa: E402
from minigpt.sample.generation import generate  # noqa: E402
from minigpt.text.template import load_template  # noqa: E402
from minigpt.text.tokenizer import load_tokenizer  # noqa: E402

__all__ = ["GPT", "GPTConfig", "generate", "load_template", "load_tokenizer"]
__version__ = "0.1.0"
