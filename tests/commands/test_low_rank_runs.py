"""train --lora-rank: the weights of --init stay, a small change to them is learned, and model/ is a plain model."""

import json
import shutil
from pathlib import Path

import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file

from minigpt import GPT, GPTConfig, load_template, load_tokenizer
from minigpt.model.low_rank import MAPS
from minigpt.text.template import save_template

BRIEF = ("--batch-size", 2, "--warmup-steps", 1, "--accuracy-rows", 1, "--max-length", 60, "--lr", 1e-2)


@pytest.fixture
def foreign(tmp_path: Path, gpt2_folder: Path) -> Path:
    """A small model with GPT-2's vocabulary, which knows no control token."""
    torch.manual_seed(2)
    GPT(GPTConfig(n_layer=1, n_embd=8, n_head=2, n_ctx=64)).save_pretrained(tmp_path / "foreign")
    for path in gpt2_folder.iterdir():
        shutil.copy(path, tmp_path / "foreign")
    return tmp_path / "foreign"


@pytest.fixture
def small(small_model: GPT, tmp_path: Path) -> Path:
    """A small model over the byte tokens, the control tokens among them."""
    small_model.save_pretrained(tmp_path / "small")
    save_template(tmp_path / "small", load_template("chatml", load_tokenizer("bytes")))
    return tmp_path / "small"


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_the_maps_and_the_rows_of_new_tokens_change_and_nothing_else(
    cli, foreign: Path, questions: Path, tmp_path: Path, no_pictures
) -> None:
    done = cli("train", "--init", foreign, "--data", questions, "--lora-rank", 2, "--steps", 3, "--run", "mine", *BRIEF)
    assert done.status == 0, done.err
    learned = 16 * 2 * 8 + 3 * 8
    assert f"adapter rank 2, alpha 4: {learned} numbers are learned, the rows of 3 new tokens among them" in done.out
    before, after = tensors(foreign), tensors(tmp_path / "mine" / "model")
    assert before.keys() == after.keys()
    changed = {name for name, tensor in before.items() if not torch.equal(tensor, after[name][: len(tensor)])}
    assert changed == {f"h.0.{name}.weight" for name in MAPS}
    new, padding = after["wte.weight"][50257:50260], after["wte.weight"][50260:]
    assert (len(padding), padding.unique(dim=0).shape[0], new.unique(dim=0).shape[0]) == (44, 1, 3)
    options = json.loads((tmp_path / "mine" / "options.json").read_text())
    assert (options["lora_rank"], options["lora_alpha"], "lora_alpha" in options["derived"]) == (2, 4.0, True)
    exported = cli("export", "--model", foreign, "--adapter", "mine", "--out", "exported")
    assert exported.status == 0, exported.err
    again = tensors(tmp_path / "exported")
    assert all(torch.equal(again[name], tensor) for name, tensor in after.items())
    base = transformers.GPT2LMHeadModel.from_pretrained(foreign)
    base.resize_token_embeddings(len(after["wte.weight"]), mean_resizing=False)
    theirs = peft.PeftModel.from_pretrained(base, tmp_path / "mine" / "adapter").eval()
    ids = torch.tensor([[50258, 72, 101, 50259]])
    with torch.no_grad():
        ours = GPT.from_pretrained(tmp_path / "mine")(ids)[..., :50260]
        torch.testing.assert_close(theirs(ids).logits[..., :50260], ours, rtol=1e-5, atol=3e-5)
    for command in (("generate", "--max-new-tokens", 2), ("evaluate", "--data", questions, "--limit", 1)):
        done = cli(command[0], "--model", "mine", *command[1:])
        assert done.status == 0, done.err


def test_a_run_that_is_continued_ends_in_the_bytes_of_one_never_stopped(
    cli, small: Path, questions: Path, tmp_path: Path, no_pictures
) -> None:
    start = "train", "--init", small, "--data", questions, "--lora-rank", 2, "--steps", 4, "--checkpoint-every", 2
    done = cli(*start, "--run", "whole", *BRIEF)
    assert done.status == 0, done.err
    assert "numbers are learned\n" in done.out
    shutil.copytree("whole", "stopped")
    shutil.rmtree(Path("stopped/checkpoint/step-00000004"))
    for name in ("result.json", "model/model.safetensors"):
        Path("stopped", name).unlink()
    done = cli("chat", "--model", "stopped")
    assert done.status == 2
    assert "stopped learns an adapter, and its checkpoint of step 2 holds nothing else" in done.err
    assert "python -m minigpt.train --resume --run stopped" in done.err
    done = cli("train", "--resume", "--run", "stopped", "--lora-rank", 3)
    assert "--lora-rank was 2 when the run was started and cannot become 3 within it" in done.err
    done = cli("train", "--resume", "--run", "stopped")
    assert done.status == 0, done.err
    whole, again = tensors(Path("whole/model")), tensors(Path("stopped/model"))
    assert all(torch.equal(again[name], tensor) for name, tensor in whole.items())
    assert not torch.equal(whole["h.0.attn.c_attn.weight"], tensors(small)["h.0.attn.c_attn.weight"])


def test_the_loss_and_the_answers_before_training_are_those_of_init(
    cli, small: Path, questions: Path, tmp_path: Path, no_pictures
) -> None:
    first = {}
    for name, more in {"plain": (), "adapter": ("--lora-rank", 2)}.items():
        done = cli("train", "--init", small, "--data", questions, "--steps", 2, "--run", name, *BRIEF, *more)
        assert done.status == 0, done.err
        first[name] = json.loads((tmp_path / name / "metrics.jsonl").read_text().splitlines()[0])["loss"]
    assert first["plain"] == first["adapter"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--lora-rank", 4), "--lora-rank learns a small change to weights that are there; give them with --init."),
        (("--lora-alpha", 4), "--lora-alpha scales what --lora-rank learns; give both."),
        (("--init", "small", "--lora-rank", 0), "--lora-rank is 0; it must be from 1 to 32, the width of this model."),
        (("--init", "small", "--lora-rank", 33), "--lora-rank is 33; it must be from 1 to 32, the width of th"),
    ],
    ids=str,
)
def test_a_rank_that_cannot_be_is_one_sentence_and_no_folder(
    cli, small: Path, questions: Path, given: tuple, said: str
) -> None:
    done = cli("train", "--data", questions, *given, "--run", "mine")
    assert done.status == 2
    assert done.err.startswith(f"train: {said}")
    assert len(done.err.splitlines()) == 1
    assert not Path("mine").exists()
