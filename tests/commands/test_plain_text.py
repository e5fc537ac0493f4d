"""Plain text through every command: train, evaluate, view, generate, chat."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import GPT2LMHeadModel

from minigpt import command, train
from minigpt.run.checkpoint import checkpoints
from minigpt.run.metrics import read_metrics
from tests.commands.conftest import Outcome

STORY = Path(__file__).parents[1] / "story.txt"
SMALL = ("--n-layer", 1, "--n-embd", 32, "--n-head", 2, "--n-ctx", 32, "--batch-size", 4)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the story, for all who only read it."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "story.txt").write_bytes(STORY.read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        arguments = ["--data", folder / "story.txt", "--run", folder / "run", "--steps", 60, *SMALL]
        patch.setattr("sys.argv", ["train", *map(str, arguments)])
        command.run(train.Options, train.main, "train")
    torch.set_flush_denormal(False)
    return folder


def test_a_run_learns_the_text_and_shows_continuations(once: Path) -> None:
    events = read_metrics(once / "run" / "metrics.jsonl")
    valid = [event["loss"] for event in events if event["split"] == "valid"]
    assert valid[0] == pytest.approx(math.log(260), abs=0.1)
    assert valid[-1] < valid[0] - 1.5
    assert not [event for event in events if event["split"] == "test"], "a continuation is neither right nor wrong"
    assert all(event["pretraining"] is False for event in events if event["split"] == "train")
    result = json.loads((once / "run" / "result.json").read_text())
    assert "accuracy" not in result
    samples = (once / "run" / "samples.md").read_text()
    assert [line for line in samples.splitlines() if line.startswith("## ")] == [
        "## Before training", "## Midway, after 30 steps", "## After training",
    ]  # fmt: skip
    assert json.loads((once / "run" / "model" / "minigpt.json").read_text()) == {"tokenizer": "bytes", "template": None}


@pytest.mark.parametrize("stride", [32, 8])
def test_perplexity_and_bits_per_byte_are_those_of_transformers_in_the_same_windows(
    cli: Callable[..., Outcome], once: Path, stride: int
) -> None:
    """Its loss, window by window, written out here: the first window whole, of the others the last `stride` tokens."""
    words = ["disjoint windows of 32 tokens", "a sliding window of 32 tokens that moves by 8"][stride < 32]
    told = cli(
        "evaluate", "--model", once / "run", "--data", once / "story.txt", "--stride", stride, "--json", "f.json"
    )
    assert told.status == 0, told.err
    assert words in told.out
    figures = json.loads(Path("f.json").read_text())
    reference = GPT2LMHeadModel.from_pretrained(once / "run" / "model").eval()
    text = STORY.read_bytes()
    ids, nll = torch.tensor([256, *text]), 0.0
    for end in range(32, len(ids) - 1 + stride, stride):
        end = min(end, len(ids) - 1)
        predicted = 32 if end == 32 else (end - 32) % stride or stride
        start = max(0, end - 32) if stride < 32 else end - predicted
        with torch.no_grad():
            log_P = reference(ids[None, start:end]).logits[0].log_softmax(-1)
        nll -= float(log_P[-predicted:].gather(1, ids[end - predicted + 1 : end + 1, None]).sum())
    assert figures["supervised_tokens"] == len(text)
    assert figures["loss"] == pytest.approx(nll / len(text), rel=2e-6)
    assert figures["bits_per_byte"] == pytest.approx(nll / len(text) / math.log(2), rel=2e-6)
    assert figures["baselines"]["untrained start"]["bits_per_byte"] == pytest.approx(math.log2(260), abs=0.1)


def test_more_context_does_not_make_the_text_harder(cli: Callable[..., Outcome], once: Path) -> None:
    losses = []
    for stride in (32, 4):
        cli("evaluate", "--model", once / "run", "--data", once / "story.txt", "--stride", stride, "--json", "f.json")
        losses.append(json.loads(Path("f.json").read_text())["loss"])
    assert losses[1] < losses[0]


def test_two_models_are_compared_on_text(cli: Callable[..., Outcome], once: Path, run: Path) -> None:
    told = cli("evaluate", "--compare", once / "run", run, "--data", once / "story.txt", "--max-length", 32)
    assert told.status == 0, told.err
    assert "second minus first: loss +" in told.out
    assert "bits per byte +" in told.out


def test_a_resumed_run_ends_in_the_same_weights(
    cli: Callable[..., Outcome], once: Path, tmp_path: Path, no_pictures: None
) -> None:
    """The rows of a step are a function of the step, so the stream needs no place to go on from."""
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    told = cli(
        "train", "--data", once / "story.txt", "--run", whole, "--steps", 6, "--checkpoint-every", 3, "--dropout", 0.1,
        *SMALL,
    )  # fmt: skip
    assert told.status == 0, told.err
    shutil.copytree(whole, resumed)
    shutil.rmtree(checkpoints(resumed / "checkpoint")[-1])
    told = cli("train", "--resume", "--run", resumed)
    assert told.status == 0, told.err
    first, second = ((folder / "model" / "model.safetensors").read_bytes() for folder in (whole, resumed))
    assert first == second


def test_several_texts_are_one_stream_in_their_order(
    cli: Callable[..., Outcome], tmp_path: Path, no_pictures: None
) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.txt").write_text(f"This is text {name}. " * 40)
    (tmp_path / "c.txt").write_text("This is held out. " * 10)
    told = cli("train", "--data", "b.txt", "a.txt", "--valid", "c.txt", "--steps", 1, "--run", "r", *SMALL)
    assert told.status == 0, told.err
    assert f"b.txt, a.txt: plain text, {2 * 1 + 2 * 40 * 16:,} tokens to train on" in told.out
    assert f"{1 + 10 * 18:,} held out" in told.out
    assert set(json.loads(Path("r/options.json").read_text())["sha256"]) == {"a.txt", "b.txt", "c.txt"}


def test_generate_continues_and_chat_says_why_it_cannot(cli: Callable[..., Outcome], once: Path) -> None:
    told = cli("generate", "--model", once / "run", "--prompt", "The lamp", "--max-new-tokens", 5, "--temperature", 0)
    assert (told.status, told.out[:8]) == (0, "The lamp")
    told = cli("chat", "--model", once / "run")
    assert told.status == 2
    assert "was trained on plain text: it has no template" in told.err
    assert len(told.err.splitlines()) == 1


def test_view_shows_windows_and_counts(cli: Callable[..., Outcome], once: Path) -> None:
    told = cli("view", "--data", once / "story.txt", "--rows", 1, "--max-length", 32)
    n = len(STORY.read_bytes())
    assert "<|endoftext|>[[The lighthouse keeper of Windle ]]" in told.out
    assert f"1 document of plain text, {n:,} bytes; tokens bytes: {n + 1:,}, 1.00 bytes per token" in told.out
    assert f"T_max 32: {math.ceil(n / 32):,} rows, every token supervised" in told.out


def test_models_that_read_other_windows_cannot_be_paired(cli: Callable[..., Outcome], once: Path, run: Path) -> None:
    told = cli("evaluate", "--compare", once / "run", run, "--data", once / "story.txt")
    assert told.status == 2
    n = len((once / "story.txt").read_bytes())
    assert f"read the text in 110 windows ({n:,} bytes) and 7 windows ({n:,} bytes)" in told.err
    told = cli("evaluate", "--compare", once / "run", run, "--data", once / "story.txt", "--limit", 5)
    assert told.status == 2, "the first 5 windows of 32 tokens and of 512 are different parts of the text"
    assert "read the text in 5 windows (160 bytes) and 5 windows (2,560 bytes)" in told.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--data", "story.txt", "questions.jsonl"], "story.txt is plain text and questions.jsonl holds"),
        (["train", "--data", "questions.jsonl", "--valid", "story.txt"], "story.txt is plain text and"),
        (["train", "--data", "story.txt", "--template", "alpaca"], "--template"),
        (["train", "--data", "empty"], "without a .txt file"),
        (["train", "--data", "short.txt"], "too little text to hold out"),
        (["view", "--data", "story.txt", "--to-chatml", "x"], "for conversations"),
        (["evaluate", "--model", "RUN", "--data", "story.txt", "--stride", "64"], "--stride is 64"),
        (["evaluate", "--model", "RUN", "--data", "questions.jsonl", "--stride", "4"], "--stride is for plain text"),
    ],
)
def test_what_plain_text_cannot_do_is_a_sentence(
    cli: Callable[..., Outcome], once: Path, questions: Path, arguments: list[str], words: str
) -> None:
    Path("story.txt").write_bytes(STORY.read_bytes())
    Path("short.txt").write_text("abc")
    Path("empty").mkdir()
    told = cli(*[str(once / "run") if word == "RUN" else word for word in arguments])
    assert told.status == 2
    assert words in told.err
    assert not Path("runs").exists()


def test_conversations_as_plain_text_are_their_messages_a_line_each(
    cli: Callable[..., Outcome], questions: Path
) -> None:
    assert cli("view", "--data", questions, "--to-text", "plain.jsonl").status == 0
    rows = [json.loads(line) for line in Path("plain.jsonl").read_text().splitlines()]
    assert rows[1] == {"text": "What is 1 + 1?\nIt is 2.\n#### 2\n"}
    assert len(rows) == 40


def test_a_model_of_plain_text_answers_questions_by_going_on(
    cli: Callable[..., Outcome], once: Path, run: Path, questions: Path
) -> None:
    """Document C 2.2: the same questions to a model tuned on text and to one tuned on instructions."""
    told = cli("evaluate", "--compare", once / "run", run, "--data", questions, "--limit", 4, "--json", "f.json")
    assert told.status == 0, told.err
    figures = json.loads(Path("f.json").read_text())
    assert set(figures["models"]) == {str(once / "run" / "model"), str(run / "model")}
    for line in Path("f.predictions.jsonl").read_text().splitlines():
        assert "\n" not in json.loads(line)["predictions"][str(once / "run" / "model")]["answer"], "a line ends it"


def test_a_large_text_is_not_held_in_memory(once: Path) -> None:
    from minigpt.text.token_cache import tokens_of
    from minigpt.text.tokenizer import load_tokenizer

    ids = tokens_of(str(once / "story.txt"), load_tokenizer("bytes"))
    assert isinstance(ids, np.memmap)
    assert not ids.flags.writeable
