"""Lesson 15: a reward model's folder, the same bytes in and out, and told apart from a language model's."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from minigpt import GPT, GPTConfig, load_template, load_tokenizer
from minigpt.errors import UserError
from minigpt.learn.trainer import Recipe
from minigpt.preference.likelihood import answer_row
from minigpt.preference.pair_trainers import PairRows, RewardTrainer
from minigpt.preference.reward import RewardModel
from minigpt.pretrained.folder import write_config
from minigpt.pretrained.kinds import is_reward_model
from minigpt.run.checkpoint import save_checkpoint
from minigpt.run.start import load_model
from minigpt.text.template import TEMPLATES, save_template
from tests.conftest import two_layers
from tests.preference.test_reward import ROWS, TEMPLATE, scored


@pytest.fixture
def model() -> RewardModel:
    return scored()


@pytest.fixture
def folder(model: RewardModel, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def tensors_of(folder: Path) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in load_file(folder / "model.safetensors").items()}


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        RewardModel.from_pretrained(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_load_and_save_give_back_every_byte(folder: Path, tmp_path: Path) -> None:
    """Also into the folder it came from, whose file may still be mapped into memory."""
    first = files(folder)
    assert sorted(first) == ["config.json", "model.safetensors"]
    RewardModel.from_pretrained(folder).save_pretrained(tmp_path / "second")
    RewardModel.from_pretrained(tmp_path / "second").save_pretrained(folder)
    RewardModel.from_pretrained(folder).save_pretrained(folder)
    assert first == files(tmp_path / "second") == files(folder)


@pytest.mark.parametrize("name", TEMPLATES)
def test_with_a_template_too(name: str, model: RewardModel, folder: Path) -> None:
    """The padding that the template asks for is kept: it is not the token that ends its answers."""
    template = load_template(name, load_tokenizer("bytes"))
    save_template(folder, template)
    first = files(folder)
    loaded = RewardModel.from_pretrained(folder)
    loaded.save_pretrained(folder)
    assert files(folder) == first
    save_template(folder, template)
    assert files(folder) == first
    assert is_reward_model(folder)
    assert loaded.config.pad_token_id not in (None, template.end)
    assert json.loads(first["tokenizer_config.json"])["pad_token"] == template.tokenizer.decode(
        [loaded.config.pad_token_id]
    )


@torch.no_grad()
def test_a_loaded_model_gives_the_same_rewards_and_is_on_eval(model: RewardModel, folder: Path) -> None:
    loaded = RewardModel.from_pretrained(folder)
    assert torch.equal(loaded(ROWS), model(ROWS))
    assert not loaded.training
    assert not loaded.transformer.training
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    assert loaded.state_dict().keys() == model.state_dict().keys()


@torch.no_grad()
def test_what_an_unfinished_run_left_serves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its model's folder has no tensors yet, but its last checkpoint has."""
    run = tmp_path / "run"
    (run / "model").mkdir(parents=True)
    (run / "options.json").write_text('{"command": "prefer"}')
    pairs = [PairRows(*(answer_row(TEMPLATE, [{"role": "user", "content": "a"}], b) for b in ("b", "c")))]
    trainer = RewardTrainer(scored(), pairs, Recipe(steps=2, batch_size=1, micro_batch_size=1, lr=1e-2, warmup_steps=0))
    write_config(run / "model", trainer.model.config, reward=True)
    save_template(run / "model", TEMPLATE)
    with torch.enable_grad():
        trainer.train_step()
    save_checkpoint(run / "checkpoint", trainer)
    assert torch.equal(RewardModel.from_pretrained(run)(ROWS), trainer.model(ROWS))
    said = capsys.readouterr().err
    assert "from the checkpoint of step 1" in said
    assert "python -m minigpt.prefer --resume --run" in said
    assert is_reward_model(run)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod."])
@torch.no_grad()
def test_other_programs_prefixes_are_left_out_of_the_score_too(prefix: str, model: RewardModel, folder: Path) -> None:
    save_file({prefix + name: tensor for name, tensor in tensors_of(folder).items()}, folder / "model.safetensors")
    assert torch.equal(RewardModel.from_pretrained(folder)(ROWS), model(ROWS))


BROKEN = {
    "lacks score.weight": lambda tensors: tensors.pop("score.weight"),
    "lacks ln_f.bias": lambda tensors: tensors.pop("transformer.ln_f.bias"),
    "has the unexpected score.bias": lambda tensors: tensors.update({"score.bias": torch.zeros(1)}),
    "score.weight has shape [1, 31]; config.json requires [1, 32]": lambda tensors: tensors.update(
        {"score.weight": torch.zeros(1, 31)}
    ),
    "score.weight has shape [2, 32]; config.json requires [1, 32]": lambda tensors: tensors.update(
        {"score.weight": torch.zeros(2, 32)}
    ),
    "score.weight has NaN or infinite values, 32 of 32": lambda tensors: tensors["score.weight"].fill_(torch.nan),
    "h.0.ln_1.weight has NaN or infinite values, 1 of 32": lambda tensors: tensors[
        "transformer.h.0.ln_1.weight"
    ].index_fill_(0, torch.tensor([3]), torch.inf),
    "score.weight has type torch.int8": lambda tensors: tensors.update(
        {"score.weight": torch.zeros(1, 32, dtype=torch.int8)}
    ),
}


@pytest.mark.parametrize("part", BROKEN)
def test_what_is_wrong_with_the_tensors_is_named(part: str, folder: Path) -> None:
    tensors = tensors_of(folder)
    BROKEN[part](tensors)
    save_file(tensors, folder / "model.safetensors")
    message = refusal(folder)
    assert str(folder / "model.safetensors") in message
    assert part in message


def test_the_two_kinds_are_not_taken_for_each_other(folder: Path, tmp_path: Path) -> None:
    two_layers().save_pretrained(tmp_path / "language")
    assert (is_reward_model(folder), is_reward_model(tmp_path / "language")) == (True, False)
    assert "is a language model; make one with --method reward" in refusal(tmp_path / "language")
    for load in (GPT.from_pretrained, load_model):
        with pytest.raises(UserError, match=r"A language model is needed, and .*model is a reward model: it gives"):
            load(folder)


@pytest.mark.parametrize("kinds", [None, "GPT2ForSequenceClassification", [3], ["GPT2Model"]])
def test_only_a_list_of_architectures_says_what_a_folder_holds(kinds: object, folder: Path) -> None:
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(values | {"architectures": kinds}))
    assert not is_reward_model(folder)


def pad_of(config: GPTConfig, folder: Path, given: int | None = None) -> int:
    RewardModel(GPT(config)).save_pretrained(folder, given)
    return json.loads((folder / "config.json").read_text())["pad_token_id"]


def test_the_padding_ends_no_answer(tmp_path: Path) -> None:
    """The model's own, else an unused row, else the last token that ends nothing."""
    config = GPTConfig(vocab_size=12, n_ctx=4, n_embd=4, n_head=1, n_layer=1, bos_token_id=11)
    unused = replace(config, n_padding_rows=3, bos_token_id=8)
    assert pad_of(config, tmp_path) == 10
    assert pad_of(replace(config, eos_token_id=(10, 9)), tmp_path) == 11
    assert pad_of(replace(config, pad_token_id=11), tmp_path) == 10  # as models of one control token have it
    assert pad_of(replace(config, pad_token_id=50256), tmp_path) == 10
    assert pad_of(unused, tmp_path) == 9
    assert pad_of(replace(unused, pad_token_id=5), tmp_path) == 5
    assert pad_of(unused, tmp_path, given=7) == 7
    for given in (8, 12, -1):
        with pytest.raises(UserError, match=rf"The pad_token_id {given} .*; without it, 9 is used\."):
            pad_of(unused, tmp_path, given)
