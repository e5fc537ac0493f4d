"""Logging of a run that learns preferences: metrics, samples, the picture, the table before and after."""

import json
import math
import time
from pathlib import Path

import torch
from tqdm import tqdm

from minigpt.cli import layout
from minigpt.cli.layout import say
from minigpt.learn.trainer import StepReport, Trainer
from minigpt.measure.evaluation import SHARES, Figure
from minigpt.measure.frontier import ENOUGH
from minigpt.reading import read_object
from minigpt.run.interruption import measuring
from minigpt.run.metrics import json_values, number_of
from minigpt.run.preference_measures import Measures, PromptMeasures
from minigpt.run.report import Report
from minigpt.run.samples import Samples
from minigpt.run.stopwatch import Stopwatch

FRONTIER = "frontier.json"
BEFORE = "before.json"  # the figures before training, for the table at the end, also of a resumed run
# After so many steps in which so large a share of the prompts had answers of one reward, the run says so.
PATIENCE, NEARLY_ALL = 10, 0.95
NAMES = {
    "loss": "held-out loss",
    "accuracy": "preference accuracy",
    "margin": "margin",
    "chosen_logp": "log pi(chosen)",
    "rejected_logp": "log pi(rejected)",
    "chosen_reward": "reward of chosen",
    "rejected_reward": "reward of rejected",
    "reward": "reward of draws",
    "divergence": "KL from the reference",
    "exact_match": "exact match",
    "cheerful": 'answers with "!"',
    "task": "right but for . and !",
    "ended": "draws that ended",
}
ALIKE = (
    "In the first {steps} steps all answers drawn to a prompt had the same reward at {share:.0%} of the prompts, and "
    "nothing is learned from those. If the model never says what is rewarded, let it learn from examples first (python "
    "-m minigpt.train, with --side both of pairs), take another --reward, or DPO, which is shown both answers."
)


class PreferenceReport(Report):
    """Writes one run's figures to its folder and prints them, by what `measures` finds on held-out rows."""

    def __init__(
        self, folder: Path, trainer: Trainer, measures: Measures, samples: Samples, stopwatch: Stopwatch | None = None
    ) -> None:
        super().__init__(folder, trainer, (), samples, stopwatch)
        self.measures = measures
        self.alike = [event["alike"] for event in self.events if "alike" in event]

    def more(self, report: StepReport) -> dict[str, float]:
        if "alike" in report.figures:
            self.alike.append(report.figures["alike"])
            if len(self.alike) == PATIENCE and (share := sum(self.alike) / PATIENCE) >= NEARLY_ALL:
                tqdm.write(layout.wrapped(ALIKE.format(steps=PATIENCE, share=share)))
        return report.figures

    def before_training(self) -> None:
        """Figures and samples before the first step; a resumed run has them in its folder already."""
        if self.trainer.step == 0:
            figures = self.measure(whole=True)
            (self.folder / BEFORE).write_text(json.dumps(json_values(figures)) + "\n")
            self.show_samples("Before training")
            if isinstance(self.measures, PromptMeasures):
                self.find_optimum()

    def find_optimum(self) -> None:
        """Where the optimum for this beta lies, which is known before training; frontier.json has the whole curve."""
        with measuring():
            found = self.measures.frontier(self.model, self.trainer.beta)
        (self.folder / FRONTIER).write_text(json.dumps(json_values(found), indent=1) + "\n")
        rewards, here = found["rewards"], found["here"]
        words = (
            f"\nThe reference's answers have the mean reward {rewards['mean']:.3f}, standard deviation "
            f"{rewards['std']:.3f} ({rewards['draws']} draws to each of {rewards['prompts']} held-out prompts). "
        )
        if here is None:
            words += "--beta is 0: nothing holds the model near the reference, and no optimum is known."
        else:
            words += (
                f"The optimum for beta {here['beta']:g} has {here['reward']:.3f}, at a KL of {here['divergence']:.2f} "
                "nats an answer"
            )
            few = here["effective_draws"] < ENOUGH
            words += "; or more, as few draws carry weight there." if few else "."
        say(words)

    def evaluate(self, whole: bool = False) -> float:
        """Write the figures on held-out rows to metrics.jsonl; redraw the picture. The loss, or NaN without one."""
        return self.measure(whole).get("loss", (math.nan,))[0]

    def measure(self, whole: bool) -> dict[str, Figure]:
        start = time.perf_counter()
        with measuring(), torch.no_grad():
            figures = self.measures(self.model, whole).figures
        seconds = time.perf_counter() - start
        values = {name: figure[0] for name, figure in figures.items()}
        self.metrics.write(self.trainer.step, "valid", **values, seconds=seconds)
        self.draw()
        self.evaluated = ", ".join(f"{NAMES[name]} {in_words(name, value)}" for name, value in values.items())
        return figures

    def after_training(self) -> None:
        """Print the table before and after, and write it to result.json with intervals."""
        after = self.measure(whole=True)
        before = {name: tuple(map(number_of, one)) for name, one in read_object(self.folder / BEFORE).items()}
        self.show_samples("After training")
        figures = {name: value[0] for name, value in after.items()}
        for when, sides in (("before", before), ("after", after)):
            figures[when] = {name: {"value": v[0], "interval": list(v[1:])} for name, v in sides.items()}
        rows = [["", "before", "after"]]
        for name, figure in after.items():
            rows.append([NAMES[name], *(with_interval(name, one) for one in (before[name], figure))])
        words = f"\n{len(self.measures):,} held-out rows; 95% intervals in parentheses\n{layout.table(rows)}"
        self.end(figures, words, self.folder / "preference.png")


def in_words(name: str, value: float) -> str:
    return f"{value:.1%}" if name in SHARES else f"{value:.3f}"


def with_interval(name: str, figure: Figure) -> str:
    value, low, high = (in_words(name, number) for number in figure)
    return f"{value} ({low} to {high})"
