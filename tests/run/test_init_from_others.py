"""Fine-tuning, and chatting with, a model whose folder another program wrote: no row is taken for another token's."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from minigpt import GPT, GPTConfig, generate, load_model, load_template, load_tokenizer
from minigpt.errors import UserError
from minigpt.run.options import Options
from minigpt.run.start import initial_model, load_with_tokenizer
from minigpt.text.template import save_template

ADDED = {"[PAD]": 50257, "<|im_start|>": 50258, "<|im_end|>": 50259}


def write(folder: Path, gpt2_folder: Path, vocab_size: int, added: dict[str, int]) -> Path:
    """A model of this many rows, of which each is known by its number, with GPT-2's files and `added` tokens."""
    model = GPT(GPTConfig(vocab_size=vocab_size, n_ctx=16, n_embd=4, n_head=2, n_layer=1))
    with torch.no_grad():
        model.wte.weight.copy_(torch.arange(vocab_size).unsqueeze(1).expand(-1, 4) / 50000)
    model.save_pretrained(folder)
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(gpt2_folder / name, folder)
    (folder / "added_tokens.json").write_text(json.dumps(added))
    return folder


def rows(model: GPT, ids: list[int]) -> torch.Tensor:
    return 50000 * model.wte.weight[ids, 0].double()


@pytest.mark.parametrize("named", [None, "folder"])
def test_tokens_of_the_folder_keep_their_rows_and_the_missing_one_gets_the_mean(
    named: str | None, gpt2_folder: Path, tmp_path: Path
) -> None:
    folder = str(write(tmp_path, gpt2_folder, 50260, ADDED))
    tokenizer, model = initial_model(Options(init=folder, tokenizer=named and folder))
    assert {name: tokenizer.control[name] for name in ADDED} == ADDED
    assert rows(model, [50257, 50258, 50259]).round().tolist() == [50257, 50258, 50259]
    assert tokenizer.control["<|sep|>"] == 50260
    assert rows(model, [50260]).item() == pytest.approx(50259 / 2, rel=1e-4)
    assert model.config.tokens == 50261


@pytest.mark.parametrize("tokenizer", [None, "folder of GPT-2's vocabulary"])
def test_rows_of_no_token_are_not_taken_for_new_ones(tokenizer: str | None, gpt2_folder: Path, tmp_path: Path) -> None:
    """A vocabulary that was padded to 50,304, and one with tokens that its files do not name."""
    folder = write(tmp_path, gpt2_folder, 50304, {})
    found, model = initial_model(Options(init=str(folder), tokenizer=tokenizer and str(gpt2_folder)))
    assert [found.control[name] for name in ("<|im_start|>", "<|im_end|>", "<|sep|>")] == [50257, 50258, 50259]
    assert rows(model, [50257, 50258, 50259]).tolist() == pytest.approx([50256 / 2] * 3, rel=1e-4)
    assert rows(model, [0, 50256]).round().tolist() == [0, 50256]
    assert model.config.tokens == 50260


def test_chat_refuses_rows_of_no_token(gpt2_folder: Path, tmp_path: Path) -> None:
    model, template = load_model(write(tmp_path, gpt2_folder, 50304, {}))
    assert model.config.tokens == 50257, "the others are never sampled"
    with pytest.raises(UserError, match=r"lacks the control tokens of the template chatml"):
        template.check(model.config.tokens)


def test_a_trained_model_s_control_tokens_keep_their_rows(gpt2_folder: Path, tmp_path: Path) -> None:
    """Also one of an earlier version, which wrote vocab.json and merges.txt without them."""
    folder = write(tmp_path, gpt2_folder, 50304, {})
    (folder / "added_tokens.json").unlink()
    (folder / "minigpt.json").write_text('{"tokenizer": "gpt2", "template": "chatml"}')
    for name in (None, str(gpt2_folder)):
        _, model = initial_model(Options(init=str(folder), tokenizer=name))
        assert rows(model, [50257, 50258, 50259]).round().tolist() == [50257, 50258, 50259]
    model, template = load_model(folder)
    template.check(model.config.tokens)
    save_template(folder, template)
    assert load_tokenizer(folder).control == template.tokenizer.control


@pytest.mark.parametrize("changes", [{"bos_token_id": None, "eos_token_id": None}, {"bos_token_id": 50256}, "absent"])
def test_an_empty_prompt_starts_from_the_tokenizer_s_own_end_of_text(changes: dict | str, tmp_path: Path) -> None:
    GPT(GPTConfig.named("tiny", n_ctx=16, n_embd=8, n_head=2)).save_pretrained(tmp_path)
    save_template(tmp_path, load_template("chatml", load_tokenizer("bytes")))
    path = tmp_path / "config.json"
    values = json.loads(path.read_text())
    if changes == "absent":
        values = {name: value for name, value in values.items() if "token_id" not in name}
    path.write_text(json.dumps(values | (changes if isinstance(changes, dict) else {})))
    model, tokenizer = load_with_tokenizer(tmp_path)
    assert model.config.bos_token_id == tokenizer.control["<|endoftext|>"] == 256
    assert generate(model, [], 3, temperature=0.0) == generate(model, [256], 3, temperature=0.0)
    assert initial_model(Options(init=str(tmp_path)))[1].config.bos_token_id == 256


def test_a_vocabulary_without_an_end_of_text_says_so_for_an_empty_prompt(gpt2_folder: Path, tmp_path: Path) -> None:
    vocab = json.loads((gpt2_folder / "vocab.json").read_text())
    del vocab["<|endoftext|>"]
    write(tmp_path, gpt2_folder, 50256, {})
    (tmp_path / "vocab.json").write_text(json.dumps(vocab))
    model, tokenizer = load_with_tokenizer(tmp_path)
    assert tokenizer.control["<|endoftext|>"] == 50256
    with pytest.raises(UserError, match=r"bos_token_id, 50256, is outside the vocabulary of 50256 tokens"):
        generate(model, [], 3)
    _, grown = initial_model(Options(init=str(tmp_path)))
    assert rows(grown, [50256]).item() == pytest.approx(50255 / 2, rel=1e-4)
    generate(grown, [], 3)
