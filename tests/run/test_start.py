"""The initial model of a run: its shape and its dropout."""

import pytest
import torch

from minigpt.errors import UserError
from minigpt.run.options import Options, check
from minigpt.run.start import initial_model
from minigpt.text.template import load_template, save_template


def test_the_shape_options_replace_those_of_the_size_and_only_those():
    _, model = initial_model(Options(n_layer=3, n_head=2, n_embd=32, n_ctx=16, dropout=0.25))
    config = model.config
    assert (config.n_layer, config.n_head, config.n_embd, config.n_ctx, config.dropout) == (3, 2, 32, 16, 0.25)
    assert initial_model(Options(n_layer=3))[1].config.n_embd == initial_model(Options())[1].config.n_embd


def test_an_impossible_shape_is_a_sentence():
    with pytest.raises(UserError, match="n_embd is 30 and n_head is 4"):
        initial_model(Options(n_embd=30))


def test_a_shape_beside_init_is_refused():
    with pytest.raises(UserError, match="--n-layer, --n-ctx: the shape of some/folder is fixed"):
        check(Options(init="some/folder", n_layer=3, n_ctx=8))


@pytest.mark.parametrize(
    "wrong", [{"dropout": 1.0}, {"betas": (0.9, 1.0)}, {"min_lr": -1.0}, {"clip": 0.0}, {"n_ctx": 0}]
)
def test_numbers_outside_their_range_are_refused_by_the_options_name(wrong):
    [name] = wrong
    with pytest.raises(UserError, match=f"--{name.replace('_', '-')} is"):
        check(Options(**wrong))


def test_dropout_reaches_every_layer_of_a_model_that_is_fine_tuned(tmp_path):
    tokenizer, model = initial_model(Options(n_layer=1, n_embd=8, n_ctx=16))
    model.save_pretrained(tmp_path)
    save_template(tmp_path, load_template("chatml", tokenizer))
    _, again = initial_model(Options(init=str(tmp_path), dropout=0.5))
    assert {m.p for m in again.modules() if isinstance(m, torch.nn.Dropout)} == {0.5} == {again.config.dropout}
