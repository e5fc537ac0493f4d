"""The defaults that the commands rely on are what --help says of them, and what the README's figures were made with."""

import importlib
import re
from pathlib import Path

import pytest
import torch

from minigpt import GPTConfig, command, load_tokenizer
from minigpt.errors import UserError
from minigpt.learn.trainer import Recipe
from minigpt.run import options as options_module
from minigpt.run.options import Options, check, recipe, with_defaults, with_device
from minigpt.sample.sampling import Sampling

BYTES = load_tokenizer("bytes")
README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
ROWS = 640  # conversations to train on, where their number matters


def filled_in(rows: int = ROWS, **chosen: object) -> Options:
    """The options of a run on data of one's own."""
    return with_defaults(Options(**{"data": ("own.jsonl",), **chosen}), rows, 512, BYTES)


@pytest.fixture
def help_text(capsys: pytest.CaptureFixture) -> str:
    """`python -m minigpt.train --help` in one line."""
    with pytest.raises(SystemExit):
        command.parse(Options, "train", ["--help"])
    return " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_the_default_job_is_the_one_whose_figures_the_readme_shows() -> None:
    """Accuracy and minutes were measured with this recipe; whoever changes it measures them again."""
    chosen = with_defaults(with_device(Options(device="cpu")), 7684, 512, BYTES)
    assert recipe(chosen) == Recipe(
        steps=1250, batch_size=16, micro_batch_size=16, lr=3e-3, warmup_steps=100, pretrain_steps=500, seed=0,
        weight_decay=0.1, betas=(0.9, 0.99), clip=1.0, dtype="float32",
    )  # fmt: skip
    assert "1,250 steps each" in README
    assert (chosen.eval_every, chosen.checkpoint_every, chosen.keep) == (250, 500, 2)


def test_adams_second_moment_forgets_within_the_warmup() -> None:
    """Its mean is over 1 / (1 - b2) steps, the first moment's over a tenth of that: both are settled at the peak."""
    b1, b2 = Recipe(steps=1, batch_size=1, micro_batch_size=1, lr=1.0, warmup_steps=1).betas
    assert 1 / (1 - b1) == pytest.approx(10)
    assert 1 / (1 - b2) == pytest.approx(Options().warmup_steps)


def test_the_learning_rates_are_those_that_the_help_names(help_text: str) -> None:
    rates = re.search(r"(\S+) from scratch at size tiny, (\S+) at the others, (\S+) when fine-tuning", help_text)
    tiny, other, fine_tuning = map(float, rates.groups())
    assert filled_in().lr == tiny
    assert [filled_in(size=size).lr for size in ("gpt2", "gpt2-xl")] == [other, other]
    assert [filled_in(size=size, init="gpt2").lr for size in ("tiny", "gpt2")] == [fine_tuning, fine_tuning]
    assert filled_in(lr=0.5).lr == 0.5


def test_without_steps_the_data_is_passed_over_as_often_as_the_help_says(help_text: str) -> None:
    epochs = int(re.search(r"Passes over the data, instead of --steps; (\d+) if neither is given", help_text)[1])
    assert filled_in().steps * Options().batch_size == epochs * ROWS
    assert filled_in(epochs=0.5).steps * Options().batch_size == ROWS // 2
    assert filled_in(rows=1, epochs=0.01).steps == 1, "never none"
    assert filled_in(steps=7).steps == 7
    assert with_defaults(Options(epochs=1.0), ROWS, 512, BYTES).steps == ROWS // 16, "the default job's can be changed"


@pytest.mark.parametrize("steps", [5, 12, 1000])
def test_a_fifth_and_two_fifths_of_the_run_are_what_the_help_says(help_text: str, steps: int) -> None:
    assert "a fifth of the run if left out" in help_text
    assert "two fifths from scratch if left out, else none" in help_text
    chosen = filled_in(steps=steps)
    assert chosen.eval_every == int(steps / 5)
    assert chosen.pretrain_steps == int(2 * steps / 5)
    assert filled_in(steps=steps, init="gpt2").pretrain_steps == 0
    assert filled_in(steps=steps, supervise="all").pretrain_steps == 0
    assert filled_in(steps=steps, pretrain_steps=0).pretrain_steps == 0
    assert filled_in(steps=steps, pretrain_steps=3).pretrain_steps == 3
    assert filled_in(steps=steps, pretrain_steps=steps + 1).pretrain_steps == steps
    assert filled_in(steps=steps, eval_every=1).eval_every == 1


def test_a_short_run_warms_up_over_no_more_than_a_fifth_of_it_and_evaluates_after_some_step() -> None:
    """Else its rate would never reach the peak."""
    assert [filled_in(steps=steps).warmup_steps for steps in (1, 10, 499, 500, 5000)] == [0, 2, 99, 100, 100]
    assert filled_in(steps=2).eval_every == 1


def test_a_step_takes_its_rows_at_once_unless_fewer_are_chosen() -> None:
    assert filled_in(batch_size=12).micro_batch_size == 12
    assert filled_in(batch_size=12, micro_batch_size=5).micro_batch_size == 5
    assert filled_in(batch_size=12, micro_batch_size=50).micro_batch_size == 12


def test_what_depends_on_the_data_and_the_model_is_filled_in() -> None:
    chosen = filled_in()
    assert (chosen.max_length, chosen.tokenizer, chosen.epochs) == (512, "bytes", None)
    assert filled_in(init="gpt2").tokenizer == "gpt2", "the folder whose vocabulary grows by the control tokens"
    assert filled_in(init="gpt2", tokenizer="other").tokenizer == "other"


def test_the_spare_checkpoint_that_the_help_promises_is_kept(help_text: str) -> None:
    assert "the one before the last is a spare" in help_text
    assert Options().keep == 2


@pytest.mark.parametrize("name", options_module.POSITIVE)
@pytest.mark.parametrize("value", [0, -1, 0.0, float("nan")])
def test_a_number_that_must_be_above_zero_is_refused_by_the_name_of_its_option(name: str, value: float) -> None:
    chosen = Options()
    setattr(chosen, name, value)
    with pytest.raises(UserError, match=f"--{name.replace('_', '-')} is {value}; it must be above 0"):
        check(chosen)
    setattr(chosen, name, 1e-9)
    check(chosen)


def test_steps_and_epochs_together_are_refused_and_each_alone_is_not() -> None:
    for chosen in (Options(), Options(steps=3), Options(epochs=1.0)):
        check(chosen)
    with pytest.raises(UserError, match="--steps and --epochs"):
        check(Options(steps=3, epochs=1.0))


@pytest.mark.parametrize(
    ("device", "has_bfloat16", "dtype"),
    [("cpu", True, "float32"), ("cuda", True, "bfloat16"), ("cuda", False, "float32"), ("mps", True, "float32")],
)
def test_auto_takes_bfloat16_on_a_cuda_gpu_that_has_it_alone(
    device: str, has_bfloat16: bool, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options_module, "choose_device", torch.device)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: has_bfloat16)
    chosen = with_device(Options(device=device))
    assert (chosen.device, chosen.dtype) == (device, dtype)
    if device == "mps":
        with pytest.raises(UserError, match="bfloat16 is not available on an Apple GPU"):
            with_device(Options(device=device, dtype="bfloat16"))
    else:
        assert with_device(Options(device=device, dtype="bfloat16")).dtype == "bfloat16"


def test_generate_without_options_draws_from_the_models_own_distribution() -> None:
    """No temperature, top-k or top-p bends it, in the command or from Python."""
    chosen = importlib.import_module("minigpt.generate").Options(model="x")
    own = Sampling(temperature=1.0, top_k=None, top_p=None)
    assert Sampling() == own
    assert Sampling(chosen.temperature, chosen.top_k, chosen.top_p) == own
    assert (chosen.samples, chosen.max_new_tokens) == (1, 100)


def test_an_answer_in_a_chat_is_drawn_more_surely_than_that_and_fits_beside_its_question() -> None:
    chosen = importlib.import_module("minigpt.chat").Options(model="x")
    assert 0.0 < chosen.temperature < 1.0
    assert chosen.temperature == 0.7
    assert chosen.max_new_tokens == GPTConfig.named("tiny").n_ctx // 2
