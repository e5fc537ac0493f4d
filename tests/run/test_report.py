"""Lesson 14: what a run tells while it learns."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigpt import load_template, load_tokenizer
from minigpt.learn.trainer import Recipe, StepReport, Trainer
from minigpt.run import report as report_module
from minigpt.run.interruption import Interrupted
from minigpt.run.metrics import read_metrics
from minigpt.run.report import Report, forget_samples
from minigpt.run.samples import Answers, as_code
from minigpt.text.examples import encode_within
from minigpt.text.printing import on_one_line
from minigpt.text.records import Conversation
from tests.conftest import two_layers

ROW = Conversation([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "row")


@pytest.fixture
def report(tmp_path: Path) -> Report:
    template = load_template("documents", load_tokenizer("bytes"))
    examples = encode_within([ROW], template, 64).examples
    recipe = Recipe(steps=200, batch_size=1, micro_batch_size=1, lr=1e-3, warmup_steps=1)
    return Report(tmp_path, Trainer(two_layers(), examples, recipe), examples, Answers(template, [ROW]))


def step(number: int, grad_norm: float) -> StepReport:
    return StepReport(
        number, loss=1.0, lr=0.1, grad_norm=grad_norm, supervised_tokens=1, tokens=1, pretraining=False, seconds=1.0
    )


def spikes(report: Report, norms: list[float]) -> list[int]:
    """The steps, from 1, whose gradient norms are logged as spikes."""
    for number, norm in enumerate(norms, start=1):
        report.step(step(number, norm))
    return [event["step"] for event in read_metrics(report.folder / "metrics.jsonl") if event.get("spike")]


def test_after_gradients_that_are_mostly_0_none_is_a_spike(report: Report) -> None:
    """In reinforcement learning, where most prompts' answers come to be worth the same."""
    assert spikes(report, [0.0] * 30 + [1.0, 0.0, 5.0]) == []


def test_a_spike_of_the_gradient_norm_is_printed_and_logged(report: Report, capsys: pytest.CaptureFixture) -> None:
    """Above ten times the median, which is 2 here; a spike does not make the next one usual."""
    norms = [1000.0] + [1.0, 2.0, 3.0] * 16 + [20.0, 20.1, 2.0, 22.0]
    assert spikes(report, norms) == [len(norms) - 2, len(norms)]
    printed = [line for line in capsys.readouterr().out.splitlines() if "gradient's norm" in line]
    assert len(printed) == 2
    assert f"step {len(norms) - 2}: the gradient's norm is 20.1, 10 times the median of the last 50" in printed[0]
    assert "it was clipped to 1" in printed[0]


def test_the_first_steps_are_no_spikes_whatever_they_are(report: Report) -> None:
    """Half of the fifty must be known."""
    assert spikes(report, [10.0 ** min(number, 30) for number in range(1, 26)]) == []
    assert spikes(report, [1e60]) == [1]


@pytest.mark.parametrize(("norm", "is_spike"), [(5.0, False), (5.1, True)])
def test_a_spike_is_one_beside_the_last_fifty_steps_alone(report: Report, norm: float, is_spike: bool) -> None:
    """Half of them here before training became calmer, half after: the median is just above a half."""
    assert spikes(report, [1.0] * 100 + [0.01] * 25 + [norm]) == [126] * is_spike


def test_an_evaluation_on_the_way_reads_256_rows_and_the_last_one_all(
    report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a large held-out file does not stop training for minutes at a time."""
    read: list[int] = []
    monkeypatch.setattr(
        report_module, "response_loss", lambda model, rows, *more: (read.append(len(rows)), (1.0, 1))[1]
    )
    monkeypatch.setattr(report_module, "draw_run", lambda *_: None)
    report.valid = list(report.valid) * 300
    report.evaluate()
    report.evaluate(whole=True)
    assert read == [256, 300]


def test_the_rows_of_an_evaluation_on_the_way_are_spread_over_the_held_out_ones(
    report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Held-out text is in its own order: its beginning alone would not stand for all of it."""
    read: list[int] = []
    monkeypatch.setattr(report_module, "response_loss", lambda model, rows, *more: (read.extend(rows), (1.0, 1))[1])
    monkeypatch.setattr(report_module, "draw_run", lambda *_: None)
    report.valid = range(1024)
    report.evaluate()
    assert read == list(range(0, 1024, 4))


def test_six_samples_are_shown_of_as_many_kinds_as_there_are() -> None:
    template = load_template("documents", load_tokenizer("bytes"))
    assert len(Answers(template, [ROW]).shown) == 1, "there is one conversation"
    rows = [Conversation([*ROW.messages], f"row {i}", kind=f"kind {i // 2}") for i in range(20)]
    many = Answers(template, rows).shown
    assert len({row.kind for row in many}) == len(many) == 6
    few = Answers(template, rows[:6]).shown
    assert [row.kind for row in few][:3] == ["kind 0", "kind 1", "kind 2"]
    assert sorted(row.source for row in few) == [f"row {i}" for i in range(6)]


@pytest.mark.parametrize(
    ("at", "left"), [(0, []), (1, ["Before"]), (49, ["Before"]), (50, ["Before", "Midway"]), (99, ["Before", "Midway"])]
)
def test_a_resumed_run_keeps_the_samples_of_the_steps_behind_it(tmp_path: Path, at: int, left: list[str]) -> None:
    path = tmp_path / "samples.md"
    sections = {
        "Before": "## Before training\n\n- user: a ## b\n",
        "Midway": "## Midway, after 50 steps\n\n- x\n",
        "After": "## After training\n\n- y\n",
    }
    path.write_text("".join(sections.values()))
    forget_samples(path, at)
    assert path.read_text() == "".join(sections[name] for name in left)
    forget_samples(tmp_path / "absent", at)


def test_a_picture_that_cannot_be_drawn_costs_no_figure(
    report: Report, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """Nor does a kind with half a character in it, which UTF-8 cannot hold and JSON can."""

    def failing(*_: object) -> None:
        raise ValueError("ParseException: $5")

    monkeypatch.setattr("minigpt.run.plots.draw", failing)
    report.samples.test = [Conversation(ROW.messages, "row", kind="\ud800 $5%\x1b[31m")]
    report.before_training()
    report.trainer.train_step()
    report.after_training()
    result = json.loads((report.folder / "result.json").read_text())
    assert list(result["accuracy_by_kind"]) == ["\ud800 $5%\x1b[31m"]
    printed = capsys.readouterr()
    assert "loss.png could not be drawn (ParseException: $5)" in printed.err
    assert "\x1b[31m" not in printed.out
    assert "\\ud800 $5%\\x1b[31m" in printed.out


@pytest.mark.parametrize("peak", [None, 3 * 2**20])
def test_the_time_is_that_of_the_whole_run_and_unknown_memory_is_left_out(
    report: Report, monkeypatch: pytest.MonkeyPatch, capsys, peak: int | None
) -> None:
    monkeypatch.setattr(report_module, "draw_run", lambda *_: None)
    monkeypatch.setattr(report_module, "peak_memory_bytes", lambda device: peak)
    report.stopwatch.before = 7200.0
    report.trainer.step = 1
    report.step(step(1, 1.0))
    report.after_training()
    result = json.loads((report.folder / "result.json").read_text())
    assert 7200 < result["seconds"] < 7300
    assert result["peak_memory_bytes"] == peak
    last = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("1 steps in"))
    assert last == "1 steps in 2 h 0 min, 1.0 s of it training" + (", 3 MiB of peak memory." if peak else ".")


def test_samples_that_an_interruption_left_out_are_shown_by_the_resumed_run_once(
    tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    report.trainer.step = 100

    def abandoned(*_: object) -> None:
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(report.samples, "show", abandoned)
        with pytest.raises(Interrupted):
            report.show_midway()
    assert not (tmp_path / "samples.md").exists()
    for _ in range(2):
        Report(tmp_path, report.trainer, report.valid, report.samples).show_midway()
    assert (tmp_path / "samples.md").read_text().count("## Midway, after 100 steps\n") == 1
    report.trainer.step = 99
    report.show_midway()
    assert (tmp_path / "samples.md").read_text().count("## ") == 1


@given(st.text())
def test_text_in_the_samples_is_no_markdown(text: str) -> None:
    """A code span ends at the first run of as many backticks as it began with."""
    span = as_code(text)
    fence = re.match("`+", span)[0]
    inside = span[len(fence) : -len(fence)]
    assert span.endswith(fence)
    assert "\n" not in span
    assert fence not in re.findall("`+", inside)
    shown = inside[1:-1] if inside.startswith(" ") and inside.endswith(" ") and inside.strip(" ") else inside
    assert shown == on_one_line(text) or not text.strip(" ")
