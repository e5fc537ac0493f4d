"""The defaults that the commands rely on are what --help says of them, and what the README's figures were made with."""

import importlib
import re
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from minigpt import GPTConfig, command, load_tokenizer
from minigpt.errors import UserError
from minigpt.learn.trainer import Recipe
from minigpt.run import defaults as defaults_module
from minigpt.run.defaults import DEFAULT_WARMUP, derived, with_defaults, with_device
from minigpt.run.folder import write_options
from minigpt.run.options import Options, check, recipe, saved_options
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
    assert 1 / (1 - b2) == pytest.approx(DEFAULT_WARMUP)


def test_the_learning_rates_are_those_that_the_help_names(help_text: str) -> None:
    said = r"(\S+) from scratch at size tiny, (\S+) at the others, (\S+) when fine-tuning, with --lora-rank (\S+)\."
    rates = re.search(said, help_text)
    tiny, other, fine_tuning, adapters = map(float, rates.groups())
    assert filled_in(init="gpt2", lora_rank=8).lr == adapters
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
    assert filled_in(steps=steps, pretrain_steps=steps).pretrain_steps == steps
    assert filled_in(steps=steps, eval_every=1).eval_every == 1


def test_a_short_run_warms_up_over_no_more_than_a_fifth_of_it_and_evaluates_after_some_step() -> None:
    """Else its rate would never reach the peak; a warmup that was asked for is not shortened."""
    assert [filled_in(steps=steps).warmup_steps for steps in (1, 10, 499, 500, 5000)] == [0, 2, 99, 100, 100]
    assert filled_in(steps=2).eval_every == 1
    assert filled_in(steps=10, warmup_steps=9).warmup_steps == 9
    assert filled_in(steps=10, warmup_steps=0).warmup_steps == 0


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"warmup_steps": 10}, "--warmup-steps is 10, and the run has 10 steps"),
        ({"pretrain_steps": 11}, "--pretrain-steps is 11, and the run has 10 steps"),
        ({"min_lr": 0.1, "lr": 0.01}, r"--min-lr is 0\.1, above the peak learning rate of 0\.01"),
        ({"min_lr": 0.1}, r"--min-lr is 0\.1, above the peak learning rate of 0\.003"),
    ],
    ids=str,
)
def test_a_number_that_the_run_has_no_room_for_is_refused_and_not_cut(chosen: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        filled_in(steps=10, **chosen)


def test_a_step_takes_its_rows_at_once_unless_fewer_are_chosen() -> None:
    assert filled_in(batch_size=12).micro_batch_size == 12
    assert filled_in(batch_size=12, micro_batch_size=5).micro_batch_size == 5
    with pytest.raises(UserError, match="--micro-batch-size is 50, and a step has 12"):
        check(Options(batch_size=12, micro_batch_size=50))
    check(Options(batch_size=12, micro_batch_size=12))


def test_steps_on_every_token_are_refused_where_all_are() -> None:
    with pytest.raises(UserError, match="--pretrain-steps has no effect with --supervise all"):
        check(Options(supervise="all", pretrain_steps=5))
    check(Options(supervise="all", pretrain_steps=0))


def test_what_depends_on_the_data_and_the_model_is_filled_in() -> None:
    chosen = filled_in()
    assert (chosen.max_length, chosen.tokenizer, chosen.epochs) == (512, "bytes", None)
    assert (chosen.size, chosen.template) == ("tiny", "chatml")
    assert (filled_in(init="gpt2").size, filled_in(template="alpaca").template) == (None, "alpaca")
    assert filled_in(epochs=2.0).epochs == 2.0, "what was given stays beside what follows from it"
    assert filled_in(init="gpt2").tokenizer == "gpt2", "the folder whose vocabulary grows by the control tokens"
    assert filled_in(init="gpt2", tokenizer="other").tokenizer == "other"


def test_a_change_of_low_rank_needs_weights_to_change_and_its_scale_a_rank() -> None:
    with pytest.raises(UserError) as caught:
        check(Options(lora_rank=8))
    assert str(caught.value) == ("--lora-rank learns a small change to weights that are there; give them with --init.")
    with pytest.raises(UserError) as caught:
        check(Options(init="gpt2", lora_alpha=8.0))
    assert str(caught.value) == "--lora-alpha scales what --lora-rank learns; give both."
    check(Options(init="gpt2", lora_rank=8, lora_alpha=8.0))
    assert filled_in(init="gpt2", lora_rank=8).lora_alpha == 16.0, "the scale 2"
    assert filled_in(init="gpt2", lora_rank=8, lora_alpha=8.0).lora_alpha == 8.0
    assert filled_in(init="gpt2").lora_alpha is None


def test_the_spare_checkpoint_that_the_help_promises_is_kept(help_text: str) -> None:
    assert "the one before the last is a spare" in help_text
    assert Options().keep == 2


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
    monkeypatch.setattr(defaults_module, "choose_device", torch.device)
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


def written(folder: Path, given: Options, **more: object) -> Path:
    """The folder of a run that was started with these options, as its options.json says."""
    resolved = with_defaults(with_device(given), ROWS, 512, BYTES)
    write_options(folder, asdict(resolved) | {"derived": derived(given, resolved)} | more)
    return folder


def read_back(folder: Path, **chosen: object) -> Options:
    """The options of a run that is resumed with these."""
    saved = saved_options(Options(resume=True, run=folder, **chosen))
    given = [f"--{name.replace('_', '-')}={value}" for name, value in chosen.items()]
    return command.parse(Options, "train", given, saved)


def test_what_was_left_out_is_derived_again_and_what_was_given_is_kept(tmp_path: Path) -> None:
    given = Options(data=("own.jsonl",), steps=20, eval_every=7, device="auto", betas=(0.8, 0.9))
    longer = read_back(written(tmp_path, given), steps=200)
    assert (longer.warmup_steps, longer.pretrain_steps, longer.lr, longer.device) == (None, None, None, "auto")
    assert (longer.eval_every, longer.betas, longer.batch_size) == (7, (0.8, 0.9), 16)
    resolved = with_defaults(longer, ROWS, 512, BYTES)
    assert (resolved.warmup_steps, resolved.pretrain_steps, resolved.eval_every) == (40, 80, 7)


@pytest.mark.parametrize(("started", "resumed"), [({"steps": 20}, {"epochs": 3.0}), ({"epochs": 3.0}, {"steps": 20})])
def test_of_steps_and_epochs_the_one_that_is_given_when_resuming_counts(
    tmp_path: Path, started: dict, resumed: dict
) -> None:
    written(tmp_path, Options(data=("own.jsonl",), **started))
    chosen = read_back(tmp_path, **resumed)
    check(chosen)
    assert (chosen.steps, chosen.epochs) == (resumed.get("steps"), resumed.get("epochs"))
    again = read_back(tmp_path)
    assert (again.steps, again.epochs) == (started.get("steps"), started.get("epochs"))


def test_a_run_of_an_earlier_version_beside_a_model_keeps_neither_the_size_nor_the_path_that_it_did_not_use(
    tmp_path: Path,
) -> None:
    """Its options.json says size tiny, and names the model's folder as the tokenizer."""
    values = asdict(Options(init="some/model", tokenizer="some/model", size="tiny", steps=5, warmup_steps=1))
    write_options(tmp_path, values)
    chosen = read_back(tmp_path)
    assert (chosen.size, chosen.tokenizer, chosen.warmup_steps) == (None, None, 1)
    write_options(tmp_path, values | {"tokenizer": "bytes"})
    assert read_back(tmp_path).tokenizer == "bytes"
