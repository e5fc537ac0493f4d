"""The commands that made what the lessons keep, in small: the model, ten thousand conversations, overfitting, the story
of the preferences, and the languages."""

import importlib
import json
import shutil
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from lessons import languages, overfitting, story, ten_thousand, trained
from lessons.trained import MODEL
from minigpt.measure import evaluation
from minigpt.run import samples
from minigpt.run.start import load_model
from minigpt.text.records import BUILTIN, read_conversations


@pytest.fixture(autouse=True)
def says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models that have learned nothing end no answer, which would take time."""
    for module in (trained, overfitting, languages, evaluation, samples):
        monkeypatch.setattr(
            module, "answer", lambda model, template, conversations, *_, **__: [""] * len(conversations)
        )


def test_the_small_model_is_trained_saved_and_asked(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    trained.main(tmp_path, steps=2)
    model, template = load_model(tmp_path)
    assert model.config.parameter_count == trained.trained_model()[0].config.parameter_count
    assert template.name == "chatml"
    assert "0.0% of 450" in capsys.readouterr().out


def test_the_ten_thousand_ask_nothing_of_the_held_out_or_the_test() -> None:
    rows = ten_thousand.conversations(ten_thousand.N)
    asked = {ten_thousand.asked(row["messages"]) for row in rows}
    kept_out = read_conversations([BUILTIN / "valid.jsonl", BUILTIN / "test.jsonl"])
    assert len(asked) == len(rows) == 10_000
    assert asked.isdisjoint(ten_thousand.asked(row.messages) for row in kept_out)


def test_ten_thousand_trains_evaluates_and_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 32 conversations and one epoch."""
    recorded = json.loads(ten_thousand.FIGURES.read_text("utf-8"))
    monkeypatch.chdir(tmp_path)
    for name, value in {"N": 32, "EPOCHS": 1, "LAST_STEPS": 2, "FIGURES": tmp_path / "figures.json"}.items():
        monkeypatch.setattr(ten_thousand, name, value)
    ten_thousand.main()
    found = json.loads((tmp_path / "figures.json").read_text("utf-8"))
    assert (found["conversations"], found["steps"]) == (32, 2)
    assert found.keys() == recorded.keys()
    assert (recorded["conversations"], recorded["steps"]) == (10_000, 3125)


def test_overfitting_records_the_epochs_that_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 20 conversations, measured before and after one epoch."""
    recorded = json.loads(overfitting.FIGURES.read_text("utf-8"))
    for name, value in {"N": 20, "EPOCHS": 1, "STEPS_PER_EPOCH": 1, "MEASURED_AT": [0, 1]}.items():
        monkeypatch.setattr(overfitting, name, value)
    monkeypatch.setattr(overfitting, "FIGURES", tmp_path / "figures.json")
    overfitting.main()
    found = json.loads((tmp_path / "figures.json").read_text("utf-8"))
    assert found.keys() == recorded.keys()
    assert len(found["train_loss"]) == 2
    assert found["train_loss"][0] == pytest.approx(5.56, abs=0.1), "log V, before anything is learned"


def in_small(command: list[str], pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command of the story in this process, with two steps on few pairs."""
    _, _, module, *words = command
    options = dict(zip(words[::2], words[1::2], strict=True)) | {"--steps": "2", "--data": str(pairs)}
    options |= {"--eval-every": "1", "--seed": "0"}
    if module == "minigpt.prefer":
        options["--valid"] = str(pairs)
    if "--checkpoint-every" in options:
        options["--checkpoint-every"] = "1"
    if options.get("--method") == "rl":
        options |= {"--batch-size": "2", "--group-size": "2", "--max-new-tokens": "3"}
    monkeypatch.setattr(sys, "argv", [module, *(word for pair in options.items() for word in pair)])
    importlib.import_module(module).entry()
    torch.set_flush_denormal(False)  # a command sets it for its process, and here that is everybody's


def test_the_story_runs_its_commands_and_records_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From lessons/model in place of the default run."""
    for module in ("report", "session"):
        monkeypatch.setattr(f"minigpt.run.{module}.draw_run", lambda run: None)
    shutil.copytree(MODEL, tmp_path / "default")
    (tmp_path / "default" / "result.json").write_text("{}")
    rows = (BUILTIN / "pairs-test.jsonl").read_text("utf-8").splitlines()[:20]
    (tmp_path / "pairs.jsonl").write_text("\n".join(rows) + "\n", "utf-8")
    few = story.held_out()[:2]
    monkeypatch.setattr(story, "held_out", lambda: few)
    monkeypatch.setattr(story, "KINDS", (few[0].kind,))
    monkeypatch.setattr(story, "FIGURES", tmp_path / "figures.json")
    run = partial(in_small, pairs=tmp_path / "pairs.jsonl", monkeypatch=monkeypatch)
    monkeypatch.setattr(story.subprocess, "run", lambda command, check: run(command))
    story.main(tmp_path)
    found = json.loads((tmp_path / "figures.json").read_text("utf-8"))
    recorded = json.loads((story.LESSONS / "15_preferences" / "runs.json").read_text("utf-8"))
    assert found.keys() == recorded.keys()
    for name, part in recorded.items():
        if isinstance(part, list) and isinstance(part[0], dict):
            assert [event["step"] for event in found[name]] == [0, 1, 2]
            assert all(event.keys() == part[0].keys() for event in found[name])
    assert recorded["dpo"][-1]["step"] == 150


def test_the_rule_of_the_story() -> None:
    said = [("old!", True), ("old", True), ("old!", False), ("!old", True), ("", True)]
    assert [story.cheerful([], text, ended) for text, ended in said] == [1, 0, 0, 0, 0]


def test_the_languages_record_the_steps_and_runs_that_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With two steps of two rows, and answers that are empty."""
    recorded = json.loads(languages.FIGURES.read_text("utf-8"))
    for name, value in {"STEPS": 2, "BATCH_SIZE": 2, "MEASURED_AT": [0, 2]}.items():
        monkeypatch.setattr(languages, name, value)
    monkeypatch.setattr(languages, "FIGURES", tmp_path / "figures.json")
    languages.main()
    found = json.loads((tmp_path / "figures.json").read_text("utf-8"))
    assert found.keys() == recorded.keys()
    assert recorded["steps"][-1] == 300
    for name in languages.RUNS:
        assert found[name].keys() == recorded[name].keys()
        assert found[name]["english"] == [[0.0, 0.0, 0.0122]] * 2, "Wilson's interval of 0 of 310"
        assert recorded[name]["english"][0] == recorded["both"]["english"][0], "all begin as the same model"
    counts = [recorded[f"{part}_{one}"] for part in ("train", "test") for one in languages.LANGUAGES]
    assert (sum(counts[:2]), sum(counts[2:])) == (7684, 450)


def test_the_language_of_a_conversation_is_seen_by_its_letters() -> None:
    rows = read_conversations([BUILTIN / "test.jsonl"])
    asked = {" ".join(message["content"] for message in row.messages): languages.language(row) for row in rows}
    assert {one for text, one in asked.items() if "Trái nghĩa" in text} == {"vietnamese"}
    assert {one for text, one in asked.items() if text.isascii()} == {"english"}
