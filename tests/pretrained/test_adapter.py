"""An adapter's folder in PEFT's layout: each reads what the other writes, and both merge to the same bytes."""

import json
import re
from dataclasses import replace
from pathlib import Path

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file

from minigpt import GPT
from minigpt.model.low_rank import adapter_of, merge
from minigpt.pretrained.adapter import Adapter, read_peft, write_peft
from minigpt.run.adapter import merged
from tests.pretrained.adapters import (
    BODY,
    CLOSE,
    CONFIG,
    NEW,
    OLD,
    ROWS,
    TENSORS,
    adapted_by_peft,
    ids,
    learned,
    read_and_merged,
    saved,
    theirs,
)  # fmt: skip


@pytest.mark.parametrize("new", [0, NEW])
def test_peft_reads_our_adapter_and_its_merge_has_our_bytes(base: Path, new: int, tmp_path: Path) -> None:
    model = learned(base, new)
    write_peft(tmp_path, adapter_of(model, str(base)))
    reader = peft.PeftModel.from_pretrained(theirs(base, ROWS if new else OLD), tmp_path).eval()
    tokens = OLD + new
    with torch.no_grad():
        wanted, found = model(ids(tokens)), reader(ids(tokens)).logits
    print(f"largest difference of a logit {(found - wanted)[..., :tokens].abs().max():.1e} of {wanted.abs().max():.1f}")
    torch.testing.assert_close(found[..., :tokens], wanted[..., :tokens], **CLOSE)
    their_merge = reader.merge_and_unload()
    for name, ours in merge(model).state_dict().items():
        rows = slice(tokens) if name == "wte.weight" else slice(None)
        assert torch.equal(their_merge.transformer.state_dict()[name][rows], ours[rows]), name


@pytest.mark.parametrize("new", [0, NEW])
def test_what_is_written_and_read_and_merged_is_what_was_learned(base: Path, new: int, tmp_path: Path) -> None:
    """The padding of a vocabulary that grows on reading too."""
    model = learned(base, new)
    write_peft(tmp_path, adapter_of(model, str(base)))
    found, wanted = read_and_merged(base, tmp_path), merge(model)
    assert found.config == wanted.config
    assert all(torch.equal(found.state_dict()[name], tensor) for name, tensor in wanted.state_dict().items())
    adapter = read_peft(tmp_path)
    assert (adapter.base, adapter.rank, adapter.alpha) == (str(base), 3, 7.0)
    assert adapter.tokens == tuple(range(OLD, OLD + new))


PEFTS = {
    "the four maps": {},
    "one map": dict(maps=["c_attn"]),
    "a pattern": dict(maps=r".*\.mlp\.c_proj"),
    "one block": dict(layers_to_transform=[1], layers_pattern="h"),
    "old tokens": dict(trainable_token_indices={"wte": [5, 7]}),
    "a list of tokens": dict(trainable_token_indices=[5, 7]),
    "resized": dict(rows=ROWS),
    "new tokens": dict(rows=ROWS, trainable_token_indices={"wte": [OLD, OLD + 1, OLD + 2]}),
    "new tokens out of order": dict(rows=OLD + 3, trainable_token_indices={"wte": [OLD + 2, OLD]}),
    "tied": dict(rows=ROWS, trainable_token_indices={"wte": [OLD]}, ensure_weight_tying=True),
    "drawn otherwise": dict(init_lora_weights="gaussian"),
}


@pytest.mark.parametrize("case", PEFTS)
def test_we_read_pefts_adapter_and_our_merge_has_its_bytes(base: Path, case: str, tmp_path: Path) -> None:
    model = adapted_by_peft(base, **PEFTS[case])
    found = read_and_merged(base, saved(model, tmp_path))
    tokens = max(read_peft(tmp_path).tokens, default=OLD - 1) + 1
    tokens = max(tokens, OLD)
    with torch.no_grad():
        wanted = model(ids(tokens)).logits
        logits = found.eval()(ids(tokens))
    print(
        f"largest difference of a logit {(logits - wanted)[..., :tokens].abs().max():.1e} of {wanted.abs().max():.1f}"
    )
    torch.testing.assert_close(logits[..., :tokens], wanted[..., :tokens], **CLOSE)
    their_merge = model.merge_and_unload().transformer.state_dict()
    assert all(
        torch.equal(tensor, their_merge[name]) for name, tensor in found.state_dict().items() if "wte" not in name
    )
    assert torch.equal(found.wte.weight[:tokens], their_merge["wte.weight"][:tokens])
    assert found.config.tokens == (ROWS if case == "resized" else tokens)


def test_a_row_that_the_model_has_for_no_token_of_its_own_is_replaced_where_it_is(base: Path, tmp_path: Path) -> None:
    """As in a vocabulary that another program made a multiple of 64 when the model was trained."""
    model = GPT.from_pretrained(base)
    model.config = replace(model.config, n_padding_rows=20)
    rows = torch.ones(2, 48)
    write_peft(tmp_path, Adapter("base", 3, 1.0, {}, (285, 290), rows))
    found = merged(model, base, tmp_path)
    assert (found.config.vocab_size, found.config.tokens) == (OLD, 291)
    E = GPT.from_pretrained(base).wte.weight.detach().clone()
    E[[285, 290]] = rows
    assert torch.equal(found.wte.weight, E)


def test_pefts_adapter_moves_the_logits_that_are_compared(base: Path) -> None:
    """Else a reader that ignores the file would pass."""
    with torch.no_grad():
        before, after = theirs(base)(ids(OLD)).logits, adapted_by_peft(base)(ids(OLD)).logits
    assert (after - before).abs().max() > 0.1


def test_a_square_map_read_transposed_would_be_seen(base: Path, tmp_path: Path) -> None:
    """attn.c_proj is (C, C), so A and B exchanged and transposed have its shapes; only a comparison tells."""
    model = adapted_by_peft(base)
    tensors = load_file(saved(model, tmp_path) / TENSORS)
    name = f"{BODY}h.0.attn.c_proj.lora_"
    tensors[f"{name}A.weight"], tensors[f"{name}B.weight"] = (
        tensors[f"{name}B.weight"].t().contiguous(),
        tensors[f"{name}A.weight"].t().contiguous(),
    )
    save_file(tensors, tmp_path / TENSORS)
    with torch.no_grad():
        difference = (read_and_merged(base, tmp_path).eval()(ids(OLD)) - model(ids(OLD)).logits).abs().max()
    assert difference > 100 * CLOSE["atol"]


def test_the_files_say_what_peft_says(adapter: Path) -> None:
    """Names, shapes and settings, one by one."""
    tensors = load_file(adapter / TENSORS)
    shapes = {"attn.c_attn": (48, 144), "attn.c_proj": (48, 48), "mlp.c_fc": (48, 192), "mlp.c_proj": (192, 48)}
    wanted = {f"{BODY}wte.token_adapter.trainable_tokens_delta": (3, 48)}
    for i in range(2):
        for name, (n_in, n_out) in shapes.items():
            wanted[f"{BODY}h.{i}.{name}.lora_A.weight"] = (3, n_in)
            wanted[f"{BODY}h.{i}.{name}.lora_B.weight"] = (n_out, 3)
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == wanted
    config = json.loads((adapter / CONFIG).read_text())
    assert config == {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "gpt2", "r": 3, "lora_alpha": 7.0,
        "lora_dropout": 0.0, "bias": "none", "fan_in_fan_out": True, "inference_mode": True,
        "target_modules": ["c_attn", "c_fc", "c_proj"], "trainable_token_indices": {"wte": [300, 301, 302]},
    }  # fmt: skip
    assert (adapter / TENSORS).stat().st_mode == (adapter / CONFIG).stat().st_mode


def test_nothing_of_the_package_imports_peft() -> None:
    for path in Path(__file__).parents[2].joinpath("minigpt").rglob("*.py"):
        assert not re.search(r"^\s*(import|from) peft", path.read_text("utf-8"), re.MULTILINE), path
