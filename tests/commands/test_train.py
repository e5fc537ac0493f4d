"""The main job, in small."""

import json
import sys

import numpy as np
import pytest
import torch
from transformers import GPT2LMHeadModel

from minigpt import GPT, command, load_template, load_tokenizer, train
from minigpt.run.metrics import read_metrics
from tests.commands.conftest import write_questions

RUN_FOLDER = {"options.json", "metrics.jsonl", "loss.png", "samples.md", "result.json", "model", "checkpoint", "lock"}
SHORT = ("--steps", 6, "--accuracy-rows", 12, "--batch-size", 4, "--eval-every", 3)


def losses(run) -> list[float]:
    return [event["loss"] for event in read_metrics(run / "metrics.jsonl") if event["split"] == "train"]


def test_without_options_it_says_what_it_does_and_fills_a_new_run_folder_each_time(cli, tmp_path):
    for n in (1, 2):
        outcome = cli("train", *SHORT)
        assert outcome.status == 0, outcome.err
        run = tmp_path / "runs" / f"builtin-tiny-{n}"
        assert {path.name for path in run.iterdir()} == RUN_FOLDER
    first_lines = outcome.out.split("Before training")[0]
    for said in ("parameters", "builtin", "cpu", "float32", "runs/builtin-tiny-2", "random weights"):
        assert said in first_lines
    for said in ("Before training", "Midway", "After training", "Held-out loss", "perplexity", "loss.png", "sentiment"):
        assert said in outcome.out
    assert losses(tmp_path / "runs/builtin-tiny-1") == losses(run)  # the same seed, the same losses
    options = json.loads((run / "options.json").read_text())
    assert options["steps"] == 6
    assert options["supervise"] == "response"
    assert all(len(sha256) == 64 for sha256 in options["sha256"].values())
    result = json.loads((run / "result.json").read_text())
    assert result.keys() >= {"valid_loss", "valid_perplexity", "accuracy", "steps", "seconds", "peak_memory_bytes"}
    assert (run / "samples.md").read_text().count("## ") == 3
    assert (run / "loss.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    """The losses of a short run on the questions with seed 0, each step in one micro-batch at most."""
    folder = tmp_path_factory.mktemp("short")
    data = write_questions(folder / "questions.jsonl")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("minigpt.run.report.draw_run", lambda run: None)
        patch.setattr(sys, "argv", ["train", "--data", str(data), "--run", str(folder / "run"), *map(str, SHORT)])
        command.run(train.Options, train.main, "train", train.saved_options)
    torch.set_flush_denormal(False)
    return losses(folder / "run")


def test_another_seed_gives_other_losses(cli, tmp_path, questions, short, no_pictures):
    cli("train", "--data", questions, "--run", tmp_path / "run", "--seed", 1, *SHORT)
    assert len(losses(tmp_path / "run")) == len(short)
    assert losses(tmp_path / "run") != short


def test_the_micro_batch_size_changes_no_loss(cli, tmp_path, questions, short, no_pictures):
    cli("train", "--data", questions, "--run", tmp_path / "run", "--micro-batch-size", 1, *SHORT)
    np.testing.assert_allclose(losses(tmp_path / "run"), short, rtol=2e-5)


def test_data_of_ones_own_starts_near_the_logarithm_of_the_vocabulary_and_falls(run):
    curve = losses(run)
    assert abs(curve[0] - np.log(260)) < 0.3
    assert np.mean(curve[-5:]) < 0.6 * curve[0]


def test_the_saved_model_is_the_trained_one_for_us_and_for_transformers(run):
    ours, theirs = GPT.from_pretrained(run / "model"), GPT2LMHeadModel.from_pretrained(run / "model").eval()
    tokenizer = load_tokenizer(run / "model")
    ids = torch.tensor([load_template("chatml", tokenizer).prompt([{"role": "user", "content": "Hi"}])])
    with torch.no_grad():
        assert (ours(ids) - theirs(ids).logits).abs().max() <= 1e-5


def test_an_interrupted_run_goes_on_to_the_same_losses(cli, tmp_path, questions, monkeypatch, short):
    options = ("--data", questions, *SHORT, "--checkpoint-every", 2)
    from minigpt.learn.trainer import Trainer

    train_step = Trainer.train_step

    def interrupted(trainer):
        import signal

        if trainer.step == 2:
            signal.raise_signal(signal.SIGINT)
        return train_step(trainer)

    monkeypatch.setattr(Trainer, "train_step", interrupted)
    outcome = cli("train", *options, "--run", tmp_path / "halves")
    assert outcome.status == 130
    assert "--resume --run" in outcome.out
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    outcome = cli("train", "--resume", "--run", tmp_path / "halves")
    assert outcome.status == 0, outcome.err
    assert losses(tmp_path / "halves") == short
    finished = cli("train", "--resume", "--run", tmp_path / "halves")
    assert "finished" in finished.err


def test_going_on_from_a_models_folder_starts_where_it_ended(cli, run, tmp_path, questions, no_pictures):
    outcome = cli("train", "--data", questions, "--run", tmp_path / "second", "--init", run, *SHORT)
    assert outcome.status == 0, outcome.err
    assert losses(tmp_path / "second")[0] < 0.6 * losses(run)[0]
