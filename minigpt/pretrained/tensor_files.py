"""Open the files that hold a model's tensors, also those that other programs write. Read with lesson 06."""

import contextlib
import json
import pickle
import re
import shlex
import struct
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from minigpt.errors import UserError, warn
from minigpt.pretrained.checkpoint_folder import checkpoints, open_checkpoint, step_of
from minigpt.reading import read_object, refuse_mistaken

# The files that may hold the tensors, in the order of search. A pickle is read as tensors only, never executed.
FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
# Other programs' files of the same suffixes that hold no model.
NOT_A_MODEL = re.compile(r"adapter_|optimizer|scheduler|scaler|rng_state|training_args")
# What torch.load raises for a damaged file: its unpickler trusts the file's structure.
DAMAGED = (
    pickle.UnpicklingError, struct.error, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError,
    ArithmeticError, AssertionError,
)  # fmt: skip
# The causal mask, which older files store as tensors.
MASK = re.compile(r"h\.\d+\.attn\.(masked_)?bias$")
# What torch.compile, FSDP and activation checkpointing put between the parts of a name.
WRAPPER = re.compile(r"\b_(orig_mod|fsdp_wrapped_module|checkpoint_wrapped_module)\.")
# The parameters that a low-rank adapter adds to a map.
ADAPTER = re.compile(r"\.[AB]$")
# What is not a part of the transformer itself; a reward model's score is a vector in a checkpoint.
HEADS = ("lm_head.weight", "score.weight", "score")
# The keys under which training programs keep a model's tensors, beside the optimizer's and others.
NESTED = ("model", "state_dict", "model_state_dict", "module")

Found = dict[str, Callable[[], Tensor]]  # for each tensor's name a function that reads it


def tensor_file(folder: Path) -> Path | None:
    """The file that lists a folder's tensors: the first of FILES, else the only other file that may be one, else for
    an unfinished run the last checkpoint; None if there is none."""
    if found := [folder / file for file in FILES if (folder / file).exists()]:
        return found[0]
    others = [path for path in folder.glob("*") if path.suffix in SUFFIXES and not NOT_A_MODEL.match(path.name)]
    return others[0] if len(others) == 1 else last_checkpoint(folder)


def last_checkpoint(folder: Path) -> Path | None:
    """The last checkpoint of the run whose model's folder this is, if it has one."""
    run = folder.parent
    kept = checkpoints(run / "checkpoint") if (run / "options.json").exists() else []
    return kept[-1] if kept else None


def resume_command(run: Path, *more: str) -> str:
    """The command that resumes this run, quoted for the shell; its options.json says which one it is, and in how many
    processes."""
    values: dict = {}
    with contextlib.suppress(UserError):
        values = read_object(run / "options.json")
    processes = values.get("processes", 1)
    folder = f"./{run}" if str(run).startswith("-") else str(run)  # or it would be read as an option
    start = ["python", "-m", f"minigpt.{values.get('command', 'train')}"]
    if isinstance(processes, int) and processes > 1:
        # The separator, as torchrun takes --run for an abbreviation of an option that it has.
        start = ["torchrun", "--standalone", "--nproc-per-node", str(processes), *start[1:], "--"]
    return shlex.join([*start, "--resume", "--run", folder, *more])


def open_tensors(folder: Path) -> tuple[Path, Found]:
    """A folder's tensors by GPT-2's names, and the file that lists them: one file, or several that an index names.

    UserError for a file that is missing, damaged or something else.
    """
    path = tensor_file(folder) or folder / FILES[0]
    if path == last_checkpoint(folder):
        return path, plain_names(path, _open_unfinished(folder.parent, path))
    if path.name not in FILES:
        warn(f"{path} is read as the model's tensors.")
    return path, plain_names(path, _open_index(path) if path.name.endswith(".index.json") else open_file(path))


def _open_unfinished(run: Path, checkpoint: Path) -> Found:
    stored = {name.removeprefix("model."): one for name, one in open_checkpoint(checkpoint).items()}
    found = {name: one.read for name, one in stored.items() if not name.startswith(("m.", "v."))}
    step, command = step_of(checkpoint), resume_command(run)
    if any(ADAPTER.search(name) for name in found):
        raise UserError(
            f"{run} learns an adapter, and its checkpoint of step {step} holds nothing else; the model is there when "
            f"the run is finished. To continue it: {command}"
        )
    warn(f"{run}: from the checkpoint of step {step}; the run is not finished. To continue it: {command}")
    return found


def plain_names(path: Path, found: Found) -> Found:
    """The same tensors under the official file's names, without masks and without what other programs put in front.

    A name's beginning is what precedes "wpe.weight". UserError if two names become one.
    """
    shorter = {name: WRAPPER.sub("", name) for name in found}
    prefixes = {name.removesuffix("wpe.weight") for name in shorter.values() if name.endswith("wpe.weight")}
    prefix = prefixes.pop() if len(prefixes) == 1 else "transformer."
    outer = prefix.removesuffix("transformer.")
    heads = {outer + head: head for head in HEADS}
    shorter = {old: heads.get(new, new.removeprefix(prefix)) for old, new in shorter.items()}
    if len({*shorter.values()}) < len(shorter):
        raise UserError(f"{path} has several tensors of one name when the prefixes of other programs are left out.")
    strange = next((old.removesuffix("wpe.weight") for old, new in shorter.items() if new == "wpe.weight"), "")
    if strange not in ("", "transformer."):
        warn(f"{path}: the tensors' names are read without the prefix {strange!r}.")
    return {shorter[name]: read for name, read in found.items() if not MASK.match(shorter[name])}


def _open_index(path: Path) -> Found:
    refuse_mistaken(path)
    try:
        where = json.loads(path.read_bytes())["weight_map"]
        files = sorted(set(where.values()))
        outside = next((file for file in files if Path(file).name != file), None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not an index of sharded weights ({type(error).__name__}: {error}).") from None
    if outside is not None:
        raise UserError(f"{path} names {outside!r}; a model's files must be in its folder.")
    found: Found = {}
    for file in files:
        for name, read in open_file(path.parent / file).items():
            if where.get(name) != file:
                raise UserError(f"{path.parent / file} contains {name}, which {path.name} does not list there.")
            found[name] = read
    if missing := where.keys() - found.keys():
        raise UserError(f"The files that {path} names lack {listed(missing)}.")
    return found


def open_file(path: Path) -> Found:
    """The tensors of one file by name. UserError for one that is missing, damaged or something else."""
    refuse_mistaken(path)
    try:
        if path.suffix != ".safetensors":
            tensors = _nested(torch.load(path, map_location="cpu", weights_only=True))
            if tensors is None:
                raise UserError(f"{path} does not contain tensors by name.")
            return {name: lambda name=name: tensors[name] for name in tensors}
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from None
    except SafetensorError as error:
        raise UserError(f"{path} is not a complete safetensors file: {error}.") from None
    except DAMAGED:
        raise UserError(
            f"{path} is incomplete, or contains something other than tensors; that could run as code, so the file is "
            "not read. Save the state dict alone with the program that wrote it, best as model.safetensors."
        ) from None

    def read(name: str) -> Tensor:
        # Opened again for each tensor: a float32 tensor is the file's own pages, not a copy, and a half-precision one
        # releases its pages as soon as it is converted.
        with safe_open(path, framework="pt") as file:
            return file.get_tensor(name)

    return {name: lambda name=name: read(name) for name in names}


def _nested(values: object) -> dict[str, Tensor] | None:
    """The tensors in what a training program saved: the state dict itself, or one under a key of NESTED."""
    if not isinstance(values, dict):
        return None
    if values and all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in values.items()):
        return values
    return next((found for key in NESTED if (found := _nested(values.get(key))) is not None), None)


def listed(names: set[str], most: int = 5) -> str:
    """The first few names, and how many more there are."""
    shown = ", ".join(sorted(names)[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
