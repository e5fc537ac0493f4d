"""The initial model of a run, and a saved model with its template."""

import math
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from minigpt.config import GPTConfig
from minigpt.errors import UserError
from minigpt.model.gpt import GPT
from minigpt.model.light import Weights
from minigpt.model.low_rank import adapt, is_adapted
from minigpt.pretrained.folder import model_folder, read_config
from minigpt.ranges import check_used
from minigpt.reading import read_object
from minigpt.run.base import VOCABULARY_MULTIPLE, check_shape, own_template, tokenizer_of
from minigpt.run.device import Device, Math, choose_device, place_to_read
from minigpt.run.memory import check_weights
from minigpt.run.options import DEFAULT_SIZE, DEFAULT_TEMPLATE, SHAPE, Options, alpha_of
from minigpt.text.saved import saved_template
from minigpt.text.template import Template, load_template
from minigpt.text.tokenizer import Tokenizer, load_tokenizer


def initial_model(options: Options) -> tuple[Tokenizer, GPT]:
    """Random weights of --size, or those of the folder --init with rows added for the control tokens; with --lora-rank
    adapted, so that a low-rank change and the added rows alone are learned.

    UserError for a shape that is not possible, for one or a tokenizer that is not that of --init, and for a rank above
    the width.
    """
    torch.manual_seed(options.seed)
    dropout = {} if options.dropout is None else {"dropout": options.dropout}
    if options.init == "scratch":
        size = options.size or DEFAULT_SIZE
        tokenizer = load_tokenizer(options.tokenizer or ("bytes" if size == "tiny" else "gpt2"))
        shape = {name: value for name in SHAPE if (value := getattr(options, name)) is not None}
        bos = tokenizer.control["<|endoftext|>"]
        try:
            config = GPTConfig.named(size, vocab_size=len(tokenizer), bos_token_id=bos, **shape, **dropout)
        except ValueError as error:
            raise UserError(str(error)) from None
        check_weights(config)
        return tokenizer, GPT(config)
    folder = model_folder(options.init)
    config = read_config(folder)
    check_shape(options, config)
    check_rank(options.lora_rank, config)
    tokenizer = tokenizer_of(folder, config, None if options.tokenizer == options.init else options.tokenizer)
    model = GPT.from_pretrained(folder)
    if not (folder / "minigpt.json").exists():  # rows that no token of this model has are not our control tokens'
        limit_vocabulary(model, len(tokenizer) - tokenizer.appended)
    new_rows = max(0, len(tokenizer) - model.config.tokens)
    if new_rows:
        grow_vocabulary(model, len(tokenizer), multiple_of=VOCABULARY_MULTIPLE)
    limit_vocabulary(model, len(tokenizer))
    model.config = replace(model.config, bos_token_id=tokenizer.control["<|endoftext|>"])
    if dropout:
        set_dropout(model, **dropout)
    if options.lora_rank:
        adapt(model, options.lora_rank, alpha_of(options), new_rows, model.config.n_padding_rows)
    return tokenizer, model


def check_rank(rank: int | None, config: GPTConfig) -> None:
    """UserError for a low-rank change of no rank, or of a higher one than the maps that it changes."""
    if rank is not None and not 1 <= rank <= config.n_embd:
        raise UserError(f"--lora-rank is {rank}; it must be from 1 to {config.n_embd:,}, the width of this model.")


def initial_template(options: Options, tokenizer: Tokenizer, plain: bool = False) -> Template:
    """--template, else that of the model of --init, else ChatML; none for plain text, where UserError refuses what is
    for conversations."""
    if plain:
        check_used(options, ["template", "accuracy_rows", "pretrain_steps"], "on plain text, which is all supervised")
        return load_template(None, tokenizer)
    own = None if options.init == "scratch" else own_template(model_folder(options.init))
    return load_template(options.template or own or DEFAULT_TEMPLATE, tokenizer)


def notes(options: Options, test: int) -> str:
    """Lines about options that do not have the effect that one may expect. `test` is how many rows can be answered."""
    lines = ""
    if options.init != "scratch":
        folder = model_folder(options.init)
        own = own_template(folder)
        if own != options.template and (own or (folder / "minigpt.json").exists()):
            was, now = (f"the template {name}" if name else "plain text" for name in (own, options.template))
            lines += f"        {options.init} was trained with {was}, this run with {now}\n"
    if options.accuracy_rows and options.accuracy_rows > test:
        lines += f"        --accuracy-rows is {options.accuracy_rows:,}, and {test:,} held-out rows can be answered\n"
    return lines


def adapter_in_words(options: Options, model: GPT) -> str:
    """A line on what is learned of an adapted model; nothing for one that is learned whole."""
    if not is_adapted(model):
        return ""
    learned = sum(p.numel() for p in model.parameters() if p.requires_grad)
    rows = f", the rows of {len(model.wte.new):,} new tokens among them" if hasattr(model.wte, "new") else ""
    return f"adapter rank {options.lora_rank:,}, alpha {options.lora_alpha:g}: {learned:,} numbers are learned{rows}\n"


def longest_row(max_length: int | None, n_ctx: int) -> int:
    """T_max: --max-length, else the model's context. UserError if it exceeds that."""
    if max_length is not None and max_length > n_ctx:
        raise UserError(f"--max-length is {max_length:,}, and the model's context holds {n_ctx:,} tokens.")
    return max_length or n_ctx


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
        names = ("init", "seed") if values.get("command") == "prefer" else ("init", "size", "tokenizer", "seed")
        needed = {name: values[name] for name in names}
        later = {name: values.get(name) for name in ("dropout", *SHAPE)}  # not in the options.json of earlier versions
        return initial_model(Options(**needed, **later))[1]
    except UserError as error:
        return f"not available: {error}"
    except (ValueError, KeyError, TypeError):
        return f"not available; {path} does not hold a run's options."


def load_with_tokenizer(
    name: str | Path, device: Device = "cpu", math: Math = "auto", weights: Weights = "float32", compiled: bool = False
) -> tuple[GPT, Tokenizer]:
    """The model of an official size, a run or a folder, by `place_to_read`, and its tokenizer.

    Of a run that is not finished it is the last checkpoint's. UserError if the folder does not hold a complete model,
    or the device is not available.
    """
    folder = model_folder(name)
    where = choose_device(device)
    model = place_to_read(GPT.from_pretrained(folder), where, math, weights, compiled)
    tokenizer = load_tokenizer(folder)
    limit_vocabulary(model, len(tokenizer) - tokenizer.appended)
    model.config = replace(model.config, bos_token_id=tokenizer.control["<|endoftext|>"])
    return model, tokenizer


def load_model(
    name: str | Path,
    template_name: str | None = None,
    device: Device = "cpu",
    math: Math = "auto",
    weights: Weights = "float32",
    compiled: bool = False,
) -> tuple[GPT, Template]:
    """The model and tokenizer of `load_with_tokenizer`, with the template: the one named, else the model's own."""
    folder = model_folder(name)
    model, tokenizer = load_with_tokenizer(folder, device, math, weights, compiled)
    return model, load_template(template_name or saved_template(folder), tokenizer)
