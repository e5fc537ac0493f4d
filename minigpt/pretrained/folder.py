"""Read and write a folder in Hugging Face's GPT-2 layout: config.json, model.safetensors. Read with lesson 06.

It handles only names and tensors, so that `GPT` can use it (`GPT.from_pretrained`, `GPT.save_pretrained`).
"""

import json
import math
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from minigpt.config import GPTConfig
from minigpt.errors import UserError, warn
from minigpt.pretrained.kinds import values_of_kind
from minigpt.pretrained.locate import locate, refuse_other_formats
from minigpt.pretrained.official import TENSORS, fetch, places
from minigpt.pretrained.tensor_files import listed, open_tensors, tensor_file
from minigpt.reading import read_object, sha256

NAMES = ("vocab_size", "n_embd", "n_head", "n_layer", "layer_norm_epsilon", "bos_token_id", "n_padding_rows")
# Other names of the same numbers: transformers' general ones, and the key that earlier versions of minigpt wrote.
ALIASES = {
    "n_ctx": ("n_positions", "max_position_embeddings"),
    "n_embd": ("hidden_size",),
    "n_head": ("num_attention_heads",),
    "n_layer": ("num_hidden_layers",),
    "n_padding_rows": ("unused",),
    "dropout": ("resid_pdrop",),
}
# The config.json values that GPT-2 requires; a missing one has the required value by default.
GPT2_ONLY = {
    "model_type": ("gpt2",),
    "activation_function": ("gelu_new", "gelu_pytorch_tanh", "gelu_fast"),  # three names of the tanh form
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
    "tie_word_embeddings": (True,),
    "quantization_config": (None,),
}


def model_folder(name: str | Path) -> Path:
    """A model's folder: `weights/<name>` for an official size, model/ in a run's folder, else the folder itself.

    A missing official size is downloaded. UserError if the folder does not exist or holds something else.
    """
    if not isinstance(name, str | Path):
        raise UserError(f"A model is named by its folder or an official size, not by {name!r}.")
    folder = Path(name).expanduser()
    if str(name) not in TENSORS or folder.is_dir():
        return locate(folder)
    found = places(str(name))
    for place in found:
        if (place / "config.json").exists() and tensor_file(place):
            return place
    try:
        return fetch(str(name))
    except UserError as error:
        searched = " nor in ".join(map(str, found))
        raise UserError(f"The model {name} is not in {searched}. {error}") from None


def weights_sha256(name: str | Path) -> dict[str, str]:
    """SHA-256 of each file that holds a model's tensors."""
    folder = model_folder(name)
    files = {path for path in folder.iterdir() if path.suffix in (".safetensors", ".bin")}
    if listing := tensor_file(folder):
        files |= set(listing.glob("*.safetensors")) if listing.is_dir() else {listing}
    return {str(path): sha256(path) for path in sorted(files)}


def read_config(folder: Path) -> GPTConfig:
    """The shape in config.json; UserError for a file that cannot be read or does not describe a GPT-2."""
    path = folder / "config.json"
    values = read_object(path)
    for name, allowed in GPT2_ONLY.items():
        if name in values and values[name] not in allowed:
            raise UserError(f"{path} does not describe a GPT-2: {name} is {values[name]!r}.")
    chosen = {name: values[name] for name in NAMES if name in values}
    if "n_ctx" in values and "n_positions" not in values:
        chosen["n_ctx"] = values["n_ctx"]
    for name, keys in ALIASES.items():
        for key in keys:
            if key in values and chosen.setdefault(name, values[key]) != values[key]:
                raise UserError(f"{path}: {key} is {values[key]!r}, and another key gives {chosen[name]!r} for it.")
    chosen |= _special_ids(path, values)
    try:
        config = GPTConfig(**chosen)
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: {error}") from None
    if values.get("n_inner") not in (None, 4 * config.n_embd):
        raise UserError(f"{path}: n_inner is {values['n_inner']}; GPT-2's MLP is 4 n_embd wide.")
    for name in ("embd_pdrop", "attn_pdrop"):
        if values.get(name, config.dropout) != config.dropout:
            warn(f"{path}: {name} is {values[name]}; training applies resid_pdrop, {config.dropout}, everywhere.")
    return config


def _special_ids(path: Path, values: dict) -> dict[str, int | tuple[int, ...] | None]:
    """Where a text begins and ends, by config.json; a missing start is the end's id, or GPT-2's."""
    bos, eos, pad = (values.get(f"{name}_token_id") for name in ("bos", "eos", "pad"))
    for name, value in (("bos", bos), ("eos", eos), ("pad", pad)):
        ids = value if isinstance(value, list) and name == "eos" else [value]
        if any(not isinstance(one, int | None) or isinstance(one, bool) for one in ids):
            raise UserError(f"{path}: {name}_token_id is {value!r}; it must be a token's id or null.")
    eos = tuple(eos) if isinstance(eos, list) else eos
    if bos is None:
        bos = eos if isinstance(eos, int) else GPTConfig.bos_token_id
    return {"bos_token_id": bos, "eos_token_id": None if eos == bos else eos, "pad_token_id": pad}


def read_tensors(folder: Path, expected: dict[str, Tensor]) -> dict[str, Tensor]:
    """A folder's tensors under the names of `expected`, in float32.

    Other programs' prefixes and mask buffers are left out, and a head must equal the embedding that it is tied to.
    UserError naming the tensors that are missing, unknown, of another shape, or NaN or infinite.
    """
    refuse_other_formats(folder)
    path, tensors = open_tensors(folder)
    head = tensors.pop("lm_head.weight", None)
    if head:  # of two tied tensors some programs save this one alone
        tensors.setdefault("wte.weight", head)
    if score := tensors.pop("score", None):  # a checkpoint has a reward model's parameter, its files a matrix of a row
        tensors["score.weight"] = lambda: score()[None]
    for problem, names in (
        ("lacks", expected.keys() - tensors.keys()),
        ("has the unexpected", tensors.keys() - expected.keys()),
    ):
        if names:
            raise UserError(f"{path} {problem} {listed(names)}.")
    loaded = {}
    for name in expected:
        tensor = tensors.pop(name)()
        if tensor.shape != expected[name].shape:
            swapped = tensor.shape == expected[name].shape[::-1]
            order = " is transposed, as torch.nn.Linear and nanoGPT have it:" if swapped else ":"
            raise UserError(
                f"{path}{order} {name} has shape {list(tensor.shape)}; config.json requires "
                f"{list(expected[name].shape)}."
            )
        if not tensor.is_floating_point():
            raise UserError(f"{path}: {name} has type {tensor.dtype}; weights must be floating-point numbers.")
        loaded[name] = tensor.float()
    check_finite(path, loaded)
    if head and not torch.equal(head().float(), loaded["wte.weight"]):
        raise UserError(f"{path}: lm_head.weight differs from wte.weight; a GPT-2's head is its embedding.")
    return loaded


def check_finite(path: Path, tensors: dict[str, Tensor]) -> None:
    """UserError naming the first tensor with values that are NaN or infinite, and how many there are."""
    wrong = {}
    for name, tensor in tensors.items():
        if not math.isfinite(tensor.detach().sum()):  # one pass without a copy; a finite tensor's sum may overflow
            wrong[name] = tensor.numel() - int(tensor.isfinite().sum())
    if wrong := {name: n for name, n in wrong.items() if n}:
        name, n = next(iter(wrong.items()))
        n_others = len(wrong) - 1
        others = (
            f"; so {'has 1 other tensor' if n_others == 1 else f'have {n_others} other tensors'}" if n_others else ""
        )
        raise UserError(
            f"{path}: {name} has NaN or infinite values, {n:,} of {tensors[name].numel():,}{others}. The file is "
            "damaged, or its training diverged; use an earlier one."
        )


def write_config(folder: Path, config: GPTConfig, reward: bool = False) -> None:
    """Write config.json, as transformers.GPT2LMHeadModel reads it, or for a reward model
    transformers.GPT2ForSequenceClassification."""
    folder.mkdir(parents=True, exist_ok=True)
    kind = values_of_kind(config, reward)
    values = {"model_type": "gpt2", "architectures": kind["architectures"], "activation_function": "gelu_new"}
    values |= {name: getattr(config, name) for name in NAMES}
    eos = config.bos_token_id if config.eos_token_id is None else config.eos_token_id
    values |= {"n_positions": config.n_ctx, "n_ctx": config.n_ctx, "eos_token_id": eos}
    values |= dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), config.dropout)
    (folder / "config.json").write_text(json.dumps(values | kind, indent=2) + "\n")


def write_model(folder: Path, config: GPTConfig, tensors: dict[str, Tensor], reward: bool = False) -> None:
    """Write config.json and model.safetensors, as `from_pretrained` of transformers' class reads them."""
    write_config(folder, config, reward)
    write_tensors(folder / "model.safetensors", tensors, like=folder / "config.json")


def write_tensors(path: Path, tensors: dict[str, Tensor], like: Path) -> None:
    """Write a file of tensors, with the permissions of `like`."""
    saved = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # Under another name first: the tensors may be pages of the very file that they replace.
    incoming = path.with_name(f"{path.name}.incoming")
    save_file(saved, incoming, metadata={"format": "pt"})
    shutil.copymode(like, incoming)  # the library makes a file that only its owner can read
    incoming.replace(path)
