"""The initial model of a run, and a saved model with its template."""

import math
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from minigpt.config import GPTConfig
from minigpt.errors import UserError
from minigpt.model.gpt import GPT
from minigpt.pretrained.folder import model_folder, read_config
from minigpt.reading import read_object
from minigpt.run.device import Device, Math, choose_device, place
from minigpt.run.options import SHAPE, Options
from minigpt.text.template import Template, template_of
from minigpt.text.tokenizer import Tokenizer, load_tokenizer

VOCABULARY_MULTIPLE = 64  # a grown vocabulary is padded to this multiple, for a GPU's matrix units


def initial_model(options: Options) -> tuple[Tokenizer, GPT]:
    """Random weights of --size, or those of the folder --init with rows added for the control tokens.

    UserError for a shape that is not possible.
    """
    torch.manual_seed(options.seed)
    given, dropout = options.tokenizer, {} if options.dropout is None else {"dropout": options.dropout}
    if options.init == "scratch":
        tokenizer = load_tokenizer(given or ("bytes" if options.size == "tiny" else "gpt2"))
        shape = {name: value for name in SHAPE if (value := getattr(options, name)) is not None}
        bos = tokenizer.control["<|endoftext|>"]
        try:
            config = GPTConfig.named(options.size, vocab_size=len(tokenizer), bos_token_id=bos, **shape, **dropout)
        except ValueError as error:
            raise UserError(str(error)) from None
        return tokenizer, GPT(config)
    folder = model_folder(options.init)
    tokenizer = load_tokenizer(folder if given in (None, options.init) else given)
    model = GPT.from_pretrained(folder)
    if model.config.tokens < len(tokenizer):
        grow_vocabulary(model, len(tokenizer), multiple_of=VOCABULARY_MULTIPLE)
    limit_vocabulary(model, len(tokenizer))
    if dropout:
        set_dropout(model, **dropout)
    return tokenizer, model


def set_dropout(model: GPT, dropout: float) -> None:
    """Drop this share of activations in training from now on."""
    model.config = replace(model.config, dropout=dropout)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = dropout


def grow_vocabulary(model: GPT, tokens: int, multiple_of: int = 1) -> None:
    """Add rows for new tokens to the embedding, each the mean of the old ones.

    The head is tied, so random rows would take probability from the start; the mean scores as an average token.
    The logits of the old tokens stay as they are. Rows beyond `tokens`, up to a multiple of `multiple_of`, are
    padding for matrix kernels: no tokenizer produces them, and they are never sampled.
    """
    old = model.wte.weight.detach()[: model.config.tokens]
    if tokens < len(old):
        raise ValueError(f"The vocabulary has {len(old)} tokens; it cannot grow to {tokens}.")
    rows = math.ceil(tokens / multiple_of) * multiple_of
    mean = old.mean(0, keepdim=True).expand(rows - len(old), -1)
    model.wte.weight = nn.Parameter(torch.cat([old, mean]))
    model.config = replace(model.config, vocab_size=rows, n_padding_rows=rows - tokens)


def limit_vocabulary(model: GPT, tokens: int) -> None:
    """Never sample rows of the vocabulary from `tokens` on: the tokenizer in use does not produce them."""
    padding = max(model.config.n_padding_rows, model.config.vocab_size - tokens)
    model.config = replace(model.config, n_padding_rows=padding)


def initial_model_of(folder: Path) -> GPT | str:
    """The initial model of the run whose model this folder holds, or why it is not available."""
    path = folder.parent / "options.json"
    if not path.is_file():
        return f"not available; there is no {path}."
    try:
        values = read_object(path)
        needed = {name: values[name] for name in ("init", "size", "tokenizer", "seed")}
        later = {name: values.get(name) for name in ("dropout", *SHAPE)}  # not in the options.json of earlier versions
        return initial_model(Options(**needed, **later))[1]
    except UserError as error:
        return f"not available: {error}"
    except (ValueError, KeyError, TypeError):
        return f"not available; {path} does not hold a run's options."


def load_model(
    name: str | Path, template_name: str | None = None, device: Device = "cpu", math: Math = "auto"
) -> tuple[GPT, Template]:
    """The model of an official size, a run or a folder, on its device, and its template with its tokenizer.

    The template is the one named, else the one that the model was trained with. UserError if the folder does not hold
    a complete model, or the device is not available.
    """
    folder = model_folder(name)
    where = choose_device(device)
    read_config(folder)  # a folder without a model is reported as that, not by what else it lacks
    template = template_of(folder, template_name)
    model = place(GPT.from_pretrained(folder), where, math)
    limit_vocabulary(model, len(template.tokenizer))
    return model, template
