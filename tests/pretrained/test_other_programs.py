"""Weights as other programs leave them: read, or named with what to do."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from minigpt import GPT
from minigpt.errors import UserError
from minigpt.pretrained.folder import model_folder, read_config, weights_sha256

IDS = torch.tensor([[256, 72, 101, 108, 108, 111]])
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + 64 * "a" + "\nsize 548105171\n"


@pytest.fixture
def folder(small_model: GPT, tmp_path: Path) -> Path:
    small_model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def tensors_of(folder: Path) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in load_file(folder / "model.safetensors").items()}


def renamed(folder: Path, name: Callable[[str], str]) -> dict[str, Tensor]:
    return {name(old): tensor for old, tensor in tensors_of(folder).items()}


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        GPT.from_pretrained(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "prefix",
    [
        "_orig_mod.",
        "module.",
        "model.",
        "transformer.",
        "_orig_mod.module.transformer.",
        "module._orig_mod.",
        "net.gpt.",
    ],
)
def test_a_prefix_is_left_out_and_said(
    prefix: str, small_model: GPT, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors = renamed(folder, lambda name: prefix + name)
    tensors[f"{prefix.removesuffix('transformer.')}lm_head.weight"] = tensors[f"{prefix}wte.weight"].clone()
    save_file(tensors, folder / "model.safetensors")
    assert torch.equal(GPT.from_pretrained(folder)(IDS), small_model(IDS))
    err = capsys.readouterr().err
    assert (f"without the prefix {prefix!r}" in err) == (prefix != "transformer.")


def test_a_head_without_its_embedding_is_both(small_model: GPT, folder: Path) -> None:
    """safetensors.torch.save_model keeps the first name of two tied tensors."""
    for prefix in ("", "transformer.", "module.transformer."):
        tensors = renamed(folder, lambda name, prefix=prefix: prefix + name)
        tensors[f"{prefix.removesuffix('transformer.')}lm_head.weight"] = tensors.pop(f"{prefix}wte.weight")
        save_file(tensors, folder / "model.safetensors")
        assert torch.equal(GPT.from_pretrained(folder)(IDS), small_model(IDS))
        small_model.save_pretrained(folder)


def test_what_compile_and_fsdp_put_into_names_is_left_out(small_model: GPT, folder: Path) -> None:
    for part in ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module._orig_mod."):
        changed = renamed(folder, lambda name, part=part: name.replace("h.1.", f"h.1.{part}"))
        save_file(changed, folder / "model.safetensors")
        assert torch.equal(GPT.from_pretrained(folder)(IDS), small_model(IDS))
        small_model.save_pretrained(folder)


def test_two_tensors_that_become_one_are_refused(folder: Path) -> None:
    tensors = tensors_of(folder)
    save_file(tensors | {"_orig_mod.ln_f.bias": tensors["ln_f.bias"].clone()}, folder / "model.safetensors")
    assert "several tensors of one name" in refusal(folder)


@pytest.mark.parametrize("file", ["pytorch_model.bin", "ckpt.pt", "last.ckpt", "model.pth"])
@pytest.mark.parametrize("key", ["model", "state_dict", "model_state_dict", "module"])
def test_a_training_program_s_checkpoint_is_read(
    key: str, file: str, small_model: GPT, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = renamed(folder, lambda name: f"_orig_mod.transformer.{name}")
    (folder / "model.safetensors").unlink()
    torch.save({"iter": 5, "optimizer": {"lr": 1.0}, key: state}, folder / file)
    assert torch.equal(GPT.from_pretrained(folder)(IDS), small_model(IDS))
    assert (f"{folder / file} is read as the model's tensors" in capsys.readouterr().err) == ("bin" not in file)
    assert list(weights_sha256(folder)) == [str(folder / file)]


def test_a_trainer_s_other_files_are_no_model(small_model: GPT, folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "weights.safetensors")
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin", "scaler.pt"):
        (folder / name).write_bytes(b"x")
    assert torch.equal(GPT.from_pretrained(folder)(IDS), small_model(IDS))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_types_become_float32(dtype: torch.dtype, small_model: GPT, folder: Path) -> None:
    save_file({name: tensor.to(dtype) for name, tensor in tensors_of(folder).items()}, folder / "model.safetensors")
    loaded = GPT.from_pretrained(folder)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    assert torch.equal(loaded.wpe.weight, small_model.wpe.weight.to(dtype).float())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (POINTER, "is a Git LFS pointer, not the file itself; get that by `git lfs pull`, or download it."),
        ("\n<!DOCTYPE html>\n<html></html>", "is a web page, not the file itself; download the file again."),
        ("<html><body>Not found", "is a web page, not the file itself; download the file again."),
        ("GGUF\x03\0\0\0", "is a GGUF file, llama.cpp's format"),
        ("\x89HDF\r\n", "is an HDF5 file, TensorFlow's format"),
    ],
)
@pytest.mark.parametrize(
    "file", ["model.safetensors", "pytorch_model.bin", "model.safetensors.index.json", "config.json", "ckpt.pt"]
)
def test_what_arrived_in_a_file_s_place_is_named(content: str, said: str, file: str, folder: Path) -> None:
    if file != "config.json":
        (folder / "model.safetensors").unlink()
    (folder / file).write_bytes(content.encode("latin-1"))
    assert f"{folder / file} {said}" in refusal(folder)


def test_an_adapter_is_named_with_its_model_and_what_to_do(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "gpt2"}')
    for _ in range(2):  # with a config.json beside it, and without
        assert "is an adapter of the model 'gpt2' (adapter_config.json), not a whole model. Merge it" in refusal(folder)
        (folder / "config.json").unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("file", "format_name"),
    [
        ("gpt2.Q4_K_M.gguf", "llama.cpp's"),
        ("tf_model.h5", "TensorFlow's"),
        ("model.ckpt.data-00000-of-00001", "TensorFlow's"),
        ("flax_model.msgpack", "Flax's"),
        ("decoder_model.onnx", "ONNX's"),
    ],
)
def test_other_formats_are_named(file: str, format_name: str, folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / file)
    for _ in range(2):
        assert f"{folder / file} is in {format_name} format, which is not read; save the model as" in refusal(folder)
        (folder / "config.json").unlink(missing_ok=True)


def test_shards_without_their_index_are_named(folder: Path) -> None:
    for name in ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"):
        (folder / name).write_bytes((folder / "model.safetensors").read_bytes())
    (folder / "model.safetensors").unlink()
    assert "holds model-00001-of-00002.safetensors, model-00002-of-00002.safetensors, but no index" in refusal(folder)


def test_nanogpt_s_transposed_matrices_are_named(folder: Path) -> None:
    """Its projections are square and would pass unseen, so the first matrix that is not is decisive."""
    linear = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
    tensors = tensors_of(folder)
    turned = {name: tensor.T.contiguous() if name.endswith(linear) else tensor for name, tensor in tensors.items()}
    save_file(turned, folder / "model.safetensors")
    assert "is transposed, as torch.nn.Linear and nanoGPT have it: h.0.attn.c_attn.weight has shape" in refusal(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_not_finite_are_named_and_counted(value: float, folder: Path) -> None:
    tensors = tensors_of(folder)
    tensors["h.1.mlp.c_fc.weight"][3, 5:7] = value
    save_file(tensors, folder / "model.safetensors")
    wanted = f"{folder / 'model.safetensors'}: h.1.mlp.c_fc.weight has NaN or infinite values, 2 of 4,096. The file"
    assert refusal(folder).startswith(wanted)
    tensors["ln_f.bias"][0] = value
    save_file(tensors | {"lm_head.weight": tensors["wte.weight"].clone()}, folder / "model.safetensors")
    assert "2 of 4,096; so has 1 other tensor." in refusal(folder)


def test_a_sum_that_overflows_is_no_fault(folder: Path) -> None:
    tensors = tensors_of(folder)
    tensors["ln_f.bias"].fill_(3e38)
    save_file(tensors, folder / "model.safetensors")
    assert GPT.from_pretrained(folder).ln_f.bias[0] == torch.tensor(3e38)


def test_the_general_names_of_a_config_are_read(small_model: GPT, folder: Path) -> None:
    path = folder / "config.json"
    values = json.loads(path.read_text())
    general = {
        "n_embd": "hidden_size", "n_head": "num_attention_heads", "n_layer": "num_hidden_layers",
        "n_positions": "max_position_embeddings",
    }  # fmt: skip
    del values["n_ctx"]
    path.write_text(json.dumps({general.get(name, name): value for name, value in values.items()}))
    assert torch.equal(GPT.from_pretrained(folder)(IDS), small_model(IDS))
    path.write_text(json.dumps(values | {"hidden_size": 64}))
    assert "hidden_size is 64, and another key gives 32 for it" in refusal(folder)


def test_a_context_by_its_old_name_alone_is_read(folder: Path) -> None:
    path = folder / "config.json"
    values = json.loads(path.read_text())
    del values["n_positions"]
    path.write_text(json.dumps(values))
    assert read_config(folder).n_ctx == 64


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"quantization_config": {"bits": 4}}, "quantization_config is {'bits': 4}"),
        ({"add_cross_attention": True}, "add_cross_attention is True"),
        ({"activation_function": "relu"}, "activation_function is 'relu'"),
        ({"bos_token_id": "x"}, "bos_token_id is 'x'; it must be a token's id or null"),
        ({"eos_token_id": [1, "x"]}, "eos_token_id is [1, 'x']; it must be a token's id or null"),
    ],
)
def test_config_keys_that_change_the_function_are_refused(changes: dict, said: str, folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    assert said in refusal(folder)


@pytest.mark.parametrize(
    ("changes", "bos", "eos"),
    [
        ({"bos_token_id": None, "eos_token_id": 258}, 258, None),
        ({"bos_token_id": None, "eos_token_id": None}, 50256, None),
        ({"eos_token_id": [258, 256]}, 256, (258, 256)),
        ({"bos_token_id": 50256, "eos_token_id": 50256}, 50256, None),  # copied from GPT-2's
    ],
)
def test_a_start_that_is_missing_null_or_outside_is_read(
    changes: dict, bos: int, eos: object, folder: Path, tmp_path: Path
) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    model = GPT.from_pretrained(folder)
    assert (model.config.bos_token_id, model.config.eos_token_id) == (bos, eos)
    model.save_pretrained(tmp_path / "again")
    assert GPT.from_pretrained(tmp_path / "again").config == model.config


def test_dropouts_that_differ_are_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"attn_pdrop": 0.2}))
    read_config(folder)
    assert "attn_pdrop is 0.2; training applies resid_pdrop, 0.0, everywhere" in capsys.readouterr().err


def test_a_folder_is_found_however_it_is_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert model_folder("~/model") == model_folder(f"{folder}/") == model_folder(folder) == folder
    for inside in ("models--x/snapshots/abc", "unpacked/gpt2"):
        place = tmp_path / "places" / inside
        place.parent.mkdir(parents=True)
        folder.rename(place)
        assert model_folder(tmp_path / "places" / inside.split("/")[0]) == place
        assert f"{place} is used: the only model in" in capsys.readouterr().err
        place.rename(folder)


def test_what_is_no_model_s_folder_is_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        f"is a file; a model is a folder with config.json and model.safetensors: give the folder, {folder}."
        in refusal(folder / "model.safetensors")
    )
    (tmp_path / "model.gguf").write_bytes(b"GGUF\3")
    assert "model.gguf is a GGUF file" in refusal(tmp_path / "model.gguf")
    trainer = tmp_path / "out"
    for name in ("checkpoint-10", "checkpoint-20"):
        (trainer / name).mkdir(parents=True)
        (trainer / name / "config.json").write_text("{}")
    assert f"holds several models; give one of {trainer / 'checkpoint-10'}, {trainer / 'checkpoint-20'}." in refusal(
        trainer
    )


def test_the_checkout_s_weights_are_found_from_any_folder(
    small_model: GPT, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project" / "weights"
    monkeypatch.setattr("minigpt.pretrained.official.PROJECT_WEIGHTS", project)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"The model gpt2 is not in weights/gpt2 nor in .*/project/weights/gpt2\. "):
        model_folder("gpt2")
    small_model.save_pretrained(project / "gpt2")
    assert model_folder("gpt2") == project / "gpt2"
    small_model.save_pretrained("weights/gpt2")
    assert model_folder("gpt2") == Path("weights/gpt2")
