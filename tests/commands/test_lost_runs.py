"""A run that is stopped, killed, changed, repeated, or taken over by another process."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from minigpt import command, train
from minigpt.learn.trainer import Trainer
from minigpt.run import report, samples
from minigpt.run.checkpoint import checkpoints
from minigpt.run.folder import Lock
from tests.commands.conftest import write_questions
from tests.commands.test_mistakes import source_on_path
from tests.faults import METHODS, inject, outcome

pytestmark = pytest.mark.usefixtures("no_pictures")

# Micro-batches of 2, 2 and 1 rows; 38 rows to learn from, so that epochs end within a step.
ASKED = ("--steps", 9, "--batch-size", 5, "--micro-batch-size", 2, "--accuracy-rows", 2, "--eval-every", 4)


def stop_before(monkeypatch: pytest.MonkeyPatch, step: int, *signals: signal.Signals) -> None:
    """These signals reach the process while it is about to take this step."""
    train_step = Trainer.train_step

    def interrupted(trainer: Trainer):
        if trainer.step == step - 1:
            for number in signals:
                signal.raise_signal(number)
        return train_step(trainer)

    monkeypatch.setattr(Trainer, "train_step", interrupted)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_run_stopped_twice_ends_in_the_bytes_of_one_never_stopped(cli, tmp_path, questions, monkeypatch, dtype):
    """Weights, moments, losses, gradients' norms, rates, samples: with accumulation, within an epoch, at any step."""
    options = ("--data", questions, *ASKED, "--dtype", dtype)
    assert cli("train", *options, "--run", tmp_path / "whole").status == 0
    args = (*options, "--run", tmp_path / "parts")
    for step, number in ((3, signal.SIGINT), (6, signal.SIGHUP), (8, signal.SIGTERM)):
        with monkeypatch.context() as patch:
            stop_before(patch, step, number)
            stopped = cli("train", *args)
        assert stopped.status == 128 + number
        assert f"Stopped after step {step}. To continue: python -m minigpt.train --resume --run" in stopped.out
        assert (tmp_path / "parts" / "loss.png").exists()
        assert checkpoints(tmp_path / "parts" / "checkpoint")[-1].name == f"step-{step:08d}"
        monkeypatch.chdir(tmp_path)
        args = ("--resume", "--run", tmp_path / "parts")
    assert cli("train", *args).status == 0
    whole, parts = outcome(tmp_path / "whole"), outcome(tmp_path / "parts")
    for what in whole:
        assert parts[what] == whole[what], what
    steps = [event["step"] for event in parts["events"] if event["split"] == "train"]
    assert steps == list(range(1, 10))


def stop_within(monkeypatch: pytest.MonkeyPatch, when: str, number: signal.Signals) -> None:
    """This signal comes after the first batch of the `when`-th evaluation or answering, counted from 1."""
    name, count = when.split()
    module = samples if name == "answer" else report
    function, seen = getattr(module, name), []

    def interrupted(*args: object, **more: object):
        seen.append(1)
        if len(seen) == int(count):
            signal.raise_signal(number)
        return function(*args, **more)

    monkeypatch.setattr(module, name, interrupted)


def test_a_run_stopped_within_its_evaluations_ends_in_the_bytes_of_one_never_stopped(
    cli, tmp_path, questions, monkeypatch
):
    """At once, before its training, midway and after it; what was abandoned is done by the resumed run."""
    options = ("--data", questions, *ASKED)
    assert cli("train", *options, "--run", tmp_path / "whole").status == 0
    args = (*options, "--run", tmp_path / "parts")
    for when, step in (
        ("answer 2", 0),
        ("response_loss 2", 4),
        ("answer 1", 4),
        ("response_loss 1", 8),
        ("answer 1", 9),
    ):
        with monkeypatch.context() as patch:
            stop_within(patch, when, signal.SIGINT)
            stopped = cli("train", *args)
        assert stopped.status == 130, (when, stopped.err)
        assert f"leaving the evaluation after step {step}, then saving" in stopped.err
        assert f"Stopped after step {step}. To continue: python -m minigpt.train --resume --run" in stopped.out
        monkeypatch.chdir(tmp_path)
        args = ("--resume", "--run", tmp_path / "parts")
    assert cli("train", *args).status == 0
    whole, parts = outcome(tmp_path / "whole"), outcome(tmp_path / "parts")
    for what in whole:
        assert parts[what] == whole[what], what


def test_a_second_ctrl_c_ends_at_once(cli, tmp_path, questions, monkeypatch):
    stop_before(monkeypatch, 3, signal.SIGINT, signal.SIGINT)
    stopped = cli("train", "--data", questions, *ASKED, "--run", tmp_path / "run")
    assert stopped.status == 130
    assert "To continue" not in stopped.out
    assert checkpoints(tmp_path / "run" / "checkpoint") == []
    assert not (tmp_path / "run" / "owner").exists()


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was stopped after four of its nine steps, with its data beside it."""
    folder = tmp_path_factory.mktemp("once")
    data = write_questions(folder / "questions.jsonl")
    with pytest.MonkeyPatch.context() as patch:
        stop_before(patch, 4, signal.SIGINT)
        patch.setattr(sys, "argv", ["train", "--data", str(data), *map(str, ASKED), "--run", str(folder / "stopped")])
        with pytest.raises(SystemExit):
            command.run(train.Options, train.main, "train", train.saved_options)
    torch.set_flush_denormal(False)
    return folder / "stopped"


@pytest.fixture
def stopped(once: Path, tmp_path: Path) -> Path:
    """A copy of it, to go on with."""
    shutil.copytree(once, tmp_path / "stopped")
    return tmp_path / "stopped"


def resume(cli, run: Path, *changes: object):
    return cli("train", "--resume", "--run", run, *changes)


def test_a_run_that_died_before_its_first_checkpoint_begins_anew(cli, once, stopped):
    for path in checkpoints(stopped / "checkpoint"):
        shutil.rmtree(path)
    assert resume(cli, stopped).status == 0
    expected = outcome(stopped)
    shutil.rmtree(stopped)
    shutil.copytree(once, stopped)
    assert resume(cli, stopped).status == 0
    assert outcome(stopped) == expected


def test_a_run_that_died_while_its_result_was_written_is_finished_by_resuming_it(cli, stopped):
    """Between the last step's checkpoint and result.json; its last evaluation is not recorded twice."""
    assert resume(cli, stopped).status == 0
    expected = outcome(stopped)
    (stopped / "result.json").unlink()
    again = resume(cli, stopped)
    assert again.status == 0, again.err
    assert (stopped / "result.json").exists()
    assert outcome(stopped) == expected
    finished = resume(cli, stopped)
    assert finished.status == 2
    assert "is finished: it took its 9 steps" in finished.err


def test_a_finished_run_goes_on_where_more_steps_are_asked_for(cli, stopped):
    resume(cli, stopped)
    longer = resume(cli, stopped, "--steps", 11)
    assert longer.status == 0, longer.err
    assert "changed --steps 9 to 11: from step 10 on the training differs" in longer.out
    assert "changed --pretrain-steps 3 to 4, which follows from the others" in longer.out
    assert "--eval-every" not in longer.out, "it was given when the run was started"
    events = outcome(stopped)["events"]
    assert [event["step"] for event in events if event["split"] == "train"] == list(range(1, 12))
    assert all(event["lr"] > 0 for event in events if event["split"] == "train")
    saved = json.loads((stopped / "options.json").read_text())
    assert (saved["steps"], saved["warmup_steps"], saved["eval_every"], saved["epochs"]) == (11, 2, 4, None)
    assert {"warmup_steps", "pretrain_steps", "lr"} <= set(saved["derived"])
    assert not {"steps", "eval_every", "batch_size"} & set(saved["derived"])


def test_a_run_that_was_counted_in_steps_goes_on_in_epochs(cli, stopped):
    """Two passes over 38 rows, five at a time."""
    longer = resume(cli, stopped, "--epochs", 2)
    assert longer.status == 0, longer.err
    assert "changed --steps 9 to 15, which follows from the others: from step 5" in longer.out


def test_a_run_whose_data_was_moved_goes_on_and_is_repeated_under_its_new_name(cli, stopped, tmp_path, once):
    """Its bytes are what was trained on, whatever they are called."""
    moved = shutil.copy(once.parent / "questions.jsonl", tmp_path / "moved to.jsonl")
    resumed = resume(cli, stopped, "--data", moved)
    assert resumed.status == 0, resumed.err
    assert f"to {moved}: the same bytes, so the training is the same" in resumed.out
    assert list(json.loads((stopped / "options.json").read_text())["sha256"]) == [str(moved)]
    again = cli("train", "--repeat", stopped, "--data", once.parent / "questions.jsonl", "--run", tmp_path / "again")
    assert again.status == 0, again.err
    assert outcome(tmp_path / "again")["model"] == outcome(stopped)["model"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("--lr", 1e-4), "changed --lr 0.003 to 0.0001: from step 5 on the training differs"),
        (
            ("--micro-batch-size", 5),
            "changed --micro-batch-size 2 to 5: the training is the same up to rounding",
        ),
        (("--keep", 5), "changed --keep 2 to 5: the training is the same\n"),
        (("--weight-decay", 0), "changed --weight-decay 0.1 to 0.0: from step 5"),
    ],
    ids=str,
)
def test_a_changed_option_is_reported_with_its_effect_and_recorded(cli, stopped, change, said):
    changed = resume(cli, stopped, *change)
    assert changed.status == 0, changed.err
    assert said in changed.out
    recorded = json.loads((stopped / "options.json").read_text())
    name = change[0][2:].replace("-", "_")
    assert recorded[name] == change[1]
    assert [(c["step"], c["option"], c["to"]) for c in recorded["changes"]] == [(4, name, change[1])]


def test_a_changed_decay_and_rate_are_what_the_optimizer_continues_with(cli, stopped, monkeypatch):
    seen = []
    train_step = Trainer.train_step

    def watched(trainer: Trainer):
        report = train_step(trainer)
        seen.append((trainer.optimizer.param_groups[0]["weight_decay"], report.lr))
        return report

    monkeypatch.setattr(Trainer, "train_step", watched)
    resume(cli, stopped, "--weight-decay", 0.5, "--lr", 1e-5)
    assert {decay for decay, _ in seen} == {0.5}
    assert max(lr for _, lr in seen) <= 1e-5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("--seed", 3), "--seed was 0 when the run was started and cannot become 3"),
        (("--template", "alpaca"), "--template was 'chatml'"),
        (("--data", "builtin"), "train.jsonl is not the "),
        (("--data", "nowhere.jsonl"), "nowhere.jsonl is not where the run found it"),
        (("--steps", 2), "has already taken 4 steps; --steps 2 is already past"),
        (("--epochs", 2, "--steps", 9), "--steps and --epochs both set the number of steps"),
        (("--lr", "fast"), "--lr is 'fast'; it takes a number"),
        (("--repeat", "x"), "give one of them"),
    ],
    ids=str,
)
def test_what_cannot_be_changed_on_the_way_is_refused_and_nothing_lost(cli, stopped, change, said):
    before = outcome_so_far(stopped)
    refused = resume(cli, stopped, *change)
    assert refused.status == 2
    assert said in refused.err
    assert "Traceback" not in refused.err
    assert outcome_so_far(stopped) == before


def outcome_so_far(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()}


def test_a_run_whose_data_has_changed_is_not_resumed(cli, once, stopped):
    data = once.parent / "questions.jsonl"
    content = data.read_text()
    try:
        data.write_text(content + '{"question": "new?", "answer": "yes"}\n')
        refused = resume(cli, stopped)
    finally:
        data.write_text(content)
    assert refused.status == 2
    assert "questions.jsonl changed since the run was started" in refused.err


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"steps": "many"}', '{"data": 3}', '{"size": "vast"}'])
def test_options_that_are_none_are_a_sentence(cli, stopped, text):
    (stopped / "options.json").write_text(text)
    refused = resume(cli, stopped)
    assert refused.status == 2
    assert refused.out == ""
    assert "Traceback" not in refused.err


def test_a_run_is_repeated_to_the_same_losses(cli, stopped, tmp_path):
    resume(cli, stopped)
    again = cli("train", "--repeat", stopped, "--run", tmp_path / "again")
    assert again.status == 0, again.err
    first, second = outcome(stopped), outcome(tmp_path / "again")
    assert second["model"] == first["model"]
    assert second["events"] == first["events"]
    assert second["samples"] == first["samples"]
    named = cli("train", "--repeat", stopped, "--keep", 1)
    assert named.status == 0
    assert "changed --keep 2 to 1: the training is the same\n" in named.out
    assert (tmp_path / "runs" / "questions-tiny-1" / "result.json").exists()


def test_a_fine_tuned_run_is_repeated_only_from_the_same_weights(cli, stopped, tmp_path, questions):
    resume(cli, stopped)
    options = ("--data", questions, "--steps", 2, "--accuracy-rows", 1)
    cli("train", "--init", stopped, *options, "--run", tmp_path / "tuned")
    assert cli("train", "--repeat", tmp_path / "tuned", "--run", tmp_path / "same").status == 0
    assert outcome(tmp_path / "same")["model"] == outcome(tmp_path / "tuned")["model"]
    weights = stopped / "model" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    refused = cli("train", "--repeat", tmp_path / "tuned", "--run", tmp_path / "other")
    assert refused.status == 2
    assert "model.safetensors changed since the run was started" in refused.err
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("change", [("--lr", 1e-4), ("--seed", 3), ("--steps", 10)], ids=str)
def test_a_repetition_is_no_place_for_changes(cli, stopped, change):
    refused = cli("train", "--repeat", stopped, *change)
    assert refused.status == 2
    assert f"{change[0]} was" in refused.err
    assert "would change what the run computes" in refused.err


def test_a_run_that_was_changed_on_its_way_is_not_repeated(cli, stopped):
    resume(cli, stopped, "--lr", 1e-4)
    refused = cli("train", "--repeat", stopped)
    assert refused.status == 2
    assert "lr was changed at step 4" in refused.err


def test_a_second_process_is_kept_out_and_a_lock_left_behind_is_no_obstacle(cli, stopped):
    with Lock(stopped):
        refused = resume(cli, stopped)
        assert refused.status == 2
        assert f"is in use by process {os.getpid()}" in refused.err
    assert not (stopped / "owner").exists()
    for name in ("lock", "owner"):
        (stopped / name).write_text("by process 999999\n")
    assert resume(cli, stopped).status == 0
    assert not (stopped / "owner").exists()


def test_numbers_gone_bad_stop_the_run_before_they_are_learned(cli, tmp_path, questions):
    """A rate that throws the weights out of float32's range."""
    wild = ("--lr", 1e30, "--warmup-steps", 0, "--pretrain-steps", 0, "--checkpoint-every", 1)
    stopped = cli("train", "--data", questions, *ASKED, *wild, "--run", tmp_path / "wild")
    assert stopped.status == 2
    assert "Traceback" not in stopped.err
    run = tmp_path / "wild"
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    last = max(event["step"] for event in events if event["split"] == "train")
    assert f"At step {last + 1} the loss is" in stopped.err
    assert stopped.err.count("questions.jsonl, line") == 5, "the rows of the batch"
    assert checkpoints(run / "checkpoint")[-1].name == f"step-{last:08d}" in stopped.err
    assert "NaN" not in (run / "metrics.jsonl").read_text()
    assert "--resume --run" in stopped.err


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, 4_000_000))
from minigpt import command, train
command.run(train.Options, train.main, "train", train.saved_options)
"""


def test_a_full_disk_is_a_sentence_and_the_former_checkpoint_stays(stopped):
    """No file may grow beyond 4 MB, and a checkpoint has 12."""
    before = outcome_so_far(stopped / "checkpoint")
    args = [sys.executable, "-c", LIMITED, "--resume", "--run", str(stopped), "--checkpoint-every", "1"]
    done = subprocess.run(args, cwd=stopped.parent, env=source_on_path(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "The checkpoint of step 5 cannot be written" in done.stderr
    assert "step-00000004 is unchanged" in done.stderr
    assert outcome_so_far(stopped / "checkpoint") == before


@pytest.mark.parametrize("method", METHODS)
def test_killed_at_random_instants_it_ends_in_the_same_bytes(tmp_path, method):
    """The short form of `python -m tests.faults --kills 50`, of `train` and of each method of `prefer`."""
    told = inject(kills=4 if method == "train" else 2, seed=0, folder=tmp_path, steps=12, method=method)
    print(told)
    assert told["kills"] == (4 if method == "train" else 2)
