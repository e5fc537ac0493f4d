"""--keep-best and --patience: the weights with the lowest held-out loss, and when a run ends without a better one."""

import contextlib
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minigpt import GPT, load_template, load_tokenizer
from minigpt.errors import UserError
from minigpt.run import best as best_module
from minigpt.run.best import Best, check_not_over, held_out_losses, is_due, since_lowest
from minigpt.run.metrics import Metrics
from minigpt.run.options import Options
from minigpt.run.start import load_model
from tests.conftest import two_layers

NAN = float("nan")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run's folder, after the evaluation before its first step."""
    evaluated(tmp_path, {0: 5.0})
    return tmp_path


def evaluated(folder: Path, losses: dict[int, float]) -> None:
    metrics = Metrics(folder / "metrics.jsonl", 10**9)
    for step, loss in losses.items():
        metrics.write(step, "train", loss=9.0)
        metrics.write(step, "valid", loss=loss)
    metrics.close()


def begin(folder: Path, model: GPT, **options: object) -> Best:
    template = load_template("documents", load_tokenizer("bytes"))
    best = Best(folder, Options(steps=100, eval_every=10, **options), template)
    best.keep_initial(model)
    return best


def marked(model: GPT, mark: float) -> GPT:
    with torch.no_grad():
        model.ln_f.bias.fill_(mark)
    return model


def mark_of(folder: Path) -> float:
    return GPT.from_pretrained(folder).ln_f.bias[0].item()


def test_the_weights_with_the_lowest_loss_are_kept_whatever_comes_after(folder, small_model):
    best = begin(folder, marked(small_model, 0.0), keep_best=True)
    for step, loss in ((10, 3.0), (20, 2.0), (30, 2.5), (40, NAN), (50, 2.0)):
        marked(small_model, step)
        best.consider(step, loss, small_model)
    assert mark_of(folder / "best") == 20.0
    assert (best.step, best.loss) == (20, 2.0)
    model, template = load_model(folder / "best")  # complete: with its tokenizer and its template
    assert (template.name, model.ln_f.bias[0].item()) == ("documents", 20.0)
    assert {path.name for path in folder.iterdir()} == {"metrics.jsonl", "best"}


def test_the_initial_weights_are_the_best_until_others_are_better(folder, small_model):
    """Fine-tuning may only make a model worse."""
    best = begin(folder, marked(small_model, 1.0), keep_best=True)
    best.consider(10, 6.0, small_model)
    assert (mark_of(folder / "best"), best.step) == (1.0, 0)


def test_a_resumed_run_knows_the_best_so_far_and_its_count(folder, small_model):
    begin(folder, small_model, keep_best=True).consider(10, 2.0, small_model)
    evaluated(folder, {10: 2.0, 20: 3.0})
    resumed = begin(folder, marked(small_model, 7.0), keep_best=True, patience=2)
    assert (resumed.step, resumed.loss, resumed.is_over) == (10, 2.0, False)
    resumed.consider(30, 2.5, small_model)
    assert (mark_of(folder / "best") == 7.0, resumed.is_over) == (False, True)


def test_without_the_option_nothing_is_written(folder, small_model):
    begin(folder, small_model).consider(10, 1.0, small_model)
    assert not (folder / "best").exists()


def test_after_the_last_step_too_is_evaluated_if_the_best_is_wanted(folder):
    """On the same rows as before: the run's final evaluation may read more."""
    options = Options(steps=100, eval_every=10)
    assert [step for step in range(1, 101) if is_due(step, options)] == list(range(10, 100, 10))
    assert is_due(100, replace(options, keep_best=True))
    evaluated(folder, {100: 1.0})
    evaluated(folder, {100: 4.0})
    assert held_out_losses(folder) == {0: 5.0, 100: 1.0}


@pytest.mark.parametrize(
    ("losses", "patience", "over"),
    [
        ([4.0, 3.0, 2.0], 1, False),
        ([4.0, 3.0, 3.0], 1, True),
        ([4.0, 3.0, 3.5, 2.9], 2, False),
        ([4.0, 3.0, 3.5, 3.0], 2, True),
        ([4.0, NAN, NAN], 2, True),
        ([6.0, 7.0], 2, True),
        ([NAN], 2, False),
        ([6.0] * 9, None, False),
    ],
)
def test_the_run_is_over_after_so_many_evaluations_without_a_lower_loss(folder, small_model, losses, patience, over):
    """The loss before the first step, 5, is one to be bettered."""
    best = begin(folder, small_model, patience=patience)
    for i, loss in enumerate(losses, start=1):
        best.consider(10 * i, loss, small_model)
    assert best.is_over is over


@given(st.lists(st.floats(0, 9) | st.just(NAN), max_size=9))
def test_the_count_is_that_of_a_walk_through_the_losses(values):
    count, lowest = 0, None
    for value in values:
        if lowest is None or value < lowest or (lowest != lowest and value == value):
            count, lowest = 0, value
        else:
            count += 1
    assert since_lowest(dict(enumerate(values))) == count


def test_at_any_instant_the_folder_holds_whole_weights_at_least_as_good_as_its_record(folder, small_model, monkeypatch):
    """The process ends at each file operation in turn."""
    best = begin(folder, marked(small_model, 0.0), keep_best=True)
    calls = [(os, "replace"), (best_module.shutil, "rmtree"), (Path, "write_text"), (best_module, "write_model")]
    for module, name in calls:
        for allowed in range(3):
            step = best.step + 10
            with monkeypatch.context() as patch:
                real, left = getattr(module, name), [allowed]

                def dying(*args, real=real, left=left, **more):
                    if not left[0]:
                        raise KeyboardInterrupt
                    left[0] -= 1
                    return real(*args, **more)

                patch.setattr(module, name, dying)
                marked(small_model, step)
                with contextlib.suppress(KeyboardInterrupt):
                    best.consider(step, 5.0 - step / 1000, small_model)
            record = json.loads((folder / "best" / "best.json").read_text())
            assert mark_of(folder / "best") >= record["step"]
            best = begin(folder, small_model, keep_best=True)


def test_a_run_that_ended_so_is_finished_until_it_is_given_more_patience(folder):
    evaluated(folder, {10: 6.0, 20: 6.0})
    check_not_over(folder, 20, 2)  # it ended before its last figures were written: these are still to come
    (folder / "result.json").touch()
    with pytest.raises(UserError, match=r"stopped after step 20, 2 evaluations in a row.*A larger --patience"):
        check_not_over(folder, 20, 2)
    check_not_over(folder, 20, 3)
    check_not_over(folder, 20, None)
    check_not_over(folder, 10, 2)  # resumed from an earlier checkpoint


def test_what_is_said_at_the_end(folder, small_model, capsys):
    best = begin(folder / "", small_model, keep_best=True, patience=1)
    best.consider(10, 2.0, small_model)
    best.consider(20, 3.0, small_model)
    best.after_training(20)
    first, command, last = capsys.readouterr().out.splitlines()
    assert first == "Stopped after step 20 of 100: 1 evaluation in a row without a lower held-out loss than 2.000."
    assert command == f"To continue: python -m minigpt.train --resume --run {folder} --patience 2"
    assert last.startswith(f"Lowest held-out loss 2.000, after step 10: {folder / 'best'} has those weights")
    begin(folder, two_layers()).after_training(100)
    assert capsys.readouterr().out == ""


def test_the_best_weights_of_a_run_that_was_not_asked_for_them_at_first(folder, small_model, capsys):
    """Those of its earlier evaluations are gone, and that is said."""
    evaluated(folder, {10: 1.0})
    resumed = begin(folder, marked(small_model, 3.0), keep_best=True)
    assert not (folder / "best").exists()
    resumed.consider(20, 2.0, small_model)
    resumed.after_training(20)
    assert mark_of(folder / "best") == 3.0
    said = "Lowest held-out loss since --keep-best was given (it was 1.000 before) 2.000, after step 20"
    assert said in " ".join(capsys.readouterr().out.split())


def test_a_record_that_is_none_is_named(folder, small_model):
    begin(folder, small_model, keep_best=True)
    (folder / "best" / "best.json").write_text('{"step": "x"}')
    with pytest.raises(UserError, match=r"best\.json does not hold a step and a loss"):
        begin(folder, small_model, keep_best=True)
