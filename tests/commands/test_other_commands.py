"""generate and plot on a small run."""

import importlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from minigpt import load_template, load_tokenizer
from minigpt.sample.generation import generate
from minigpt.text.template import save_template
from tests.conftest import only_says_a, two_layers


def test_generate_continues_the_prompt_and_repeats_itself_with_a_seed(cli, run):
    texts = {cli("generate", "--model", run, "--prompt", "What", "--seed", 3, "--samples", 2).out for _ in range(2)}
    assert len(texts) == 1
    first, second = texts.pop().split("\n---\n")
    assert first.startswith("What")
    assert second.startswith("What")
    assert first != second.rstrip("\n")


def test_generate_from_nothing_starts_with_the_end_of_text(cli, run):
    outcome = cli("generate", "--model", run, "--temperature", 0, "--max-new-tokens", 5)
    assert outcome.status == 0, outcome.err


@pytest.mark.parametrize(("samples", "words"), [(1, "The text stops"), (3, "3 of 3 samples stop")])
def test_generate_says_when_it_ended_because_the_context_was_full(cli, only_a, samples, words):
    outcome = cli("generate", "--model", only_a, "--prompt", "Hi ", "--samples", samples, "--max-new-tokens", 100)
    assert outcome.status == 0, outcome.err
    assert outcome.out.split("\n---\n")[0].strip() == "Hi " + "a" * (64 - 3 + 1)
    assert outcome.err == f"generate: {words} because the context of 64 tokens is full.\n"


def test_generate_says_nothing_when_it_ended_for_another_reason(cli, only_a):
    outcome = cli("generate", "--model", only_a, "--prompt", "Hi ", "--max-new-tokens", 61)
    assert (outcome.out, outcome.err) == ("Hi " + "a" * 61 + "\n", "")


@pytest.mark.parametrize("command", ["generate", "evaluate"])
def test_rows_of_a_foreign_vocabulary_that_stand_for_no_token_are_never_drawn(cli, tmp_path, questions, command):
    """Others pad their vocabularies too, without saying so in config.json."""
    model = only_says_a(two_layers())
    with torch.no_grad():
        padding = 2 * model.wte.weight[ord("a")].repeat(4, 1)  # what this model likes best
        model.wte.weight = torch.nn.Parameter(torch.cat([model.wte.weight, padding]))
    model.config = replace(model.config, vocab_size=264)
    model.save_pretrained(tmp_path / "padded")
    save_template(tmp_path / "padded", load_template("chatml", load_tokenizer("bytes")))
    options = ["--max-new-tokens", 5] if command == "generate" else ["--data", questions, "--limit", 2]
    outcome = cli(command, "--model", tmp_path / "padded", *options)
    assert outcome.status == 0, outcome.err
    assert outcome.out == "aaaaa\n" or command == "evaluate"


def test_plot_draws_several_runs_into_one_picture(cli, run, tmp_path):
    outcome = cli("plot", run, run, "--out", tmp_path / "both.png")
    assert outcome.status == 0, outcome.err
    assert outcome.out.strip() == str(tmp_path / "both.png")
    assert (tmp_path / "both.png").read_bytes().startswith(b"\x89PNG")


def preferring(folder: Path, method: str) -> Path:
    """The folder of a run of prefer with two evaluations."""
    folder.mkdir()
    (folder / "options.json").write_text(json.dumps({"command": "prefer", "method": method}))
    events = [
        {"step": step, "split": "valid", "reward": 0.5, "divergence": 0.1 * step}
        if method == "rl"
        else {"step": step, "split": "valid", "loss": 0.7, "accuracy": 0.5, "chosen_logp": -1.0, "rejected_logp": -1.0}
        for step in (0, 4)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return folder


@pytest.mark.parametrize(
    ("methods", "log_y"), [(["dpo"], "always"), (["dpo", "reward"], "never"), (["rl"], "auto"), (["rl", "rl"], "auto")]
)
def test_plot_draws_runs_of_prefer_under_their_own_name(cli, tmp_path, methods, log_y):
    runs = [preferring(tmp_path / f"{i}-{method}", method) for i, method in enumerate(methods)]
    outcome = cli("plot", *runs, "--log-y", log_y)
    assert outcome.status == 0, outcome.err
    assert outcome.out.strip() == str(runs[0] / "preference.png")
    assert (runs[0] / "preference.png").read_bytes().startswith(b"\x89PNG")
    assert not (runs[0] / "loss.png").exists()


@pytest.mark.parametrize(
    ("methods", "words"),
    [
        (["dpo", "reward", "rl"], "prefer --method dpo, 2-rl of prefer --method rl: their figures share no axis"),
        (["rl", "dpo"], "0-rl is a run of prefer --method rl, 1-dpo of prefer --method dpo"),
        (["dpo", "run"], "0-dpo is a run of prefer --method dpo, RUN of train"),
        (["run", "rl"], "RUN is a run of train, 1-rl of prefer --method rl"),
        (["ppo"], "0-ppo/options.json does not hold a run's options: malformed method"),
        (["rl", "--log-y", "always"], "--log-y has no effect on runs of prefer --method rl"),
    ],
)
def test_plot_refuses_runs_that_share_no_axis(cli, run, tmp_path, methods, words):
    made = {name: Path(f"{i}-{name}") for i, name in enumerate(methods) if name in ("dpo", "reward", "rl", "ppo")}
    for name, folder in made.items():
        preferring(tmp_path / folder, name)
    args = [run if name == "run" else made.get(name, name) for name in methods]
    outcome = cli("plot", *args, "--out", tmp_path / "x.png")
    assert outcome.status == 2
    assert words.replace("RUN", str(run)) in " ".join(outcome.err.split())
    assert not (tmp_path / "x.png").exists()


def test_importing_the_command_leaves_the_function_of_the_same_name_callable(small_model):
    import minigpt

    importlib.import_module("minigpt.generate")
    assert minigpt.generate(small_model, [1, 2], 3, temperature=0.0) == generate(
        small_model, [1, 2], 3, temperature=0.0
    )
