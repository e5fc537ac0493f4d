"""The adapter of a run or of another program: written beside a run's model, and put into the model it began from."""

import contextlib
from dataclasses import replace
from pathlib import Path

from minigpt.errors import UserError
from minigpt.model.gpt import GPT
from minigpt.model.low_rank import adapter_of, merge, put
from minigpt.pretrained.adapter import CONFIG, Adapter, check_fits, read_peft, write_peft
from minigpt.run.base import VOCABULARY_MULTIPLE
from minigpt.run.start import grow_vocabulary, limit_vocabulary
from minigpt.text.template import Template, save_template
from minigpt.text.tokenizer import load_tokenizer


def write_adapter(folder: Path, model: GPT, base: str, template: Template) -> None:
    """Write the adapter of an adapted model with PEFT's two files, and what its tokens and its template are."""
    write_peft(folder, adapter_of(model, base))
    save_template(folder, template)


def adapter_folder(named: Path) -> Path:
    """The folder of the adapter: itself, or adapter/ of a run."""
    return named / "adapter" if (named / "adapter" / CONFIG).exists() else named


def merged(model: GPT, folder: Path, its: Path) -> GPT:
    """The plain model of this folder with the adapter in the folder `its`; its vocabulary grows by tokens it lacks.

    UserError for an adapter that cannot be read, or is of another model.
    """
    adapter = read_peft(its)
    check_fits(its, adapter, {name: tensor.shape for name, tensor in model.state_dict().items()})
    with contextlib.suppress(UserError):  # a folder without a vocabulary: each of its rows may be a token's
        tokenizer = load_tokenizer(folder)
        limit_vocabulary(model, len(tokenizer) - tokenizer.appended)
    make_room(model, adapter, its)
    return merge(put(adapter, model))


def make_room(model: GPT, adapter: Adapter, its: Path) -> None:
    """Give the model's vocabulary the tokens of the adapter. UserError if there are rows between that none has."""
    known, V = model.config.tokens, model.config.vocab_size
    tokens = max([known, *(token + 1 for token in adapter.tokens)])
    if adapter.table is not None:
        V = len(adapter.table)
        if tokens > V:
            raise UserError(f"{its} does not fit: its embedding has {V:,} rows and this model {known:,} tokens.")
        model.config = replace(model.config, vocab_size=V, n_padding_rows=V - tokens if adapter.tokens else 0)
    elif tokens > known and tokens - known == sum(token >= known for token in adapter.tokens):
        grow_vocabulary(model, tokens, multiple_of=VOCABULARY_MULTIPLE)  # as training lets it grow
    elif tokens <= V:
        model.config = replace(model.config, n_padding_rows=V - tokens)
    else:
        has = f"it has the row of token {tokens - 1:,}, not of all before it, and this model has {known:,} tokens"
        raise UserError(f"{its} does not fit: {has}.")
