"""The commands that made what the lessons keep, in small: the model, ten thousand conversations, overfitting."""

import json
from pathlib import Path

import pytest

from lessons import overfitting, ten_thousand, trained
from minigpt.measure import evaluation
from minigpt.run import samples
from minigpt.run.start import load_model
from minigpt.text.records import BUILTIN, read_conversations


@pytest.fixture(autouse=True)
def says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models that have learned nothing end no answer, which would take time."""
    for module in (trained, overfitting, evaluation, samples):
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
