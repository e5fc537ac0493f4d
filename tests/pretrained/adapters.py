"""A small model, and adapters of it: ours and PEFT's."""

import warnings
from pathlib import Path

import peft
import torch
import transformers
from torch import Tensor

from minigpt import GPT
from minigpt.model.low_rank import adapt
from minigpt.run.adapter import merged
from minigpt.run.start import grow_vocabulary

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
OLD, NEW, ROWS = 300, 3, 320  # tokens of the base, tokens that are new, rows with padding to a multiple of 64
CLOSE = dict(rtol=1e-5, atol=3e-5)
BODY = "base_model.model.transformer."


def randomize(model: torch.nn.Module, scale: float) -> None:
    """Move every number that is learned."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(scale * torch.randn_like(parameter))


def ids(tokens: int) -> Tensor:
    return torch.randint(tokens, (2, 30), generator=torch.Generator().manual_seed(0))


def learned(base: Path, new: int = 0, rank: int = 3, alpha: float = 7.0) -> GPT:
    """The base as it is after training with an adapter."""
    model = GPT.from_pretrained(base)
    if new:
        grow_vocabulary(model, OLD + new, multiple_of=64)
    torch.manual_seed(1)
    adapt(model, rank, alpha, new, model.config.n_padding_rows)
    randomize(model, 0.2)
    return model


def theirs(base: Path, rows: int = OLD) -> transformers.GPT2LMHeadModel:
    model = transformers.GPT2LMHeadModel.from_pretrained(base)
    if rows != OLD:
        model.resize_token_embeddings(rows, mean_resizing=False)
    return model.eval()


def adapted_by_peft(base: Path, rows: int = OLD, maps: object = "c_attn c_proj c_fc", **settings) -> peft.PeftModel:
    """The base with an adapter of PEFT's own, as it is after training."""
    torch.manual_seed(3)
    targets = maps.split() if isinstance(maps, str) and " " in maps else maps
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = peft.LoraConfig(
            r=4, lora_alpha=12, target_modules=targets, task_type="CAUSAL_LM", fan_in_fan_out=True, **settings
        )
        model = peft.get_peft_model(theirs(base, rows), config).eval()
    randomize(model, 0.1)
    return model


def saved(model: peft.PeftModel, folder: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save_pretrained(folder)
    return folder


def read_and_merged(base: Path, folder: Path) -> GPT:
    return merged(GPT.from_pretrained(base), base, folder)
