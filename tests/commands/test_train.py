"""The main job, in small."""

import json

import numpy as np
import torch
from transformers import GPT2LMHeadModel

from minigpt import GPT, load_template, load_tokenizer
from minigpt.run.metrics import read_metrics

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


def test_another_seed_gives_other_losses(cli, tmp_path, questions):
    for seed in (0, 1):
        cli("train", "--data", questions, "--run", tmp_path / f"seed{seed}", "--seed", seed, *SHORT)
    assert losses(tmp_path / "seed0") != losses(tmp_path / "seed1")


def test_the_micro_batch_size_changes_no_loss(cli, tmp_path, questions):
    for size in (4, 1):
        run = tmp_path / f"micro{size}"
        cli("train", "--data", questions, "--run", run, "--micro-batch-size", size, *SHORT)
    np.testing.assert_allclose(losses(tmp_path / "micro4"), losses(tmp_path / "micro1"), rtol=2e-5)


def test_data_of_ones_own_starts_near_the_logarithm_of_the_vocabulary_and_falls(cli, tmp_path, questions):
    run = tmp_path / "run"
    outcome = cli("train", "--data", questions, "--run", run, "--steps", 40, "--batch-size", 8, "--lr", 3e-3)
    assert outcome.status == 0, outcome.err
    curve = losses(run)
    assert abs(curve[0] - np.log(260)) < 0.3
    assert np.mean(curve[-5:]) < 0.6 * curve[0]


def test_the_saved_model_is_the_trained_one_for_us_and_for_transformers(cli, tmp_path, questions):
    run = tmp_path / "run"
    cli("train", "--data", questions, "--run", run, *SHORT)
    ours, theirs = GPT.from_pretrained(run / "model"), GPT2LMHeadModel.from_pretrained(run / "model").eval()
    tokenizer = load_tokenizer(run / "model")
    ids = torch.tensor([load_template("chatml", tokenizer).prompt([{"role": "user", "content": "Hi"}])])
    with torch.no_grad():
        assert (ours(ids) - theirs(ids).logits).abs().max() <= 1e-5


def test_an_interrupted_run_goes_on_to_the_same_losses(cli, tmp_path, questions, monkeypatch):
    options = ("--data", questions, *SHORT, "--checkpoint-every", 2)
    cli("train", *options, "--run", tmp_path / "whole")
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
    assert losses(tmp_path / "halves") == losses(tmp_path / "whole")
    finished = cli("train", "--resume", "--run", tmp_path / "halves")
    assert "finished" in finished.err


def test_going_on_from_a_models_folder_starts_where_it_ended(cli, tmp_path, questions):
    cli("train", "--data", questions, "--run", tmp_path / "first", "--steps", 40, "--batch-size", 8, "--lr", 3e-3)
    outcome = cli("train", "--data", questions, "--run", tmp_path / "second", "--init", tmp_path / "first", *SHORT)
    assert outcome.status == 0, outcome.err
    assert losses(tmp_path / "second")[0] < 0.6 * losses(tmp_path / "first")[0]
