"""A model's folder: the same bytes in and out, exchanged with transformers, and told apart from what is no GPT-2."""

import json
from pathlib import Path

import jaxtyping
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from minigpt import GPT, GPTConfig
from minigpt.errors import UserError
from minigpt.pretrained.folder import model_folder, read_config

IDS = torch.tensor([[256, 72, 101, 108, 108, 111], [0, 1, 2, 259, 258, 257]])


@pytest.fixture
def folder(small_model: GPT, tmp_path: Path) -> Path:
    small_model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def rewrite(folder: Path, tensors: dict[str, Tensor]) -> None:
    save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")


def tensors_of(folder: Path) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in load_file(folder / "model.safetensors").items()}


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        GPT.from_pretrained(folder)
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    return message


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_load_and_save_give_back_every_byte(folder: Path, tmp_path: Path) -> None:
    """Also into the folder it came from, whose file may still be mapped into memory."""
    first = files(folder)
    assert sorted(first) == ["config.json", "model.safetensors"]
    GPT.from_pretrained(folder).save_pretrained(tmp_path / "second")
    GPT.from_pretrained(tmp_path / "second").save_pretrained(folder)
    GPT.from_pretrained(folder).save_pretrained(folder)
    assert first == files(tmp_path / "second") == files(folder)


def test_every_field_of_the_shape_comes_back(tmp_path: Path) -> None:
    config = GPTConfig(
        vocab_size=11,
        n_ctx=7,
        n_embd=6,
        n_head=3,
        n_layer=2,
        dropout=0.25,
        layer_norm_epsilon=1e-3,
        bos_token_id=4,
        n_padding_rows=2,
    )
    GPT(config).save_pretrained(tmp_path)
    assert GPT.from_pretrained(tmp_path).config == config


def test_a_loaded_model_answers_as_the_saved_one_and_acts_without_dropout(small_model: GPT, folder: Path) -> None:
    change_config(folder, resid_pdrop=0.9)
    assert torch.equal(GPT.from_pretrained(folder)(IDS), small_model(IDS))


@torch.no_grad()
def test_transformers_reads_what_is_saved(small_model: GPT, folder: Path) -> None:
    theirs, report = GPT2LMHeadModel.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values())
    difference = (theirs.eval()(IDS).logits - small_model(IDS)).abs().max().item()
    print(f"largest difference of a logit {difference:.2e}")
    assert difference <= 1e-5


@torch.no_grad()
def test_what_transformers_saves_is_read(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = GPT2LMHeadModel(
        GPT2Config(vocab_size=260, n_positions=32, n_embd=32, n_head=4, n_layer=2, bos_token_id=256, eos_token_id=256)
    ).eval()
    for parameter in theirs.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    theirs.save_pretrained(tmp_path)
    ours = GPT.from_pretrained(tmp_path)
    assert (ours.config.n_ctx, ours.config.dropout) == (32, 0.1)
    difference = (ours(IDS) - theirs(IDS).logits).abs().max().item()
    print(f"largest difference of a logit {difference:.2e}")
    assert difference <= 1e-5


@pytest.mark.parametrize("kind", ["prefix", "masks", "head", "masks under the prefix"])
def test_the_layouts_that_gpt_2_is_published_in_are_read(kind: str, small_model: GPT, folder: Path) -> None:
    """OpenAI's upload has no prefix and holds the masks; later files have the prefix, some the tied head."""
    tensors = tensors_of(folder)
    if "masks" in kind:
        tensors |= {f"h.{i}.attn.bias": torch.ones(64, 64).tril().view(1, 1, 64, 64) for i in range(2)}
        tensors |= {f"h.{i}.attn.masked_bias": torch.tensor(-1e4) for i in range(2)}
    if "prefix" in kind:
        tensors = {f"transformer.{name}": tensor for name, tensor in tensors.items()}
    if kind == "head":
        tensors["lm_head.weight"] = tensors["wte.weight"]
    rewrite(folder, tensors)
    loaded = GPT.from_pretrained(folder)
    assert loaded.state_dict().keys() == small_model.state_dict().keys()
    assert torch.equal(loaded(IDS), small_model(IDS))


def test_weights_in_half_precision_are_widened(small_model: GPT, folder: Path) -> None:
    rewrite(folder, {name: tensor.half() for name, tensor in tensors_of(folder).items()})
    loaded = GPT.from_pretrained(folder)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    assert torch.equal(loaded.wte.weight, small_model.wte.weight.half().float())


@pytest.mark.parametrize("name", ["wte.weight", "h.1.attn.c_attn.bias", "ln_f.weight"])
def test_a_missing_tensor_is_named(name: str, folder: Path) -> None:
    tensors = tensors_of(folder)
    del tensors[name]
    rewrite(folder, tensors)
    assert refusal(folder) == f"{folder / 'model.safetensors'} lacks {name}."


def test_an_unknown_tensor_is_named(folder: Path) -> None:
    """A third layer of a two-layer model is no mask: "h.2.attn.c_attn.bias" ends as "h.2.attn.bias" does."""
    rewrite(folder, tensors_of(folder) | {"h.2.attn.c_attn.bias": torch.zeros(96)})
    assert refusal(folder) == f"{folder / 'model.safetensors'} has the unexpected h.2.attn.c_attn.bias."


def test_of_many_missing_tensors_the_first_five_are_named(folder: Path) -> None:
    change_config(folder, n_layer=3)
    message = refusal(folder)
    assert "lacks h.2.attn.c_attn.bias, h.2.attn.c_attn.weight, " in message
    assert message.endswith(" and 7 more.")


def test_a_tensor_of_another_shape_is_named_with_both_shapes(folder: Path) -> None:
    """torch.nn.Linear's order, (out, in), is the likely mistake."""
    tensors = tensors_of(folder)
    rewrite(folder, tensors | {"h.0.mlp.c_fc.weight": tensors["h.0.mlp.c_fc.weight"].T})
    assert refusal(folder).endswith("h.0.mlp.c_fc.weight has shape [128, 32]; config.json requires [32, 128].")


def test_a_head_of_its_own_is_refused(folder: Path) -> None:
    tensors = tensors_of(folder)
    rewrite(folder, tensors | {"lm_head.weight": tensors["wte.weight"] + 1e-3})
    assert refusal(folder).endswith("lm_head.weight differs from wte.weight; a GPT-2's head is its embedding.")


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.01, 0.5, 0.999])
def test_a_truncated_file_is_refused(kept: float, folder: Path) -> None:
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    assert f"{path} is not a complete safetensors file: " in refusal(folder)


def test_a_file_that_is_not_there_is_named(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert refusal(folder).startswith(f"{folder / 'model.safetensors'} cannot be read: ")
    (folder / "config.json").unlink()
    assert refusal(folder).startswith(f"{folder / 'config.json'} cannot be read: ")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model_type": "llama"}, "does not describe a GPT-2: model_type is 'llama'."),
        ({"activation_function": "gelu"}, "does not describe a GPT-2: activation_function is 'gelu'."),  # the erf form
        ({"scale_attn_weights": False}, "does not describe a GPT-2: scale_attn_weights is False."),
        (
            {"scale_attn_by_inverse_layer_idx": True},
            "does not describe a GPT-2: scale_attn_by_inverse_layer_idx is True.",
        ),
        ({"tie_word_embeddings": False}, "does not describe a GPT-2: tie_word_embeddings is False."),
        ({"n_inner": 100}, "n_inner is 100; GPT-2's MLP is 4 n_embd wide."),
        ({"n_head": 5}, "n_embd is 32 and n_head is 5; the heads must share the channels evenly."),
        ({"n_layer": "2"}, "n_layer is '2'; it must be a whole number of at least 1."),
        ({"n_positions": 0}, "n_ctx is 0; it must be a whole number of at least 1."),
    ],
)
def test_a_config_of_another_network_is_refused(
    changes: dict[str, object], reason: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as outside of the tests
    change_config(folder, **changes)
    message = refusal(folder)
    assert str(folder / "config.json") in message
    assert message.endswith(reason)


@pytest.mark.parametrize(("text", "reason"), [("{", "is not JSON"), ("[]", "is not a JSON object"), ("\xff", "is not")])
def test_a_config_that_is_no_json_object_is_refused(text: str, reason: str, folder: Path) -> None:
    (folder / "config.json").write_bytes(text.encode("latin-1"))
    assert reason in refusal(folder)


def test_what_a_config_leaves_out_is_gpt_2_small(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert read_config(tmp_path) == GPTConfig.named("gpt2")


def test_a_size_s_name_means_its_folder_under_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"config\.json of openai-community/gpt2 could not be downloaded"):
        model_folder("gpt2")  # no test may ask the hub
    (tmp_path / "weights" / "gpt2").mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "pytorch_model.bin"):
        (tmp_path / "weights" / "gpt2" / name).touch()
    assert model_folder("gpt2") == Path("weights/gpt2")
    (tmp_path / "gpt2").mkdir()
    assert model_folder("gpt2") == Path("gpt2")
    with pytest.raises(UserError, match=r"There is no folder .*nowhere; a model is a folder with config\.json"):
        model_folder("nowhere")


def test_a_run_s_folder_means_the_model_in_it(small_model: GPT, folder: Path) -> None:
    assert model_folder(folder.parent) == folder
    assert torch.equal(GPT.from_pretrained(folder.parent)(IDS), small_model(IDS))


class Shout:
    """What a pickle can carry: something to run."""

    def __reduce__(self) -> tuple:
        return print, ("run",)


@pytest.fixture
def shards(folder: Path) -> Path:
    """The same model in three files and an index."""
    tensors = tensors_of(folder)
    (folder / "model.safetensors").unlink()
    where = {name: f"model-0000{1 + i % 3}-of-00003.safetensors" for i, name in enumerate(sorted(tensors))}
    for file in set(where.values()):
        save_file({name: tensor for name, tensor in tensors.items() if where[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    return folder


def change_index(folder: Path, name: str, file: str | None) -> None:
    path = folder / "model.safetensors.index.json"
    where = json.loads(path.read_text())["weight_map"]
    where.pop(name)
    path.write_text(json.dumps({"weight_map": where | ({name: file} if file else {})}))


def test_sharded_files_are_read(small_model: GPT, shards: Path) -> None:
    assert torch.equal(GPT.from_pretrained(shards)(IDS), small_model(IDS))


def test_shards_that_their_index_does_not_describe_are_refused(shards: Path) -> None:
    change_index(shards, "ln_f.bias", None)
    assert "contains ln_f.bias, which model.safetensors.index.json does not list there" in refusal(shards)
    change_index(shards, "ln_f.weight", "../elsewhere.safetensors")
    assert "names '../elsewhere.safetensors'; a model's files must be in its folder" in refusal(shards)


def test_a_shard_that_is_not_there_is_named(shards: Path) -> None:
    (shards / "model-00002-of-00003.safetensors").unlink()
    assert "model-00002-of-00003.safetensors cannot be read" in refusal(shards)


def test_a_pickle_of_tensors_is_read(small_model: GPT, folder: Path) -> None:
    tensors = tensors_of(folder)
    (folder / "model.safetensors").unlink()
    torch.save({f"transformer.{name}": tensor for name, tensor in tensors.items()}, folder / "pytorch_model.bin")
    assert torch.equal(GPT.from_pretrained(folder)(IDS), small_model(IDS))


@pytest.mark.parametrize("content", ["code", "truncated", "text", "list"])
def test_a_pickle_of_anything_else_is_refused_unread(
    content: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "pytorch_model.bin"
    torch.save({"code": {"wte.weight": Shout()}, "list": [1]}.get(content, tensors_of(folder)), path)
    (folder / "model.safetensors").unlink()
    if content == "truncated":
        path.write_bytes(path.read_bytes()[:-1000])
    if content == "text":
        path.write_text("no pickle")
    assert "pytorch_model.bin" in refusal(folder)
    assert capsys.readouterr().out == ""


def test_whole_numbers_are_no_weights(folder: Path) -> None:
    tensors = tensors_of(folder)
    rewrite(folder, tensors | {"ln_f.bias": tensors["ln_f.bias"].to(torch.int8)})
    assert "ln_f.bias has type torch.int8; weights must be floating-point numbers." in refusal(folder)
