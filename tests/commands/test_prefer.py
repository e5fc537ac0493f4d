"""Lesson 15: `python -m minigpt.prefer`, as a user meets it."""

import json
import math
import shutil
import signal
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from minigpt import GPT
from minigpt.preference.reward import RewardModel
from minigpt.run.metrics import read_metrics
from tests.commands.test_lost_runs import stop_before
from tests.faults import CHEERFUL, outcome

pytestmark = pytest.mark.usefixtures("no_pictures")
STEPS = ("--steps", 5, "--batch-size", 3, "--micro-batch-size", 2, "--eval-every", 2, "--lr", 1e-4)
METHODS = ("dpo", "reward", "rl")


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Pairs of answers of unequal lengths, to questions like those that the initial model was trained on."""
    path = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"What is {i} + {i}?", "chosen": f"{2 * i}", "rejected": f"It is {i}."} for i in range(1, 24)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "rule.py").write_text(CHEERFUL)
    return path


def options(method: str, run: Path, pairs: Path) -> tuple:
    rl = ("--reward", pairs.parent / "rule.py:cheerful", "--group-size", 3, "--max-new-tokens", 5)
    return ("--init", run, "--method", method, "--data", pairs, *STEPS, *(rl if method == "rl" else ()))


@pytest.mark.parametrize("method", METHODS)
def test_a_run_of_each_method_has_its_figures_before_and_after_and_its_model(cli, run, pairs, tmp_path, method):
    done = cli("prefer", *options(method, run, pairs), "--run", tmp_path / "out")
    assert done.status == 0, done.err
    events = read_metrics(tmp_path / "out" / "metrics.jsonl")
    train, valid = ([e for e in events if e["split"] == split] for split in ("train", "valid"))
    assert [e["step"] for e in train] == [1, 2, 3, 4, 5]
    assert [e["step"] for e in valid] == [0, 2, 4, 5]
    first = train[0]
    if method != "rl":
        assert first["loss"] == pytest.approx(math.log(2), abs=1e-6)
        assert first["accuracy"] == valid[0]["accuracy"] == 0.5
        assert first["margin"] == valid[0]["margin"] == 0.0
        name = "logp" if method == "dpo" else "reward"
        assert {f"chosen_{name}", f"rejected_{name}"} <= first.keys() & valid[0].keys()
        assert ("sft_loss" in first) == (method == "dpo")
    else:
        assert first["kl"] == 0.0
        assert valid[0]["divergence"] == 0.0
        assert {"reward", "reward_std", "advantage_std", "answer_tokens", "ended", "alike"} <= first.keys()
        frontier = json.loads((tmp_path / "out" / "frontier.json").read_text())
        assert frontier["here"]["reward"] >= frontier["rewards"]["mean"]
        assert "The optimum for beta 0.1 has" in done.out
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    for name, figure in result["after"].items():
        low, high = figure["interval"]
        assert low <= figure["value"] <= high, name
        assert result[name] == figure["value"]
        assert name in result["before"]
    recorded = json.loads((tmp_path / "out" / "options.json").read_text())
    assert (recorded["command"], recorded["method"]) == ("prefer", method)
    samples = (tmp_path / "out" / "samples.md").read_text()
    assert all(f"## {when}" in samples for when in ("Before training", "Midway, after 2 steps", "After training"))
    if method == "reward":
        assert RewardModel.from_pretrained(tmp_path / "out").score.abs().sum() > 0
    else:
        before, after = (GPT.from_pretrained(folder).wte.weight for folder in (run, tmp_path / "out"))
        assert not torch.equal(before, after)
        assert cli("generate", "--model", tmp_path / "out", "--max-new-tokens", 1).status == 0


@pytest.mark.parametrize("method", METHODS)
def test_a_run_stopped_twice_ends_in_the_bytes_of_one_never_stopped(cli, run, pairs, tmp_path, monkeypatch, method):
    """The draws of rl among them, and what the reference said of each pair."""
    args = options(method, run, pairs)
    assert cli("prefer", *args, "--run", tmp_path / "whole").status == 0
    args = (*args, "--run", tmp_path / "parts")
    for step, number in ((2, signal.SIGINT), (3, signal.SIGTERM)):
        with monkeypatch.context() as patch:
            stop_before(patch, step, number)
            stopped = cli("prefer", *args)
        assert stopped.status == 128 + number
        assert f"Stopped after step {step}. To continue: python -m minigpt.prefer --resume --run" in stopped.out
        args = ("--resume", "--run", tmp_path / "parts")
    assert cli("prefer", *args).status == 0
    whole, parts = outcome(tmp_path / "whole"), outcome(tmp_path / "parts")
    for what in whole:
        assert whole[what] == parts[what], what
    assert cli("prefer", "--repeat", tmp_path / "whole", "--run", tmp_path / "again").status == 0
    assert outcome(tmp_path / "again")["events"] == whole["events"]


def test_dropout_of_the_config_is_off_and_kept(cli, run, pairs, tmp_path):
    shutil.copytree(run / "model", tmp_path / "dropping")
    config = json.loads((run / "model" / "config.json").read_text())
    config |= dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.1)
    (tmp_path / "dropping" / "config.json").write_text(json.dumps(config))
    done = cli("prefer", *options("dpo", tmp_path / "dropping", pairs), "--run", tmp_path / "out", "--beta", 5)
    assert done.status == 0, done.err
    first = next(e for e in read_metrics(tmp_path / "out" / "metrics.jsonl") if e["split"] == "train")
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert json.loads((tmp_path / "out" / "model" / "config.json").read_text())["resid_pdrop"] == 0.1


def test_rl_without_a_price_holds_one_model_and_says_that_nothing_holds_it(cli, run, pairs, tmp_path, monkeypatch):
    """The reference is loaded to measure the divergence, and gone again while it learns."""
    import gc

    from minigpt.preference.rl_trainer import RLTrainer

    gradients, models = RLTrainer.gradients, []

    def counted(trainer: RLTrainer, rows):
        gc.collect()
        models.append(sum(isinstance(each, GPT) for each in gc.get_objects()))
        return gradients(trainer, rows)

    monkeypatch.setattr(RLTrainer, "gradients", counted)
    gc.collect()
    others = sum(isinstance(each, GPT) for each in gc.get_objects())
    done = cli("prefer", *options("rl", run, pairs), "--run", tmp_path / "out", "--beta", 0)
    assert done.status == 0, done.err
    assert [n - others for n in models] == [1] * 5
    assert "nothing holds it near" in done.out
    events = read_metrics(tmp_path / "out" / "metrics.jsonl")
    assert all("kl" not in event for event in events)
    assert all("divergence" in event for event in events if event["split"] == "valid")


def test_rl_says_when_all_rewards_are_alike_and_what_helps(cli, run, pairs, tmp_path):
    (tmp_path / "rule.py").write_text("def cheerful(messages, answer, ended):\n    return 0.0\n")
    args = [12 if before == "--steps" else arg for before, arg in pairwise(("", *options("rl", run, pairs)))]
    done = cli("prefer", *args, "--run", tmp_path / "out")
    assert done.status == 0, done.err
    assert (done.out + done.err).count(
        "In the first 10 steps all answers drawn to a prompt had the same reward at 100% of the prompts"
    ) == 1
    train = [e for e in read_metrics(tmp_path / "out" / "metrics.jsonl") if e["split"] == "train"]
    assert all(event["alike"] == 1 and event["advantage_std"] == pytest.approx(0, abs=1e-6) for event in train[:1])


MISTAKES = {
    "no init": ((), "--init is needed: a run of python -m minigpt.train, or any model's folder"),
    "beta of 0": (("--init", "RUN", "--beta", 0), "--beta is 0; it must be above 0 with --method dpo"),
    "a negative beta": (("--init", "RUN", "--beta", -1), "--beta is -1"),
    "one answer": (
        ("--init", "RUN", "--method", "rl", "--reward", "exact", "--group-size", 1),
        "one answer has nothing to be compared with",
    ),
    "half of the labels": (("--init", "RUN", "--label-smoothing", 0.5), "--label-smoothing is 0.5"),
    "a reward for dpo": (("--init", "RUN", "--reward", "exact"), "--reward is for --method rl; --method dpo does not"),
    "smoothing for rl": (
        ("--init", "RUN", "--method", "rl", "--reward", "exact", "--label-smoothing", 0.1),
        "--label-smoothing is for --method dpo and reward; --method rl does not use it",
    ),
    "no reward": (("--init", "RUN", "--method", "rl"), "--method rl needs --reward"),
    "steps and epochs": (("--init", "RUN", "--steps", 2, "--epochs", 1), "give one of them"),
    "conversations": (("--init", "RUN", "--data", "QUESTIONS"), "holds conversations; dpo needs pairs: prompt, chosen"),
    "a missing folder": (("--init", "nowhere"), "There is no folder nowhere"),
    "more at once than a step has": (("--init", "RUN", "--micro-batch-size", 99), "--micro-batch-size is 99"),
    "a warmup as long as the run": (("--init", "RUN", "--steps", 3, "--warmup-steps", 3), "--warmup-steps is 3"),
    "a misspelled option": (("--init", "RUN", "--bta", 0.1), "did you mean --beta"),
    "no room for a prompt": (
        ("--init", "RUN", "--method", "rl", "--reward", "exact", "--max-new-tokens", 512),
        "no prompt fits",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_a_sentence(cli, run, pairs, questions, tmp_path, name):
    args, words = MISTAKES[name]
    places = {"RUN": run, "QUESTIONS": questions}
    done = cli("prefer", *(places.get(arg, arg) for arg in args), "--run", tmp_path / "out")
    assert done.status == 2
    assert words in done.err
    assert not (tmp_path / "out").exists()


def test_a_model_without_control_tokens_is_refused(cli, pairs, tmp_path, gpt2_tokenizer):
    from minigpt import GPTConfig

    config = GPTConfig.named("tiny", vocab_size=256, n_layer=1, n_embd=16, n_head=2, bos_token_id=0)
    GPT(config).save_pretrained(tmp_path / "plain")
    done = cli("prefer", "--init", tmp_path / "plain", "--data", pairs)
    assert done.status == 2
    assert "Traceback" not in done.err


@pytest.mark.parametrize("changed", ["pairs.jsonl", "rule.py"])
def test_a_run_is_not_resumed_with_other_data_or_another_reward(cli, run, pairs, tmp_path, monkeypatch, changed):
    with monkeypatch.context() as patch:
        stop_before(patch, 2, signal.SIGINT)
        assert cli("prefer", *options("rl", run, pairs), "--run", tmp_path / "out").status == 128 + signal.SIGINT
    path = tmp_path / changed
    path.write_text(path.read_text().replace("2", "3"))
    again = cli("prefer", "--resume", "--run", tmp_path / "out")
    assert again.status == 2
    assert f"{changed} changed since the run was started" in again.err


def test_a_run_is_resumed_and_repeated_with_its_own_command(cli, run, pairs, tmp_path):
    assert cli("prefer", *options("dpo", run, pairs), "--run", tmp_path / "out").status == 0
    for args in (("--resume", "--run", tmp_path / "out"), ("--repeat", tmp_path / "out", "--run", tmp_path / "again")):
        done = cli("train", *args)
        assert done.status == 2
        assert "is a run of python -m minigpt.prefer" in done.err
    done = cli("prefer", "--resume", "--run", run)
    assert done.status == 2
    assert "is a run of python -m minigpt.train" in done.err
    changed = cli("prefer", "--resume", "--run", tmp_path / "out", "--method", "reward", "--steps", 9)
    assert changed.status == 2
    assert "--method was 'dpo' when the run was started" in changed.err


def test_a_reward_model_is_no_initial_model_and_a_language_model_no_reward(cli, run, pairs, questions, tmp_path):
    assert cli("prefer", *options("reward", run, pairs), "--run", tmp_path / "rm").status == 0
    done = cli("prefer", *options("dpo", tmp_path / "rm", pairs))
    assert done.status == 2
    assert "is a reward model" in done.err
    done = cli("prefer", "--init", run, "--method", "rl", "--reward", run, "--data", pairs)
    assert done.status == 2
    assert "is a language model; make one with --method reward" in done.err
    learned = cli(
        "prefer", "--init", run, "--method", "rl", "--reward", tmp_path / "rm", "--data", pairs, *STEPS,
        "--group-size", 2, "--run", tmp_path / "rl",
    )  # fmt: skip
    assert learned.status == 0, learned.err
    assert json.loads((tmp_path / "rl" / "options.json").read_text())["unfinished"] is not None
    long = tmp_path / "long.jsonl"  # as held-out pairs one that does not fit, or conversations
    rows = [
        {"prompt": "1?", "chosen": "1", "rejected": "one"},
        {"prompt": "2?", "chosen": "2 " * 400, "rejected": "two"},
    ]
    long.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for valid in (long, questions):
        done = cli(
            "prefer", "--init", run, "--method", "rl", "--reward", tmp_path / "rm", "--data", pairs, "--valid", valid,
            *STEPS, "--group-size", 2, "--max-new-tokens", 3, "--run", tmp_path / f"rl-{valid.stem}",
        )  # fmt: skip
        assert done.status == 0, done.err
