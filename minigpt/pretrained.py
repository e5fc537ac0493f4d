"""A model's folder in Hugging Face's GPT-2 layout: config.json and model.safetensors, in and out. Read with lesson 06.

It deals in names and tensors alone, so `GPT` can be built upon it (`GPT.from_pretrained`, `GPT.save_pretrained`).
"""

import json
import re
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from minigpt.config import SIZES, GPTConfig
from minigpt.errors import UserError

WEIGHTS = Path("weights")  # where the official models lie, one folder a size
NAMES = ("vocab_size", "n_embd", "n_head", "n_layer", "layer_norm_epsilon", "bos_token_id")
# What makes a GPT-2 of a config.json; each may be absent, which means the same.
GPT2_ONLY = {
    "model_type": ("gpt2",),
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),  # two names of the tanh form
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
    "tie_word_embeddings": (True,),
}
# The causal mask, which older files carry as tensors.
MASK = re.compile(r"h\.\d+\.attn\.(masked_)?bias$")


def model_folder(name: str | Path) -> Path:
    """Where a model lies: `weights/<name>` for an official size, model/ in a run's folder, else the folder itself.

    UserError where there is none.
    """
    folder = WEIGHTS / name if str(name) in SIZES and not Path(name).is_dir() else Path(name)
    if not (folder / "config.json").exists() and (folder / "model" / "config.json").exists():
        folder = folder / "model"
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}; a model is a folder with config.json and model.safetensors.")
    return folder


def read_config(folder: Path) -> GPTConfig:
    """The shape in config.json; UserError for a file that cannot be read or does not describe a GPT-2."""
    path = folder / "config.json"
    try:
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}.") from None
    if not isinstance(values, dict):
        raise UserError(f"{path} is not a JSON object.")
    for name, allowed in GPT2_ONLY.items():
        if name in values and values[name] not in allowed:
            raise UserError(f"{path} is not of a GPT-2: {name} is {values[name]!r}.")
    chosen = {name: values[name] for name in NAMES if name in values}
    for name, key in (("n_ctx", "n_positions"), ("dropout", "resid_pdrop")):
        if key in values:
            chosen[name] = values[key]
    try:
        config = GPTConfig(**chosen)
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: {error}") from None
    if values.get("n_inner") not in (None, 4 * config.n_embd):
        raise UserError(f"{path}: n_inner is {values['n_inner']}; GPT-2's MLP is 4 n_embd wide.")
    return config


def read_tensors(folder: Path, expected: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of model.safetensors under the names of `expected`, in float32.

    With or without the prefix "transformer."; mask buffers are left out, and a head must equal the embedding that it
    is tied to. UserError naming the tensors that are missing, unknown or of another shape.
    """
    path = folder / "model.safetensors"
    try:
        found = load_file(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from None
    except SafetensorError as error:
        raise UserError(f"{path} is not a whole safetensors file: {error}.") from None
    tensors = {name.removeprefix("transformer."): tensor for name, tensor in found.items()}
    tensors = {name: tensor for name, tensor in tensors.items() if not MASK.match(name)}
    head = tensors.pop("lm_head.weight", None)
    if head is not None and not torch.equal(head, tensors.get("wte.weight", head)):
        raise UserError(f"{path}: lm_head.weight differs from wte.weight; a GPT-2's head is its embedding.")
    for problem, names in (
        ("lacks", expected.keys() - tensors.keys()),
        ("has the unknown", tensors.keys() - expected.keys()),
    ):
        if names:
            raise UserError(f"{path} {problem} {_listed(names)}.")
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            raise UserError(
                f"{path}: {name} is {list(tensor.shape)}; config.json makes it {list(expected[name].shape)}."
            )
    return {name: tensor.float() for name, tensor in tensors.items()}


def write_model(folder: Path, config: GPTConfig, tensors: dict[str, Tensor]) -> None:
    """config.json and model.safetensors, as transformers.GPT2LMHeadModel.from_pretrained reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "activation_function": "gelu_new"}
    values |= {name: getattr(config, name) for name in NAMES}
    values |= {"n_positions": config.n_ctx, "n_ctx": config.n_ctx, "eos_token_id": config.bos_token_id}
    values |= dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), config.dropout)
    (folder / "config.json").write_text(json.dumps(values, indent=2) + "\n")
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(whole, folder / "model.safetensors", metadata={"format": "pt"})


def _listed(names: set[str], most: int = 5) -> str:
    shown = ", ".join(sorted(names)[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
