"""Read and write a folder in Hugging Face's GPT-2 layout: config.json, model.safetensors. Read with lesson 06.

It handles only names and tensors, so that `GPT` can use it (`GPT.from_pretrained`, `GPT.save_pretrained`).
"""

import json
import pickle
import re
import struct
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from minigpt.config import GPTConfig
from minigpt.errors import UserError
from minigpt.pretrained.official import TENSORS, WEIGHTS, fetch
from minigpt.reading import read_object, sha256

NAMES = ("vocab_size", "n_embd", "n_head", "n_layer", "layer_norm_epsilon", "bos_token_id", "n_padding_rows")
# The config.json values that GPT-2 requires; a missing one has the required value by default.
GPT2_ONLY = {
    "model_type": ("gpt2",),
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),  # two names of the tanh form
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
    "tie_word_embeddings": (True,),
}
# The files that may hold the tensors, in the order of search. A pickle is read as tensors only, never executed.
FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
# What torch.load raises for a damaged file: its unpickler trusts the file's structure.
DAMAGED = (
    pickle.UnpicklingError, struct.error, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError,
    ArithmeticError, AssertionError,
)  # fmt: skip
# The causal mask, which older files store as tensors.
MASK = re.compile(r"h\.\d+\.attn\.(masked_)?bias$")


def model_folder(name: str | Path) -> Path:
    """A model's folder: `weights/<name>` for an official size, model/ in a run's folder, else the folder itself.

    A missing official size is downloaded. UserError if the folder does not exist.
    """
    folder = Path(name)
    if str(name) in TENSORS and not folder.is_dir():
        folder = WEIGHTS / name
        if not (folder / "config.json").exists() or not any((folder / file).exists() for file in FILES):
            fetch(str(name))
    if not (folder / "config.json").exists() and (folder / "model" / "config.json").exists():
        folder = folder / "model"
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}; a model is a folder with config.json and model.safetensors.")
    return folder


def weights_sha256(name: str | Path) -> dict[str, str]:
    """SHA-256 of each file that holds a model's tensors."""
    folder = model_folder(name)
    files = sorted(path for path in folder.iterdir() if path.suffix in (".safetensors", ".bin"))
    return {str(path): sha256(path) for path in files}


def read_config(folder: Path) -> GPTConfig:
    """The shape in config.json; UserError for a file that cannot be read or does not describe a GPT-2."""
    path = folder / "config.json"
    values = read_object(path)
    for name, allowed in GPT2_ONLY.items():
        if name in values and values[name] not in allowed:
            raise UserError(f"{path} does not describe a GPT-2: {name} is {values[name]!r}.")
    chosen = {name: values[name] for name in NAMES if name in values}
    # "unused" is the key that earlier versions of minigpt wrote.
    for name, key in (("n_ctx", "n_positions"), ("dropout", "resid_pdrop"), ("n_padding_rows", "unused")):
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
    """A folder's tensors under the names of `expected`, in float32, from the first of FILES that exists.

    With or without the prefix "transformer."; mask buffers are skipped, and a head must equal the embedding that it is
    tied to. UserError naming the tensors that are missing, unknown or of another shape.
    """
    path, found = _open(folder)
    tensors = {name.removeprefix("transformer."): read for name, read in found.items()}
    tensors = {name: read for name, read in tensors.items() if not MASK.match(name)}
    head = tensors.pop("lm_head.weight", None)
    if head and "wte.weight" in tensors and not torch.equal(head(), tensors["wte.weight"]()):
        raise UserError(f"{path}: lm_head.weight differs from wte.weight; a GPT-2's head is its embedding.")
    for problem, names in (
        ("lacks", expected.keys() - tensors.keys()),
        ("has the unexpected", tensors.keys() - expected.keys()),
    ):
        if names:
            raise UserError(f"{path} {problem} {_listed(names)}.")
    loaded = {}
    for name in expected:
        tensor = tensors.pop(name)()
        if tensor.shape != expected[name].shape:
            raise UserError(
                f"{path}: {name} has shape {list(tensor.shape)}; config.json requires {list(expected[name].shape)}."
            )
        if not tensor.is_floating_point():
            raise UserError(f"{path}: {name} has type {tensor.dtype}; weights must be floating-point numbers.")
        loaded[name] = tensor.float()
    return loaded


def _open(folder: Path) -> tuple[Path, dict[str, Callable[[], Tensor]]]:
    """The file that lists a folder's tensors, and for each of them a function that reads it.

    One file, or the several that an index names; safetensors before pickles.
    """
    path = next((folder / file for file in FILES if (folder / file).exists()), folder / FILES[0])
    if not path.name.endswith(".index.json"):
        return path, _open_file(path)
    try:
        where = json.loads(path.read_bytes())["weight_map"]
        files = sorted(set(where.values()))
        outside = next((file for file in files if Path(file).name != file), None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not an index of sharded weights ({type(error).__name__}: {error}).") from None
    if outside is not None:
        raise UserError(f"{path} names {outside!r}; a model's files must be in its folder.")
    found: dict[str, Callable[[], Tensor]] = {}
    for file in files:
        for name, read in _open_file(folder / file).items():
            if where.get(name) != file:
                raise UserError(f"{folder / file} contains {name}, which {path.name} does not list there.")
            found[name] = read
    if missing := where.keys() - found.keys():
        raise UserError(f"The files that {path} names lack {_listed(missing)}.")
    return path, found


def _open_file(path: Path) -> dict[str, Callable[[], Tensor]]:
    try:
        if path.suffix != ".safetensors":
            tensors = torch.load(path, map_location="cpu", weights_only=True)
            if not isinstance(tensors, dict) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
                raise UserError(f"{path} does not contain tensors by name.")
            return {name: lambda name=name: tensors[name] for name in tensors}
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from None
    except SafetensorError as error:
        raise UserError(f"{path} is not a complete safetensors file: {error}.") from None
    except DAMAGED:
        raise UserError(
            f"{path} is incomplete, or contains something other than tensors; that could run as code, so the file is "
            "not read."
        ) from None

    def read(name: str) -> Tensor:
        # Opened again for each tensor: a float32 tensor is the file's own pages, not a copy, and a half-precision one
        # releases its pages as soon as it is converted.
        with safe_open(path, framework="pt") as file:
            return file.get_tensor(name)

    return {name: lambda name=name: read(name) for name in names}


def write_model(folder: Path, config: GPTConfig, tensors: dict[str, Tensor]) -> None:
    """Write config.json and model.safetensors, as transformers.GPT2LMHeadModel.from_pretrained reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "activation_function": "gelu_new"}
    values |= {name: getattr(config, name) for name in NAMES}
    values |= {"n_positions": config.n_ctx, "n_ctx": config.n_ctx, "eos_token_id": config.bos_token_id}
    values |= dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), config.dropout)
    (folder / "config.json").write_text(json.dumps(values, indent=2) + "\n")
    saved = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # Under another name first: the tensors may be pages of the very file that they replace.
    incoming = folder / "model.safetensors.incoming"
    save_file(saved, incoming, metadata={"format": "pt"})
    incoming.replace(folder / "model.safetensors")


def _listed(names: set[str], most: int = 5) -> str:
    shown = ", ".join(sorted(names)[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
