"""What the model of --init says of itself: its shape, its tokenizer, its template."""

from pathlib import Path

from minigpt.config import GPTConfig
from minigpt.errors import UserError
from minigpt.run.options import SHAPE, Options
from minigpt.text.saved import likely_template, read_note
from minigpt.text.tokenizer import CONTROL, Tokenizer, load_tokenizer

VOCABULARY_MULTIPLE = 64  # a grown vocabulary is padded to this multiple, for a GPU's matrix units


def check_shape(options: Options, config: GPTConfig) -> None:
    """UserError if --size or a shape option says otherwise than the model of --init."""
    wanted = {}
    if options.size:
        named = GPTConfig.named(options.size)
        wanted = {name: ("--size " + options.size, getattr(named, name)) for name in SHAPE}
    for name in SHAPE:
        if (value := getattr(options, name)) is not None:
            wanted[name] = (f"--{name.replace('_', '-')} {value}", value)
    for name, (option, value) in wanted.items():
        if (own := getattr(config, name)) != value:
            raise UserError(
                f"{option}: the shape of {options.init} is fixed, and its {name} is {own}; a shape can be chosen for "
                "a model from scratch only."
            )


def tokenizer_of(folder: Path, config: GPTConfig, given: str | None) -> Tokenizer:
    """The tokenizer of a model's folder, or the one given for a model whose folder has none.

    UserError for another than the model was trained with: its ids would mean other words.
    """
    if given is None:
        return load_tokenizer(folder)
    tokenizer = load_tokenizer(given)
    try:
        own = load_tokenizer(folder)
    except UserError:
        if not -VOCABULARY_MULTIPLE * 2 < len(tokenizer) - config.tokens <= len(CONTROL):
            raise UserError(
                f"--tokenizer {given} has {len(tokenizer):,} tokens and the model in {folder} has {config.tokens:,}; "
                "it was trained with another."
            ) from None
        return tokenizer
    if any(_token_bytes(own, i) != _token_bytes(tokenizer, i) for i in range(max(len(own), len(tokenizer)))):
        raise UserError(
            f"--tokenizer {given} is not the one that the model in {folder} was trained with; leave --tokenizer out."
        )
    return own


def _token_bytes(tokenizer: Tokenizer, token: int) -> bytes | None:
    try:
        return tokenizer.token_bytes(token)
    except LookupError:
        return None


def own_template(folder: Path) -> str | None:
    """The template that a model was trained with, or that its folder's chat template looks like; None if its folder
    does not say, or it was plain text."""
    return read_note(folder)["template"] if (folder / "minigpt.json").exists() else likely_template(folder)
