"""Lesson 14: what a run tells while it learns."""

from pathlib import Path

import pytest

from minigpt import load_template, load_tokenizer
from minigpt.learn.trainer import Recipe, StepReport, Trainer
from minigpt.run.metrics import read_metrics
from minigpt.run.report import RECENT, SPIKE, Report, forget_samples
from minigpt.text.examples import encode_within
from minigpt.text.records import Conversation
from tests.conftest import two_layers

ROW = Conversation([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "row")


@pytest.fixture
def report(tmp_path: Path) -> Report:
    template = load_template("documents", load_tokenizer("bytes"))
    examples = encode_within([ROW], template, 64).examples
    recipe = Recipe(steps=200, batch_size=1, micro_batch_size=1, lr=1e-3, warmup_steps=1)
    return Report(tmp_path, Trainer(two_layers(), examples, recipe), template, examples, [ROW])


def step(number: int, grad_norm: float) -> StepReport:
    return StepReport(
        number, loss=1.0, lr=0.1, grad_norm=grad_norm, supervised_tokens=1, tokens=1, pretraining=False, seconds=1.0
    )


def test_a_spike_of_the_gradient_norm_is_printed_and_logged(report: Report, capsys: pytest.CaptureFixture) -> None:
    """Against the median of the last steps, once enough of them are known; a spike does not make the next usual."""
    norms = [1000.0] + [1.0, 2.0, 3.0] * (RECENT // 3) + [2.0 * SPIKE, 2.1 * SPIKE, 2.0, 2.2 * SPIKE]
    for number, norm in enumerate(norms, start=1):
        report.step(step(number, norm))
    spikes = [event["step"] for event in read_metrics(report.folder / "metrics.jsonl") if event.get("spike")]
    assert spikes == [len(norms) - 2, len(norms)]
    printed = [line for line in capsys.readouterr().out.splitlines() if "gradient's norm" in line]
    assert len(printed) == 2
    assert f"step {len(norms) - 2}: the gradient's norm is {2.1 * SPIKE:.3g}" in printed[0]


def test_the_first_steps_are_no_spikes_whatever_they_are(report: Report) -> None:
    for number in range(1, RECENT // 2):
        report.step(step(number, 10.0**number if number < 20 else 1e30))
    assert not any(event.get("spike") for event in read_metrics(report.folder / "metrics.jsonl"))


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
