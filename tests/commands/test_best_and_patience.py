"""--keep-best and --patience in whole runs."""

import itertools
import json
import signal

import pytest

from minigpt.learn.trainer import Trainer
from minigpt.run.metrics import read_metrics

SHORT = ("--accuracy-rows", 1, "--batch-size", 4, "--eval-every", 2, "--keep-best")


@pytest.fixture
def losses(monkeypatch, no_pictures):
    """The held-out losses that the evaluations are to find, one after the other; the last one from then on."""

    def script(*found: float) -> None:
        endless = itertools.chain(found, itertools.repeat(found[-1]))
        monkeypatch.setattr("minigpt.run.report.response_loss", lambda *_: (next(endless), 1))

    return script


def test_a_run_that_improves_no_more_ends_as_if_it_had_taken_all_its_steps(cli, tmp_path, questions, losses):
    losses(5.0, 4.0, 4.5, 4.2)
    run = tmp_path / "run"
    outcome = cli("train", "--data", questions, "--run", run, "--steps", 50, *SHORT, "--patience", 2)
    assert outcome.status == 0, outcome.err
    assert "Stopped after step 6 of 50: 2 evaluations in a row without a lower held-out loss than 4.000." in outcome.out
    assert f"Lowest held-out loss 4.000, after step 2: {run / 'best'} has those weights" in outcome.out
    assert json.loads((run / "result.json").read_text())["steps"] == 6
    assert [path.name for path in (run / "checkpoint").iterdir()] == ["step-00000006"]
    assert (run / "best" / "model.safetensors").read_bytes() != (run / "model" / "model.safetensors").read_bytes()

    again = cli("train", "--resume", "--run", run)
    assert (again.status, again.out) == (2, "")
    assert "it stopped after step 6, 2 evaluations in a row without a lower held-out loss." in again.err
    assert (run / "result.json").exists()

    losses(4.1)
    longer = cli("train", "--resume", "--run", run, "--patience", 3)
    assert longer.status == 0, longer.err
    assert "Stopped after step 8 of 50: 3 evaluations in a row" in longer.out
    assert json.loads((run / "best" / "best.json").read_text()) == {"step": 2, "loss": 4.0}

    outcome = cli("generate", "--model", run / "best", "--prompt", "What", "--max-new-tokens", 3)
    assert outcome.status == 0, outcome.err


def test_an_interrupted_run_keeps_the_same_best_weights(cli, tmp_path, questions, no_pictures, monkeypatch):
    options = ("--data", questions, *SHORT, "--steps", 6, "--checkpoint-every", 3)
    assert cli("train", *options, "--run", tmp_path / "whole").status == 0
    train_step = Trainer.train_step

    def interrupted(trainer):
        if trainer.step == 4:
            signal.raise_signal(signal.SIGINT)
        return train_step(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_step", interrupted)
        assert cli("train", *options, "--run", tmp_path / "halves").status == 130
    assert cli("train", "--resume", "--run", tmp_path / "halves").status == 0
    for name in ("best.json", "model.safetensors", "config.json", "minigpt.json"):
        whole, halves = ((tmp_path / run / "best" / name).read_bytes() for run in ("whole", "halves"))
        assert whole == halves, name
    evaluated = [
        event["step"] for event in read_metrics(tmp_path / "halves/metrics.jsonl") if event["split"] == "valid"
    ]
    assert evaluated == [0, 2, 4, 6, 6]
