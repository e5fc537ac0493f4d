"""A GPT-2 written by hand, and taught to follow instructions."""

from minigpt import processor  # noqa: F401 - first: it sets what torch reads when it is imported
from minigpt.config import GPTConfig
from minigpt.measure.attention import attention_weights
from minigpt.model.gpt import GPT
from minigpt.sample.generation import generate
from minigpt.text.template import load_template
from minigpt.text.tokenizer import load_tokenizer

__all__ = ["GPT", "GPTConfig", "attention_weights", "generate", "load_template", "load_tokenizer"]
__version__ = "0.1.0"
