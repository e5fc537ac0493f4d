"""The reference of a model: what it is measured against."""

from dataclasses import dataclass
from pathlib import Path

from minigpt.errors import UserError
from minigpt.model.gpt import GPT
from minigpt.pretrained.folder import model_folder
from minigpt.reading import read_object
from minigpt.run.device import Math, place
from minigpt.run.start import initial_model_of, load_with_tokenizer
from minigpt.text.token_cache import tokenizer_sha256
from minigpt.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Reference:
    """A model that is not trained any more, and what it is called."""

    name: str
    model: GPT


def mark(model: GPT) -> tuple[float, ...]:
    """The sum of each of a model's tensors, by which two are known to be the same."""
    return tuple(tensor.detach().cpu().double().sum().item() for tensor in model.parameters())


def reference_of(folder: Path, named: str | None, model: GPT, tokenizer: Tokenizer, math: Math) -> Reference | str:
    """The model that --reference names, else the one that the run in `folder` started from, or why there is none.

    UserError for one of other tokens than `model` has: no divergence can be formed between the two.
    """
    if named:
        reference, its = load_with_tokenizer(named, model.device.type, math)
        if tokenizer_sha256(its) != tokenizer_sha256(tokenizer) or reference.config.tokens != model.config.tokens:
            raise UserError(
                f"--reference {named} has the tokenizer {its.name} with {reference.config.tokens:,} tokens, and "
                f"{folder} the tokenizer {tokenizer.name} with {model.config.tokens:,}; a model can be measured "
                "against one of the same tokens only."
            )
        return Reference(f"reference {model_folder(named)}", reference)
    start = initial_model_of(folder)
    if isinstance(start, str):
        return start
    init = read_object(folder.parent / "options.json")["init"]
    name = f"untrained start of {folder}" if init == "scratch" else f"reference {init}"
    return Reference(name, place(start, model.device, math).eval())


def beta_of(folder: Path) -> float | None:
    """The --beta above 0 that the run in this folder was trained with, if it has one."""
    try:
        beta = read_object(folder.parent / "options.json").get("beta")
    except UserError:
        return None
    return float(beta) if isinstance(beta, int | float) and beta > 0 else None
