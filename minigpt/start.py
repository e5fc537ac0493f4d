"""Where a run's weights begin, before its first step. Read with lesson 09."""

from pathlib import Path

import torch

from minigpt.config import GPTConfig
from minigpt.errors import UserError
from minigpt.model.gpt import GPT
from minigpt.pretrained import model_folder
from minigpt.reading import read_object
from minigpt.text.tokenizer import Tokenizer, load_tokenizer

VOCABULARY_MULTIPLE = 64  # what a GPU's matrix units divide a grown vocabulary by


def start(init: str, size: str, tokenizer_name: str | None, seed: int) -> tuple[Tokenizer, GPT]:
    """Random weights of the size asked for, or those of the folder `init` with room made for the control tokens."""
    torch.manual_seed(seed)
    if init == "scratch":
        tokenizer = load_tokenizer(tokenizer_name or ("bytes" if size == "tiny" else "gpt2"))
        bos = tokenizer.control["<|endoftext|>"]
        return tokenizer, GPT(GPTConfig.named(size, vocab_size=len(tokenizer), bos_token_id=bos))
    folder = model_folder(init)
    tokenizer = load_tokenizer(folder if tokenizer_name in (None, init) else tokenizer_name)
    model = GPT.from_pretrained(folder)
    if model.config.tokens < len(tokenizer):
        model.grow(len(tokenizer), multiple_of=VOCABULARY_MULTIPLE)
    model.use_only(len(tokenizer))
    return tokenizer, model


def start_of(folder: Path) -> GPT | str:
    """What the model in a run's folder was before its first step, or why that cannot be known."""
    path = folder.parent / "options.json"
    if not path.is_file():
        return f"not known; there is no {path}."
    try:
        values = read_object(path)
        return start(*(values[name] for name in ("init", "size", "tokenizer", "seed")))[1]
    except UserError as error:
        return f"not to be had: {error}"
    except (ValueError, KeyError, TypeError):
        return f"not known; {path} does not hold a run's options."
