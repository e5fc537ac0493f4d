"""What is not a plain low-rank change of a GPT-2's maps is refused by name."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from minigpt import GPT, GPTConfig
from minigpt.errors import UserError
from minigpt.pretrained.adapter import read_peft
from tests.pretrained.adapters import (
    BODY,
    CLOSE,
    CONFIG,
    OLD,
    ROWS,
    TENSORS,
    adapted_by_peft,
    ids,
    read_and_merged,
    saved,
)  # fmt: skip


@pytest.fixture
def folder(adapter: Path) -> Path:
    """A good adapter with three new tokens, to spoil."""
    return adapter


def refusal(base: Path, folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_and_merged(base, folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def configured(folder: Path, **values: object) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | values))


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("use_dora", True, "true"),
        ("use_rslora", True, "true"),
        ("use_something_later", True, "true"),
        ("bias", "all", '"all"'),
        ("rank_pattern", {"c_attn": 2}, '{"c_attn": 2}'),
        ("alpha_pattern", {"c_attn": 2}, '{"c_attn": 2}'),
        ("lora_bias", True, "true"),
        ("peft_type", "IA3", '"IA3"'),
        ("fan_in_fan_out", False, "false"),
        ("init_lora_weights", "pissa", '"pissa"'),
        ("layer_replication", [[0, 2]], "[[0, 2]]"),
        ("alora_invocation_tokens", [5], "[5]"),
    ],
)
def test_an_adapter_of_another_kind_is_refused_by_name(base: Path, folder: Path, name: str, value, shown: str) -> None:
    configured(folder, **{name: value})
    assert refusal(base, folder) == f"{folder / CONFIG}: {name} is {shown}; plain LoRA can be read."


def test_what_adapter_config_json_leaves_out_has_pefts_default(base: Path, folder: Path) -> None:
    config = json.loads((folder / CONFIG).read_text())
    for name, said in (("fan_in_fan_out", "fan_in_fan_out is false"), ("peft_type", "peft_type is null")):
        (folder / CONFIG).write_text(json.dumps({key: value for key, value in config.items() if key != name}))
        assert said in refusal(base, folder)
    few = {"peft_type": "LORA", "fan_in_fan_out": True, "r": 3, "trainable_token_indices": [OLD, OLD + 1, OLD + 2]}
    (folder / CONFIG).write_text(json.dumps(few))
    assert (read_peft(folder).alpha, read_peft(folder).base) == (8.0, None)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"r": 0}, "r is 0; it must be a whole number of at least 1."),
        ({"r": "3"}, 'r is "3"; it must be a whole number of at least 1.'),
        ({"r": True}, "r is true; it must be"),
        ({"lora_alpha": -1}, "lora_alpha is -1; it must be a number above 0."),
        ({"lora_alpha": None}, "lora_alpha is null; it must be a number above 0."),
        ({"modules_to_save": ["score"]}, 'modules_to_save is ["score"]; plain LoRA can be read, and the embedding.'),
        ({"modules_to_save": "wte"}, 'modules_to_save is "wte"; plain LoRA'),
        ({"trainable_token_indices": {"wpe": [1]}}, 'trainable_token_indices is {"wpe": [1]}; it must be a list'),
        (
            {"trainable_token_indices": [1, 1, 2]},
            "trainable_token_indices is [1, 1, 2]; it must be a list of different",
        ),
        ({"trainable_token_indices": [-1, 1, 2]}, "trainable_token_indices is [-1, 1, 2]; it must be"),
        ({"trainable_token_indices": {"wte": 7}}, 'trainable_token_indices is {"wte": 7}; it must be'),
    ],
    ids=str,
)
def test_a_value_that_cannot_be_is_refused_with_the_name(base: Path, folder: Path, values: dict, said: str) -> None:
    configured(folder, **values)
    assert refusal(base, folder).startswith(f"{folder / CONFIG}: {said}")


def test_fewer_rows_than_tokens_are_refused(base: Path, folder: Path) -> None:
    configured(folder, trainable_token_indices=[300, 301])
    said = f"{folder / TENSORS} has rows of 3 tokens; trainable_token_indices in {CONFIG} has 2."
    assert refusal(base, folder) == said


def respelled(folder: Path, change: Callable[[dict[str, Tensor]], None]) -> None:
    tensors = {name: tensor.clone() for name, tensor in load_file(folder / TENSORS).items()}
    change(tensors)
    save_file(tensors, folder / TENSORS)


def test_tensors_that_are_no_low_rank_change_of_the_four_maps_are_named_but_no_more_than_five(
    base: Path, folder: Path
) -> None:
    strange = [f"{BODY}h.{i}.ln_1.lora_A.weight" for i in range(7)]
    respelled(folder, lambda tensors: tensors.update({name: torch.ones(2, 2) for name in strange}))
    assert refusal(base, folder) == f"{folder / TENSORS} has the unknown {', '.join(strange[:5])} and 2 more."


def test_half_of_a_change_and_one_of_another_rank_are_refused(base: Path, folder: Path) -> None:
    name = f"{BODY}h.1.mlp.c_fc.lora_"
    whole = load_file(folder / TENSORS)
    respelled(folder, lambda tensors: tensors.pop(f"{name}B.weight"))
    assert refusal(base, folder) == f"{folder / TENSORS} has one of lora_A and lora_B of h.1.mlp.c_fc only."
    save_file(whole | {f"{name}A.weight": torch.ones(2, 48)}, folder / TENSORS)
    said = "h.1.mlp.c_fc has lora_A of rank 2 and lora_B of rank 3; adapter_config.json says that r is 3."
    assert refusal(base, folder) == f"{folder / TENSORS}: {said}"


@pytest.mark.parametrize("wrong", [torch.ones(3, 48, dtype=torch.int64), torch.ones(3)], ids=["integers", "a vector"])
def test_what_is_no_matrix_of_numbers_is_refused(base: Path, folder: Path, wrong: Tensor) -> None:
    name = f"{BODY}h.1.mlp.c_fc.lora_A.weight"
    respelled(folder, lambda tensors: tensors.update({name: wrong}))
    assert refusal(base, folder) == f"{folder / TENSORS}: {name} is not a matrix of floating-point numbers."


def test_a_number_that_is_not_finite_is_refused(base: Path, folder: Path) -> None:
    respelled(folder, lambda tensors: tensors[f"{BODY}h.1.mlp.c_fc.lora_A.weight"].fill_(float("nan")))
    assert "h.1.mlp.c_fc.lora_A.weight has NaN or infinite values, 144 of 144" in refusal(base, folder)


def test_an_adapter_of_another_width_or_depth_is_refused_with_both_numbers(folder: Path, tmp_path: Path) -> None:
    def other(**shape: int) -> Path:
        place = tmp_path / str(shape)
        config = dict(vocab_size=OLD, n_ctx=8, n_embd=48, n_head=4, n_layer=2, bos_token_id=0) | shape
        GPT(GPTConfig(**config)).save_pretrained(place)
        return place

    wide = refusal(other(n_embd=32), folder)
    assert wide == f"{folder} does not fit: h.0.attn.c_attn has lora_A for 48 inputs; this model has 32."
    deep = refusal(other(n_layer=1), folder)
    assert deep == f"{folder} does not fit: it changes h.1.attn.c_attn, and this model has no such layer."
    respelled(folder, lambda tensors: tensors.update({f"{BODY}h.0.attn.c_attn.lora_B.weight": torch.ones(99, 3)}))
    out = refusal(other(), folder)
    assert out == f"{folder} does not fit: h.0.attn.c_attn has lora_B for 99 outputs; this model has 144."


def test_rows_of_another_width_are_refused(base: Path, folder: Path) -> None:
    name = f"{BODY}wte.token_adapter.trainable_tokens_delta"
    respelled(folder, lambda tensors: tensors.update({name: torch.ones(3, 40)}))
    said = f"{folder} does not fit: the embedding's rows have 40 numbers; this model's have 48."
    assert refusal(base, folder) == said


def test_the_row_of_a_token_far_beyond_the_vocabulary_is_refused(base: Path, folder: Path) -> None:
    """What would be in the rows between?"""
    for far in (303, 10**12):
        configured(folder, trainable_token_indices=[300, 301, far])
        has = f"it has the row of token {far:,}, not of all before it, and this model has 300 tokens"
        assert refusal(base, folder) == f"{folder} does not fit: {has}."


@pytest.mark.parametrize("kept", [["wte"], ["lm_head"], ["wte", "lm_head"]], ids=str)
@pytest.mark.parametrize("rows", [OLD, ROWS])
def test_an_embedding_and_a_head_that_were_learned_apart_are_refused(
    base: Path, rows: int, kept: list[str], tmp_path: Path
) -> None:
    """PEFT unties them with `modules_to_save`, whatever it is told of tying."""
    saved(adapted_by_peft(base, rows, modules_to_save=kept), tmp_path)
    said = f"{tmp_path / TENSORS}: wte.weight and lm_head.weight differ; a GPT-2's head is its embedding."
    assert refusal(base, tmp_path) == said


def test_a_head_that_is_the_embedding_is_read_though_both_were_saved(base: Path, tmp_path: Path) -> None:
    model = adapted_by_peft(base, ROWS, modules_to_save=["wte", "lm_head"])
    with torch.no_grad():
        E = torch.randn(ROWS, 48)
        for module in (model.base_model.model.transformer.wte, model.base_model.model.lm_head):
            module.modules_to_save.default.weight.copy_(E)
        wanted = model(ids(ROWS)).logits
        found = read_and_merged(base, saved(model, tmp_path)).eval()(ids(ROWS))
    torch.testing.assert_close(found, wanted, **CLOSE)


def test_rows_of_tokens_that_differ_between_embedding_and_head_are_refused(base: Path, tmp_path: Path) -> None:
    saved(adapted_by_peft(base, ROWS, trainable_token_indices={"wte": [OLD]}), tmp_path)
    respelled(tmp_path, lambda t: t["base_model.model.lm_head.token_adapter.trainable_tokens_delta"].add_(1.0))
    assert "wte.weight and lm_head.weight differ; a GPT-2's head is its embedding." in refusal(base, tmp_path)


def test_an_embedding_without_room_for_what_it_is_said_to_hold_is_refused(base: Path, tmp_path: Path) -> None:
    saved(adapted_by_peft(base, ROWS, trainable_token_indices={"wte": [OLD]}), tmp_path)
    configured(tmp_path, trainable_token_indices=[ROWS])
    assert "the rows of tokens do not fit into the embedding beside them" in refusal(base, tmp_path)
    short = adapted_by_peft(base, OLD - 10)
    said = refusal(base, saved(short, tmp_path / "short"))
    assert said.endswith("does not fit: its embedding has 290 rows and this model 300 tokens.")


def test_missing_and_broken_files_are_refused_as_a_models_are(base: Path, folder: Path, tmp_path: Path) -> None:
    tensors, config = (folder / TENSORS).read_bytes(), (folder / CONFIG).read_text()
    (folder / TENSORS).write_bytes(tensors[:-7])
    assert f"{folder / TENSORS} is not a complete safetensors file" in refusal(base, folder)
    (folder / TENSORS).write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    assert f"{folder / TENSORS} is a Git LFS pointer" in refusal(base, folder)
    (folder / TENSORS).unlink()
    assert f"{folder / TENSORS} cannot be read: No such file or directory" in refusal(base, folder)
    (folder / CONFIG).write_text(config[:-3])
    assert f"{folder / CONFIG} is not JSON" in refusal(base, folder)
    (folder / CONFIG).unlink()
    assert f"{folder / CONFIG} cannot be read" in refusal(base, folder)
    shutil.rmtree(folder)
    assert refusal(base, folder).startswith(f"{folder} is not there; an adapter is a folder with {CONFIG}")
    folder.touch()
    assert f"{folder} is a file; an adapter is a folder" in refusal(base, folder)


def test_a_pickle_of_an_earlier_peft_is_read_as_tensors(base: Path, folder: Path) -> None:
    wanted = read_and_merged(base, folder).state_dict()
    torch.save(load_file(folder / TENSORS), folder / "adapter_model.bin")
    (folder / TENSORS).unlink()
    assert all(torch.equal(wanted[name], one) for name, one in read_and_merged(base, folder).state_dict().items())
