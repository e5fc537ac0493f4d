"""A user's mistake is answered in a sentence or two, with status 2, and leaves nothing behind."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA GPU")


def assert_one_sentence(outcome, *parts: str) -> None:
    assert outcome.status == 2
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    assert len(outcome.err.strip().splitlines()) <= 2, outcome.err
    for part in parts:
        assert part in outcome.err


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (["--data", "missing.jsonl"], ["missing.jsonl", "No such file"]),
        (["--lr", "abc"], ["--lr", "abc"]),
        (["--batch-sze", "4"], ["--batch-sze", "did you mean --batch-size?"]),
        (["--batch-sze=4"], ["--batch-sze", "did you mean --batch-size?"]),
        (["--nothing-like-it", "4"], ["--nothing-like-it", "--help"]),
        (["--lr"], ["--lr"]),
        (["--size", "huge"], ["--size", "huge", "tiny"]),
        (["--steps", "0"], ["--steps is 0"]),
        (["--lr", "-1"], ["--lr is -1"]),
        (["--lr", "nan"], ["--lr is nan"]),
        (["--batch-size", "-3"], ["--batch-size is -3"]),
        (["--steps", "3", "--epochs", "1"], ["--steps and --epochs"]),
        (["--template", "xml"], ["'xml'", "chatml, documents, alpaca"]),
        (["--tokenizer", "nowhere"], ["'nowhere'"]),
        (["--init", "nowhere"], ["nowhere", "folder"]),
        (["--resume"], ["--resume needs --run"]),
        (["--resume", "--run", "nowhere"], ["nowhere"]),
        (["--data", "builtin", "other.jsonl"], ["builtin"]),
        (["--max-length", "8"], ["line 1"]),
        (["--max-length", "5000"], ["--max-length is 5,000", "context holds 512 tokens"]),
        (["--warmup-steps", "5", "--steps", "5"], ["--warmup-steps is 5, and the run has 5 steps"]),
        (["--valid", ""], ["--valid is empty"]),
        (["--data", ""], ["--data is empty"]),
        (["--run="], ["--run is empty"]),
        (["--seed", "-1"], ["--seed is -1; it must be from 0 to 9,223,372,036,854,775,807"]),
        pytest.param(["--device", "cuda"], ["no CUDA GPU"], marks=NO_GPU),
    ],
    ids=" ".join,
)  # fmt: skip
def test_train_answers_in_a_sentence_and_writes_nothing(cli, tmp_path, args, parts):
    outcome = cli("train", *args)
    if args == ["--max-length", "8"]:  # ten rows are named, and how to mend it
        assert outcome.status == 2
        assert "fits into 8 tokens" in outcome.err
        assert "... and 7674 more." in outcome.err
    else:
        assert_one_sentence(outcome, *parts)
    assert list(tmp_path.iterdir()) == []


def test_a_broken_line_is_named(cli, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "a", "completion": "b"}\n{"prompt": "a", \n')
    assert_one_sentence(cli("train", "--data", path), "rows.jsonl, line 2", "not JSON")
    assert list(tmp_path.iterdir()) == [path]


def test_an_existing_run_is_never_overwritten(cli, tmp_path, questions):
    run = tmp_path / "run"
    run.mkdir()
    (run / "precious").write_text("x")
    assert_one_sentence(cli("train", "--data", questions, "--run", run, "--steps", 1), "already exists")
    assert [path.name for path in run.iterdir()] == ["precious"]


def test_a_run_folder_under_a_file_is_refused(cli, questions):
    outcome = cli("train", "--data", questions, "--run", questions / "run", "--steps", 1)
    assert_one_sentence(outcome, "cannot be created")


@pytest.mark.parametrize(
    ("name", "args", "part"),
    [
        ("evaluate", ["--model", "nowhere"], "nowhere"),
        ("evaluate", [], "--model"),
        ("generate", ["--model", "nowhere"], "nowhere"),
        ("generate", ["--model", ".", "--temperature", "-1"], "temperature"),
        ("generate", ["--model", "."], "config.json"),
        ("plot", ["nowhere"], "metrics.jsonl"),
        ("plot", [], "folder"),
        ("generate", ["--model", ".", "--samples", "0"], "--samples"),
        ("generate", ["--model", "", "--prompt", ""], "--model is empty"),
        ("evaluate", ["--model", "x", "--json="], "--json is empty"),
        ("plot", [""], "runs is empty"),
        ("bench", ["--steps", "0"], "--steps"),
        ("bench", ["--new-tokens", "5"], "--new-tokens has no effect with --mode sft"),
        ("bench", ["--mode", "generate", "--dtype", "bfloat16"], "--dtype has no effect with --mode generate"),
        ("bench", ["--batch-size", "2", "--micro-batch-size", "3"], "--micro-batch-size is 3, and a step has 2"),
        ("bench", ["--mode", "generate", "--new-tokens", "0"], "--new-tokens"),
        ("bench", ["--mode", "generate", "--new-tokens", "1000"], "the context of 1024 tokens"),
        ("bench", ["--tokenizer", "nowhere"], "nowhere"),
        ("bench", ["--mode", "rl", "--prompt-tokens", "5"], "--prompt-tokens has no effect with --mode rl"),
        ("bench", ["--mode", "dpo", "--new-tokens", "5"], "--new-tokens has no effect with --mode dpo"),
        ("bench", ["--mode", "dpo", "--peer", "transformers"], "is for --mode sft, train and generate"),
        ("bench", ["--mode", "rl", "--peer", "trl"], "--peer trl is for --mode dpo"),
        ("bench", ["--mode", "dpo", "--batch-size", "2", "--micro-batch-size", "3"], "and a step has 2 pairs"),
        ("bench", ["--mode", "rl", "--tokenizer", "bytes", "--new-tokens", "512"], "--new-tokens"),
    ],
)
def test_the_other_commands_answer_in_a_sentence_too(cli, name, args, part):
    assert_one_sentence(cli(name, *args), part)


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (["--rows", "-1"], ["--rows is -1; it must be from 0"]),
        (["--max-length", "0"], ["--max-length is 0; it must be from 1"]),
        (["--max-length", "-5"], ["--max-length is -5"]),
        (["--rows", "two"], ["--rows is 'two'", "a whole number"]),
        (["--data", "missing.jsonl"], ["missing.jsonl", "No such file"]),
        (["--data", "."], [". is a folder without a .txt file"]),
        (["--template", "xml"], ["'xml'", "chatml, documents, alpaca"]),
        (["--tokenizer", "nowhere"], ["'nowhere'"]),
        (["--color", "red"], ["--color", "red", "never"]),
        (["--colour", "red"], ["--colour", "red", "never"]),
        (["--colr", "never"], ["--colr", "did you mean --color?"]),
        (["--row", "3"], ["--row", "did you mean --rows?"]),
        (["--to-chatml"], ["--to-chatml"]),
        (["--ids"], ["--ids has no effect with --to-chatml"]),
        (["--plot", "p.png", "--rows", "1"], ["--rows, --plot have no effect with --to-chatml"]),
        (["--to-chatml="], ["--to-chatml is empty"]),
    ],
    ids=" ".join,
)
def test_view_answers_in_a_sentence_and_writes_nothing(cli, tmp_path, questions, args, parts):
    """Though a picture was asked for, or a file of text."""
    out = ["--plot", "lengths.png"] if args[0] in ("--template", "--tokenizer") else ["--to-chatml=out.jsonl"]
    data = [] if args[0] == "--data" else ["--data", questions]
    assert_one_sentence(cli("view", *data, *out, *args), *parts)
    assert list(tmp_path.iterdir()) == [questions]


def test_a_real_process_ends_with_status_2_and_no_traceback(tmp_path):
    args = [sys.executable, "-m", "minigpt.train", "--batch-sze", "4"]
    done = subprocess.run(args, cwd=tmp_path, env=source_on_path(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr == "train: There is no option --batch-sze; did you mean --batch-size?\n"
    assert done.stdout == ""


def source_on_path() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("evaluate", ["--model", "any", "--json", "OUT"]),
        ("evaluate", ["--compare", "any", "other", "--json", "OUT"]),
        ("plot", ["any", "--out", "OUT"]),
        ("view", ["--plot", "OUT"]),
        ("view", ["--to-chatml", "OUT"]),
    ],
)
@pytest.mark.parametrize("out", ["no/such/folder/out.png", "folder", "file/out.png"])
def test_where_the_result_goes_is_looked_at_before_the_work(cli, tmp_path, monkeypatch, name, args, out):
    """Every reading of a model, of metrics or of conversations fails here: none is begun."""

    def begun(*_: object, **__: object):
        raise AssertionError("the work has begun")

    for target in ("evaluate.load_model", "evaluate.read_conversations", "plot.draw", "view.read_either"):
        monkeypatch.setattr(f"minigpt.{target}", begun)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "any").mkdir()
    (tmp_path / "any" / "metrics.jsonl").touch()
    before = sorted(tmp_path.rglob("*"))
    assert_one_sentence(cli(name, *[out if arg == "OUT" else arg for arg in args]), out)
    assert sorted(tmp_path.rglob("*")) == before


WITHOUT = """
import importlib, pkgutil, signal, sys
for name in ("fcntl", "resource", "readline", "termios", "tty", "pty", "pwd", "grp", "syslog"):
    sys.modules[name] = None
for name in ("SIGHUP", "SIGPIPE", "SIGALRM", "SIGUSR1"):
    if hasattr(signal, name):
        delattr(signal, name)
import minigpt
for module in pkgutil.walk_packages(minigpt.__path__, "minigpt."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
from minigpt import command, train
command.run(train.Options, train.main, "train", train.saved_options)
"""


def test_a_system_without_the_modules_and_signals_of_unix_trains_too(tmp_path, questions):
    """Windows, seen from here: every module is imported, and a run of one step done."""
    args = ["--data", str(questions), "--steps", "1", "--accuracy-rows", "1", "--run", "run"]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *args], cwd=tmp_path, env=source_on_path(), capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "result.json").exists()


def test_a_compiler_that_is_missing_is_found_out_before_a_run_has_a_folder(cli, tmp_path, questions, monkeypatch):
    def compiling(function):
        raise RuntimeError("No working C++ compiler found")

    monkeypatch.setattr(torch, "compile", compiling)
    outcome = cli("train", "--data", questions, "--compile", "--steps", 1)
    assert_one_sentence(outcome, "--compile does not work here: No working C++ compiler found. It needs")
    assert list(tmp_path.iterdir()) == [questions]
    assert_one_sentence(cli("bench", "--compile", "--tokenizer", "bytes", "--data", questions), "--compile does not")
