"""Logging of a training run: metrics, samples, the plot, the result."""

import json
import math
import re
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from tqdm import tqdm

from minigpt.cli.layout import wrapped
from minigpt.learn.loss import perplexity
from minigpt.learn.trainer import StepReport, Trainer
from minigpt.measure.accuracy import Accuracy
from minigpt.measure.perplexity import response_loss
from minigpt.run.interruption import measuring
from minigpt.run.memory import peak_memory_bytes
from minigpt.run.metrics import Metrics, json_values, read_metrics
from minigpt.run.plots import draw_run
from minigpt.run.samples import Samples
from minigpt.run.stopwatch import Stopwatch, duration
from minigpt.text.examples import Example

EVALUATED = 256  # held-out rows in an evaluation during training; the final one uses all
RECENT = 50  # steps whose median gradient norm a spike is compared with
SPIKE = 10  # times that median


class Report:
    """Writes one run's figures to its folder and prints them: the loss on `valid`, samples, accuracy."""

    def __init__(
        self,
        folder: Path,
        trainer: Trainer,
        valid: Sequence[Example],
        samples: Samples,
        stopwatch: Stopwatch | None = None,
    ) -> None:
        self.folder, self.trainer, self.valid, self.samples = folder, trainer, valid, samples
        # The one that is measured and saved, and the one that is trained, with its adapters apart: `Session.look`.
        self.model = self.trained = trainer.model
        self.stopwatch = stopwatch or Stopwatch()
        self.accuracy_before: float | None = None
        self.evaluated = ""  # the last evaluation, in words
        self.metrics = Metrics(folder / "metrics.jsonl", trainer.step, trainer.recipe.steps)
        self.norms = deque((e["grad_norm"] for e in self.events if "grad_norm" in e), RECENT)
        forget_samples(folder / "samples.md", trainer.step)

    def before_training(self) -> None:
        """Loss, samples and accuracy before the first step; a resumed run has them in its folder already."""
        if self.trainer.step == 0:
            self.evaluate()
            self.show_samples("Before training")
            if accuracy := self.accuracy():
                self.accuracy_before = accuracy.overall
        else:
            self.accuracy_before = next((e["accuracy"] for e in self.events if e["split"] == "test"), None)

    @property
    def events(self) -> list[dict]:
        return read_metrics(self.folder / "metrics.jsonl")

    def step(self, report: StepReport, bar: tqdm | None = None) -> None:
        """Write one line of metrics.jsonl and update the progress bar. Gradient-norm spikes are printed."""
        if bar is not None:
            bar.set_postfix(loss=f"{report.loss:.3f}", tok_s=f"{report.tokens / report.seconds:,.0f}", refresh=False)
            bar.update()
        usual = median(self.norms) if len(self.norms) >= RECENT // 2 else math.inf
        usual = usual or math.inf  # of rl, where all rewards are alike and most gradients 0, none is a spike
        spike = {"spike": True} if report.grad_norm > SPIKE * usual else {}
        self.norms.append(report.grad_norm)
        if spike:
            tqdm.write(
                f"step {report.step}: the gradient's norm is {report.grad_norm:.3g}, "
                f"{report.grad_norm / usual:.0f} times the median of the last {RECENT}; "
                f"it was clipped to {self.trainer.recipe.clip:g}"
            )
        self.metrics.write(
            report.step,
            "train",
            loss=report.loss,
            lr=report.lr,
            grad_norm=report.grad_norm,
            supervised_tokens=report.supervised_tokens,
            tokens_per_second=report.tokens / report.seconds,
            seconds=report.seconds,
            **self.more(report),
            **spike,
        )

    def more(self, report: StepReport) -> dict[str, float]:
        """What is written of a step beside its loss, rates and times."""
        return {"perplexity": perplexity(report.loss), "pretraining": report.pretraining}

    def evaluate(self, whole: bool = False) -> float:
        """Write the mean loss on held-out rows, all or some of them, to metrics.jsonl; redraw loss.png."""
        start = time.perf_counter()
        rows = self.valid if whole else self.valid[:: max(1, len(self.valid) // EVALUATED)][:EVALUATED]
        with measuring():
            nll, count = response_loss(self.model, rows, self.trainer.recipe.micro_batch_size, self.dtype)
        self.metrics.write(
            self.trainer.step,
            "valid",
            loss=nll / count,
            perplexity=perplexity(nll, count),
            supervised_tokens=count,
            seconds=time.perf_counter() - start,
        )
        self.draw()
        self.evaluated = f"held-out loss {nll / count:.3f}"
        return nll / count

    def draw(self) -> None:
        draw_run(self.folder)

    def show_midway(self) -> None:
        """Show the samples after half of the steps; once, also where an interrupted run is resumed there."""
        step, path = self.trainer.step, self.folder / "samples.md"
        when, is_due = f"Midway, after {step} steps", 0 < step == self.trainer.recipe.steps // 2
        if is_due and not (path.exists() and f"## {when}\n" in path.read_text(encoding="utf-8")):
            self.show_samples(when)

    def show_samples(self, when: str) -> None:
        """Let the current model answer or continue the same few texts; append that to samples.md and print it."""
        with measuring():
            lines, text = self.samples.show(self.model)
        with (self.folder / "samples.md").open("a", encoding="utf-8") as file:
            file.write(f"## {when}\n\n{text}")
        tqdm.write(wrapped("\n".join([f"\n{when}:", *(f"  {line}" for line in lines)])))

    def accuracy(self) -> Accuracy | None:
        """Exact match on the test conversations, by kind; written to metrics.jsonl. None for plain text."""
        if not len(self.samples):
            return None
        with measuring(), tqdm(total=len(self.samples), desc="answering the test", unit="row", leave=False) as bar:
            result = self.samples.accuracy(self.model, bar.update)
        self.metrics.write(
            self.trainer.step, "test", accuracy=result.overall, accuracy_by_kind=result.by_kind, rows=len(self.samples)
        )
        return result

    def after_training(self) -> None:
        """Print the final figures, and write them to result.json."""
        before, accuracy = self.accuracy_before, self.accuracy()
        loss = self.evaluate(whole=True)
        self.show_samples("After training")
        figures = {
            "valid_loss": loss,
            "valid_perplexity": perplexity(loss),
            **({} if accuracy is None else as_json(accuracy, before)),
        }
        words = f"Held-out loss {loss:.3f}, perplexity {perplexity(loss):.2f}."
        if accuracy:
            at_first = "" if before is None else f" ({before:.1%} before training)"
            words = f"\nExact match on {len(self.samples)} test conversations{at_first}:\n{accuracy}\n{words}"
        self.end(figures, words, self.folder / "loss.png")

    def end(self, figures: dict, words: str, picture: Path) -> None:
        """Write result.json with these figures; print them in words, then the time, the memory and the files."""
        peak, seconds = peak_memory_bytes(self.trainer.model.device), self.stopwatch.seconds
        training = sum((event.get("seconds", 0.0) for event in self.events if event["split"] == "train"), start=0.0)
        result = figures | {"steps": self.trainer.step, "seconds": seconds, "peak_memory_bytes": peak}
        result["estimated_memory_bytes"] = self.trainer.estimated_bytes
        incoming = self.folder / "result.json.new"
        text = json.dumps(json_values(result), indent=2, ensure_ascii=False) + "\n"
        incoming.write_text(text, encoding="utf-8", errors="backslashreplace")  # half a character: JSON's own escape
        incoming.replace(self.folder / "result.json")  # the last file of a run, and complete if it exists
        print(words)
        memory = "" if peak is None else f", {peak / 2**20:,.0f} MiB of peak memory"
        print(f"{self.trainer.step} steps in {duration(seconds)}, {duration(training)} of it training{memory}.")
        print(f"Plot {picture}, model {self.folder / 'model'}.")

    @property
    def dtype(self) -> str:
        return self.trainer.recipe.dtype


def forget_samples(path: Path, step: int) -> None:
    """Remove the samples that a run resumed at `step` writes again."""
    if path.exists():
        sections = re.split(r"^(?=## )", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        midway = re.compile(r"## Midway, after (\d+) steps")
        early = [s for s in sections if s.startswith("## Before") or ((m := midway.match(s)) and int(m[1]) <= step)]
        path.write_text("".join(early) if step else "", encoding="utf-8")


def as_json(accuracy: Accuracy, before: float | None) -> dict:
    return {
        "accuracy": accuracy.overall,
        "accuracy_by_kind": accuracy.by_kind,
        "accuracy_before": before,
    }
