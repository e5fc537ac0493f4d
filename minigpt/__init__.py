"""A GPT-2 written by hand, and taught to follow instructions."""

from importlib import import_module

from minigpt import processor  # noqa: F401 - first: it sets what torch reads when it is imported
from minigpt.config import GPTConfig
from minigpt.measure.attention import attention_weights
from minigpt.model.gpt import GPT
from minigpt.sample.generation import generate
from minigpt.text.template import load_template
from minigpt.text.tokenizer import load_tokenizer

# Imported when first used: what a notebook needs beside a model, its tokenizer and its template.
LATER = {
    "minigpt.config": ("SIZES",),
    "minigpt.errors": ("UserError",),
    "minigpt.learn.loss": ("perplexity", "response_nll", "token_nll"),
    "minigpt.learn.optimizer": ("SGD", "Adam", "AdamW", "decay_groups"),
    "minigpt.learn.schedule": ("warmup_then_decay",),
    "minigpt.learn.trainer": ("Recipe", "Trainer"),
    "minigpt.measure.accuracy": ("answer", "exact_match"),
    "minigpt.measure.perplexity": ("response_loss", "row_losses"),
    "minigpt.run.start": ("load_model",),
    "minigpt.sample.generation": ("generate_batch", "stream"),
    "minigpt.sample.sampling": ("Sampling",),
    "minigpt.text.examples": ("Example", "encode_within"),
    "minigpt.text.records": ("Conversation", "read_conversations", "read_row"),
    "minigpt.text.splits": ("load_data",),
    "minigpt.text.template": ("save_template", "template_of"),
}
_HOME = {name: module for module, names in LATER.items() for name in names}

__all__ = [
    "GPT", "GPTConfig", "attention_weights", "generate", "load_template", "load_tokenizer", *_HOME,
]  # fmt: skip
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
