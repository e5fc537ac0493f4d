"""Read and write an adapter's folder in PEFT's layout: adapter_config.json, adapter_model.safetensors.

It handles only names and tensors, so that `model/low_rank.py` can use it. Read with lesson 16.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from minigpt.errors import UserError
from minigpt.pretrained.folder import check_finite, write_tensors
from minigpt.pretrained.tensor_files import listed, open_file
from minigpt.reading import read_object

CONFIG, TENSORS = "adapter_config.json", ("adapter_model.safetensors", "adapter_model.bin")
WHAT = f"an adapter is a folder with {CONFIG} and {TENSORS[0]}"
TARGETS = ["c_attn", "c_fc", "c_proj"]  # the four maps of a block; two have one name
# What adapter_config.json may say for the change to be (alpha / r) A B and nothing else; a value that is missing is the
# first of these, or in PEFT_DEFAULT.
PLAIN = {
    "peft_type": ("LORA",),
    "fan_in_fan_out": (True,),
    "bias": ("none",),
    "init_lora_weights": (True, False, "gaussian", "eva", "orthogonal"),  # others begin from another base than is named
    **dict.fromkeys(("use_dora", "use_rslora", "lora_bias"), (False, None)),
    **dict.fromkeys(("rank_pattern", "alpha_pattern"), ({}, None)),
    **dict.fromkeys(("layer_replication", "target_parameters", "alora_invocation_tokens"), (None, [])),
    **dict.fromkeys(("arrow_config", "kasa_config", "monteclora_config", "velora_config"), (None,)),
}
PEFT_DEFAULT = {"peft_type": None, "fan_in_fan_out": False, "r": 8, "lora_alpha": 8}
MAP = re.compile(r"(h\.\d+\.(?:attn\.c_attn|attn\.c_proj|mlp\.c_fc|mlp\.c_proj))\.lora_[AB]\.weight")
# What the file may hold of the embedding, and of the head that is tied to it, under the names that PEFT has for them.
PARTS = {
    "weight": "whole", "modules_to_save.weight": "whole", "token_adapter.base_layer.weight": "whole",
    "token_adapter.trainable_tokens_delta": "rows", "original_module.weight": "replaced",
}  # fmt: skip
EMBEDDING = {f"{owner}.{name}": f"{owner} {part}" for owner in ("wte", "lm_head") for name, part in PARTS.items()}


@dataclass(frozen=True)
class Adapter:
    """What an adapter changes of the GPT-2 `base`: W + (alpha / rank) A B for the weight W of each of `maps`, and rows
    of the embedding.

    `maps` are A (n_in, rank) and B (rank, n_out) by name ("h.0.attn.c_attn"). `rows` (tokens, C) are those of `tokens`,
    in the place of the model's own, or of `table` where that is given, a whole embedding (V, C).
    """

    base: str | None
    rank: int
    alpha: float
    maps: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    tokens: tuple[int, ...] = ()
    rows: Tensor | None = None
    table: Tensor | None = None


def write_peft(folder: Path, adapter: Adapter) -> None:
    """Write the two files, as peft.PeftModel.from_pretrained reads them; it stores A and B transposed."""
    prefix = "base_model.model.transformer."
    tensors = {}
    for name, (A, B) in adapter.maps.items():
        tensors |= {f"{prefix}{name}.lora_A.weight": A.t(), f"{prefix}{name}.lora_B.weight": B.t()}
    if adapter.rows is not None:
        tensors[f"{prefix}wte.token_adapter.trainable_tokens_delta"] = adapter.rows  # the rows, by a misleading name
    values = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": adapter.base,
        "r": adapter.rank,
        "lora_alpha": adapter.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": True,  # W is stored (in, out)
        "target_modules": TARGETS,
        "trainable_token_indices": {"wte": list(adapter.tokens)} if adapter.tokens else None,
        "inference_mode": True,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps(values, indent=2) + "\n")
    write_tensors(folder / TENSORS[0], tensors, like=folder / CONFIG)


def read_peft(folder: Path) -> Adapter:
    """The adapter in a folder, as minigpt or PEFT wrote it for a GPT-2, in float32.

    UserError for files that are missing or broken, and for what is not plain LoRA of a GPT-2's maps and embedding.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is {'a file' if folder.exists() else 'not there'}; {WHAT}.")
    values = read_object(folder / CONFIG, WHAT)
    rank, alpha, tokens = check_plain(folder / CONFIG, values)
    path = next((folder / name for name in TENSORS if (folder / name).exists()), folder / TENSORS[0])
    found = read_parts(path)
    maps = {}
    for name in dict.fromkeys(key.rpartition(".lora_")[0] for key in found if ".lora_" in key):
        sides = [found.get(f"{name}.lora_{side}.weight") for side in "AB"]
        if any(side is None for side in sides):
            raise UserError(f"{path} has one of lora_A and lora_B of {name} only.")
        A, B = (side.t() for side in sides)
        if (A.shape[1], B.shape[0]) != (rank, rank):
            ranks = f"lora_A of rank {A.shape[1]} and lora_B of rank {B.shape[0]}"
            raise UserError(f"{path}: {name} has {ranks}; {CONFIG} says that r is {rank}.")
        maps[name] = A, B
    rows, table = tied(path, found, "rows"), tied(path, found, "whole")
    if (n_rows := 0 if rows is None else len(rows)) != len(tokens):
        raise UserError(f"{path} has rows of {n_rows} tokens; trainable_token_indices in {CONFIG} has {len(tokens)}.")
    if table is not None and rows is not None and (table.shape[1] != rows.shape[1] or max(tokens) >= len(table)):
        raise UserError(f"{path}: the rows of tokens do not fit into the embedding beside them.")
    base = values.get("base_model_name_or_path")
    return Adapter(base if isinstance(base, str) else None, rank, alpha, maps, tokens, rows, table)


def check_plain(path: Path, values: dict) -> tuple[int, float, tuple[int, ...]]:
    """r, lora_alpha and the tokens whose rows were learned; UserError for what is not plain LoRA."""
    others = [name for name in values if name.startswith("use_")]  # of a later PEFT
    for name in dict.fromkeys([*PLAIN, *others]):
        allowed = PLAIN.get(name, (False, None))
        value = values.get(name, PEFT_DEFAULT.get(name, allowed[0]))
        if value not in allowed:
            raise UserError(f"{path}: {name} is {json.dumps(value)[:80]}; plain LoRA can be read.")
    kept = values.get("modules_to_save") or []
    if not isinstance(kept, list) or not {str(name).rpartition(".")[2] for name in kept} <= {"wte", "lm_head"}:
        raise UserError(f"{path}: modules_to_save is {json.dumps(kept)}; plain LoRA can be read, and the embedding.")
    rank, alpha = (values.get(name, PEFT_DEFAULT[name]) for name in ("r", "lora_alpha"))
    if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
        raise UserError(f"{path}: r is {json.dumps(rank)}; it must be a whole number of at least 1.")
    if not isinstance(alpha, int | float) or isinstance(alpha, bool) or not 0 < alpha < float("inf"):
        raise UserError(f"{path}: lora_alpha is {json.dumps(alpha)}; it must be a number above 0.")
    named = values.get("trainable_token_indices") or []
    of_tables = list(named.values()) if isinstance(named, dict) else [named]
    tokens = of_tables[0]
    wrong = isinstance(named, dict) and not {name.rpartition(".")[2] for name in named} <= {"wte", "lm_head"}
    if wrong or any(one != tokens for one in of_tables) or not is_tokens(tokens):
        said = "it must be a list of different tokens' ids, of the embedding wte"
        raise UserError(f"{path}: trainable_token_indices is {json.dumps(named)[:80]}; {said}.")
    return rank, float(alpha), tuple(tokens)


def is_tokens(values: object) -> bool:
    """Whether this is a list of ids, each once."""
    ids = isinstance(values, list) and all(type(one) is int and one >= 0 for one in values)
    return ids and len({*values}) == len(values)


def read_parts(path: Path) -> dict[str, Tensor]:
    """The tensors of an adapter's file: of maps by name, of embedding and head as "wte whole", "lm_head rows"."""
    found, unknown = {}, set()
    for name, read in open_file(path).items():
        short = name.removeprefix("base_model.model.").removeprefix("transformer.")
        key = short if MAP.fullmatch(short) else EMBEDDING.get(short)
        if key is None:
            unknown.add(name)
        elif not key.endswith("replaced"):
            found[key] = read()
            if not found[key].is_floating_point() or found[key].dim() != 2:
                raise UserError(f"{path}: {name} is not a matrix of floating-point numbers.")
    if unknown:
        raise UserError(f"{path} has the unknown {listed(unknown)}.")
    check_finite(path, found)
    return {key: tensor.float() for key, tensor in found.items()}


def tied(path: Path, found: dict[str, Tensor], part: str) -> Tensor | None:
    """The embedding's `part`, which the head must have too: "whole", or the "rows" that were learned alone."""
    table, head = found.get(f"wte {part}"), found.get(f"lm_head {part}")
    if part == "rows" and head is None:  # PEFT ties the head's rows to the embedding's, and need not save them
        return table
    if table is None and head is None:
        return None
    if table is None or head is None or not torch.equal(table, head):
        raise UserError(f"{path}: wte.weight and lm_head.weight differ; a GPT-2's head is its embedding.")
    return table


def check_fits(folder: Path, adapter: Adapter, shapes: Mapping[str, torch.Size]) -> None:
    """UserError if the adapter in this folder is not one of a model whose tensors have these shapes."""
    width = shapes["wte.weight"][1]
    for name, (A, B) in adapter.maps.items():
        if f"{name}.weight" not in shapes:
            raise UserError(f"{folder} does not fit: it changes {name}, and this model has no such layer.")
        n_in, n_out = shapes[f"{name}.weight"]
        for side, n, own, ends in (("lora_A", A.shape[0], n_in, "inputs"), ("lora_B", B.shape[1], n_out, "outputs")):
            if n != own:
                raise UserError(f"{folder} does not fit: {name} has {side} for {n} {ends}; this model has {own}.")
    for rows in (adapter.rows, adapter.table):
        if rows is not None and rows.shape[1] != width:
            raise UserError(
                f"{folder} does not fit: the embedding's rows have {rows.shape[1]} numbers; this model's have {width}."
            )
