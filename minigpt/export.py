"""`python -m minigpt.export`: write a model as one folder in Hugging Face's layout, with an adapter merged in.

Read with lesson 16.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from torch import Tensor

from minigpt import command
from minigpt.errors import UserError
from minigpt.model.gpt import GPT
from minigpt.pretrained.folder import model_folder, write_model
from minigpt.reading import read_object
from minigpt.run.adapter import adapter_folder, merged
from minigpt.text.saved import copy_text_files, has_text_files
from minigpt.text.template import save_template, template_of


@dataclass
class Options:
    """Write a model as one folder in Hugging Face's layout, for minigpt, transformers and what reads the same."""

    model: str
    """A run, a model's folder or an official size."""
    out: Path
    """The folder to write; a new one, or an empty one."""
    adapter: Path | None = None
    """The folder of an adapter, of a run with --lora-rank or from PEFT, to merge into the model."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """The type of the numbers in model.safetensors; narrower ones are rounded, and by how much is printed."""


def main(options: Options) -> None:
    check_free(options.out)
    folder = source = model_folder(options.model)
    model, its = GPT.from_pretrained(folder), None
    if options.adapter:
        its = adapter_folder(options.adapter)
        if its.resolve() == folder.resolve().parent / "adapter":
            raise UserError(f"{folder} has {its} merged in already; export it without --adapter.")
        model = merged(model, folder, its)
        source = its if has_text_files(its) else folder
    tensors, rounding = rounded(model.state_dict(), options.dtype)
    with at_once(options.out) as incoming:
        write_model(incoming, model.config, tensors)
        if its and source == its and (its / "minigpt.json").exists():  # of a run: what goes with its vocabulary
            save_template(incoming, template_of(its))
        else:
            copy_text_files(source, incoming)
        name_dtype(incoming / "config.json", options.dtype)
    what = f"{options.model} with {its} merged in" if its else options.model
    print(f"{options.out}: {what}, {model.config.parameter_count:,} parameters in {options.dtype}.")
    if rounding:
        print(rounding)


def rounded(tensors: dict[str, Tensor], dtype: str) -> tuple[dict[str, Tensor], str]:
    """The tensors in this type, and in words the largest difference that it makes, beside the number that it is of.

    UserError for a number beyond the type's range.
    """
    kind = getattr(torch, dtype)
    narrow = {name: tensor.to(kind) for name, tensor in tensors.items()}
    largest, of = 0.0, 0.0
    for name, tensor in tensors.items():
        if not narrow[name].isfinite().all():
            limit = f"{dtype} holds numbers up to {torch.finfo(kind).max:,.0f}"
            raise UserError(f"{name} has numbers up to {tensor.abs().max():.3g}, and {limit}; use --dtype bfloat16.")
        difference = (narrow[name].float() - tensor).abs().flatten()
        at = int(difference.argmax())
        if difference[at] > largest:
            largest, of = difference[at].item(), tensor.flatten()[at].abs().item()
    figure = re.sub(r"e([+-])0", r"e\1", f"{largest:.1e}")
    return narrow, f"largest rounding {figure} of {of:.2g} ({dtype})" if dtype != "float32" else ""


def name_dtype(config: Path, dtype: str) -> None:
    """Name the type of the tensors in config.json, for programs that keep them in it; minigpt widens them."""
    config.write_text(json.dumps(read_object(config) | {"dtype": dtype}, indent=2) + "\n")


def check_free(out: Path) -> None:
    """UserError if there is something at --out, but for an empty folder."""
    if os.path.lexists(out) and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f"{out} is there already; choose another --out.")


@contextmanager
def at_once(out: Path) -> Iterator[Path]:
    """A folder beside `out` to write into, which takes its place when all is written, and goes if that fails."""
    out = out.resolve()
    incoming = out.with_name(f"{out.name}.incoming")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        incoming.mkdir()
    except FileExistsError:
        raise UserError(f"{incoming} is left from an export that was cut off; remove it.") from None
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror or error}.") from None
    try:
        yield incoming
        if out.exists():
            out.rmdir()
        incoming.replace(out)
    except SafetensorError as error:
        raise UserError(f"{out} cannot be written: {error}.") from None
    finally:
        shutil.rmtree(incoming, ignore_errors=True)


def entry() -> None:
    """`python -m minigpt.export` and `minigpt export`."""
    command.run(Options, main, "export")


if __name__ == "__main__":
    entry()
