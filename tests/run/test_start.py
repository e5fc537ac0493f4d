"""The initial model of a run: its shape, its dropout, its tokenizer and its template."""

import shutil
from pathlib import Path

import pytest
import torch

from minigpt import GPT, GPTConfig
from minigpt.errors import UserError
from minigpt.run.base import own_template
from minigpt.run.options import Options
from minigpt.run.start import adapter_in_words, initial_model, initial_template, longest_row, notes
from minigpt.text.template import load_template, save_template
from minigpt.text.tokenizer import load_tokenizer


def test_the_shape_options_replace_those_of_the_size_and_only_those():
    _, model = initial_model(Options(n_layer=3, n_head=2, n_embd=32, n_ctx=16, dropout=0.25))
    config = model.config
    assert (config.n_layer, config.n_head, config.n_embd, config.n_ctx, config.dropout) == (3, 2, 32, 16, 0.25)
    assert initial_model(Options(n_layer=3))[1].config.n_embd == initial_model(Options())[1].config.n_embd


def test_an_impossible_shape_is_a_sentence():
    with pytest.raises(UserError, match="n_embd is 30 and n_head is 4"):
        initial_model(Options(n_embd=30))


@pytest.mark.parametrize("shape", [{"n_embd": 10**6}, {"n_ctx": 10**6, "n_embd": 10**5}], ids=str)
def test_a_shape_whose_weights_exceed_the_memory_is_a_sentence_before_they_are_drawn(shape: dict):
    with pytest.raises(UserError, match=r"GiB for its weights, and this machine has"):
        initial_model(Options(**shape, n_layer=1000))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """The folder of a small model that was trained with the template alpaca."""
    tokenizer, model = initial_model(Options(n_layer=1, n_embd=8, n_ctx=16))
    model.save_pretrained(tmp_path / "saved")
    save_template(tmp_path / "saved", load_template("alpaca", tokenizer))
    return tmp_path / "saved"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"n_layer": 3}, "--n-layer 3: the shape of .*saved is fixed, and its n_layer is 1"),
        ({"size": "tiny"}, "--size tiny: the shape of .*saved is fixed, and its n_layer is 1"),
        ({"size": "gpt2", "n_layer": 1}, "--size gpt2: .* its n_head is 4"),
    ],
    ids=str,
)
def test_a_shape_beside_init_is_refused_unless_it_is_the_models_own(saved: Path, wrong: dict, said: str):
    with pytest.raises(UserError, match=said):
        initial_model(Options(init=str(saved), **wrong))
    assert initial_model(Options(init=str(saved), n_layer=1, n_ctx=16))[1].config.n_layer == 1


def test_a_tokenizer_beside_init_is_refused_unless_it_is_the_models_own(saved: Path, gpt2_folder: Path):
    """The ids of another would mean other words to the model."""
    with pytest.raises(UserError, match=r"is not the one that the model in .*saved was trained with"):
        initial_model(Options(init=str(saved), tokenizer=str(gpt2_folder)))
    for same in ("bytes", str(saved)):
        assert initial_model(Options(init=str(saved), tokenizer=same))[0].name == "bytes"


def test_a_model_whose_folder_has_no_vocabulary_takes_the_one_given_if_it_has_as_many_tokens(
    tmp_path: Path, gpt2_folder: Path
):
    """As folders with nothing but config.json and the weights."""
    for tokens, is_taken in ((50257, True), (50304, True), (60000, False), (1000, False)):
        config = GPTConfig(vocab_size=tokens, n_ctx=8, n_embd=2, n_head=1, n_layer=1, bos_token_id=0)
        GPT(config).save_pretrained(tmp_path / str(tokens))
        chosen = Options(init=str(tmp_path / str(tokens)), tokenizer=str(gpt2_folder))
        if is_taken:
            assert initial_model(chosen)[0].name == "gpt2"
        else:
            with pytest.raises(UserError, match=f"has 50,260 tokens and the model in .* has {tokens:,}"):
                initial_model(chosen)


def test_a_model_goes_on_with_the_template_that_it_was_trained_with(saved: Path):
    bytes_ = load_tokenizer("bytes")
    assert initial_template(Options(init=str(saved)), bytes_).name == "alpaca"
    assert notes(Options(init=str(saved), template="alpaca"), 1) == ""
    other = initial_template(Options(init=str(saved), template="documents"), bytes_)
    assert other.name == "documents"
    note = notes(Options(init=str(saved), template="documents"), 1)
    assert note.strip() == f"{saved} was trained with the template alpaca, this run with the template documents"
    assert initial_template(Options(), bytes_).name == "chatml"


def test_a_model_of_plain_text_learns_conversations_in_chatml_and_that_is_said(saved: Path):
    (saved / "minigpt.json").write_text('{"tokenizer": "bytes", "template": null}')
    template = initial_template(Options(init=str(saved)), load_tokenizer("bytes"))
    assert template.name == "chatml"
    chosen = Options(init=str(saved), template="chatml")
    assert "was trained with plain text, this run with the template chatml" in notes(chosen, 1)
    for path in saved.iterdir():
        if path.name not in ("config.json", "model.safetensors"):
            path.unlink()
    assert own_template(saved) is None
    assert notes(chosen, 1) == "", "a model from elsewhere need not say"


def test_what_is_for_conversations_is_refused_on_plain_text():
    bytes_ = load_tokenizer("bytes")
    assert initial_template(Options(), bytes_, plain=True).name is None
    for chosen in ({"template": "alpaca"}, {"accuracy_rows": 3}, {"pretrain_steps": 2}):
        [name] = chosen
        with pytest.raises(UserError, match=f"--{name.replace('_', '-')} has no effect on plain text"):
            initial_template(Options(**chosen), bytes_, plain=True)


@pytest.fixture
def foreign(tmp_path: Path, gpt2_folder: Path) -> Path:
    """The folder of a small model with GPT-2's vocabulary, as other programs save one: no control token in it."""
    torch.manual_seed(2)
    GPT(GPTConfig(n_layer=1, n_embd=8, n_head=2, n_ctx=16)).save_pretrained(tmp_path / "foreign")
    for path in gpt2_folder.iterdir():
        shutil.copy(path, tmp_path / "foreign")
    return tmp_path / "foreign"


def test_with_a_low_rank_the_rows_of_new_tokens_are_learned_and_no_others(foreign: Path, saved: Path):
    whole = initial_model(Options(init=str(foreign)))[1]
    chosen = Options(init=str(foreign), lora_rank=2, lora_alpha=3.0)
    _, model = initial_model(chosen)
    assert model.config == whole.config
    assert (model.config.vocab_size, model.config.tokens) == (50304, 50260)
    assert torch.equal(model.wte.weight, whole.wte.weight)
    assert (model.wte.first, len(model.wte.new)) == (50257, 3)
    assert (model.h[0].mlp.c_fc.rank, model.h[0].mlp.c_fc.scale) == (2, 1.5)
    learned = 16 * 2 * 8 + 3 * 8
    words = adapter_in_words(chosen, model)
    assert f"rank 2, alpha 3: {learned} numbers are learned, the rows of 3 new tokens" in words
    _, knows_them = initial_model(Options(init=str(saved), lora_rank=2))
    assert not any(p.requires_grad for p in knows_them.wte.parameters())
    assert adapter_in_words(chosen, whole) == ""


def test_the_low_rank_change_is_drawn_from_the_seed(saved: Path):
    first, again, other = (
        initial_model(Options(init=str(saved), lora_rank=2, seed=seed))[1].h[0].attn.c_attn.A for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("rank", [0, 9])
def test_a_rank_of_none_or_above_the_width_is_refused(saved: Path, rank: int):
    with pytest.raises(UserError) as caught:
        initial_model(Options(init=str(saved), lora_rank=rank))
    assert str(caught.value) == f"--lora-rank is {rank}; it must be from 1 to 8, the width of this model."


def test_fewer_rows_than_were_to_be_answered_are_said():
    assert "--accuracy-rows is 9, and 3 held-out rows" in notes(Options(accuracy_rows=9), 3)
    assert notes(Options(accuracy_rows=3), 3) == ""
    assert notes(Options(), 3) == ""


def test_more_tokens_than_the_context_holds_are_refused():
    assert [longest_row(given, 512) for given in (None, 1, 512)] == [512, 1, 512]
    with pytest.raises(UserError, match=r"--max-length is 5,000, and the model's context holds 512 tokens"):
        longest_row(5000, 512)


def test_dropout_reaches_every_layer_of_a_model_that_is_fine_tuned(tmp_path):
    tokenizer, model = initial_model(Options(n_layer=1, n_embd=8, n_ctx=16))
    model.save_pretrained(tmp_path)
    save_template(tmp_path, load_template("chatml", tokenizer))
    _, again = initial_model(Options(init=str(tmp_path), dropout=0.5))
    assert {m.p for m in again.modules() if isinstance(m, torch.nn.Dropout)} == {0.5} == {again.config.dropout}
