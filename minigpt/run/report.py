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

from minigpt.learn.loss import perplexity
from minigpt.learn.trainer import StepReport, Trainer
from minigpt.measure.accuracy import Accuracy, answer, exact_match, wanted
from minigpt.measure.perplexity import response_loss
from minigpt.run.curves import draw
from minigpt.run.memory import peak_memory_bytes
from minigpt.run.metrics import Metrics, read_metrics
from minigpt.text.examples import Example
from minigpt.text.records import Conversation
from minigpt.text.template import Template

SAMPLES = 6  # conversations shown before, midway and after
EVALUATED = 256  # held-out rows in an evaluation during training; the final one uses all
RECENT = 50  # steps whose median gradient norm a spike is compared with
SPIKE = 10  # times that median


class Report:
    """Writes one run's figures to its folder and prints them: the loss on `valid`, the accuracy on `test`."""

    def __init__(
        self,
        folder: Path,
        trainer: Trainer,
        template: Template,
        valid: Sequence[Example],
        test: Sequence[Conversation],
    ) -> None:
        self.folder, self.trainer, self.template = folder, trainer, template
        self.valid, self.test = valid, test
        self.started = time.perf_counter()
        self.accuracy_before: float | None = None
        self.metrics = Metrics(folder / "metrics.jsonl", trainer.step, trainer.recipe.steps)
        steps = (e for e in read_metrics(folder / "metrics.jsonl") if e["split"] == "train")
        self.norms = deque((float(e["grad_norm"]) for e in steps if "grad_norm" in e), RECENT)
        forget_samples(folder / "samples.md", trainer.step)
        self.samples = spread(test, SAMPLES)
        # An answer longer than the longest reference is wrong whatever follows, so generation stops there.
        references = [template.tokenizer.encode(wanted(row)) for row in test]
        self.max_new_tokens = max(map(len, references)) + 1

    def before_training(self) -> None:
        """Loss, samples and accuracy before the first step; a resumed run has them in its folder already."""
        if self.trainer.step == 0:
            self.evaluate()
            self.show_samples("Before training")
            self.accuracy_before = self.accuracy().overall
        else:
            events = read_metrics(self.folder / "metrics.jsonl")
            self.accuracy_before = next((e["accuracy"] for e in events if e["split"] == "test"), None)

    def step(self, report: StepReport, bar: tqdm | None = None) -> None:
        """Write one line of metrics.jsonl and update the progress bar. Gradient-norm spikes are printed."""
        speed = report.tokens / report.seconds
        if bar is not None:
            bar.set_postfix(loss=f"{report.loss:.3f}", tok_s=f"{speed:,.0f}", refresh=False)
            bar.update()
        usual = median(self.norms) if len(self.norms) >= RECENT // 2 else math.inf
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
            perplexity=perplexity(report.loss),
            lr=report.lr,
            grad_norm=report.grad_norm,
            supervised_tokens=report.supervised_tokens,
            tokens_per_second=speed,
            seconds=report.seconds,
            pretraining=report.pretraining,
            **spike,
        )

    def evaluate(self, whole: bool = False) -> float:
        """Write the mean loss on held-out responses to metrics.jsonl; redraw loss.png."""
        start = time.perf_counter()
        rows = self.valid if whole else self.valid[:EVALUATED]
        nll, count = response_loss(self.trainer.model, rows, self.trainer.recipe.micro_batch_size, self.dtype)
        self.metrics.write(
            self.trainer.step,
            "valid",
            loss=nll / count,
            perplexity=perplexity(nll, count),
            supervised_tokens=count,
            seconds=time.perf_counter() - start,
        )
        self.draw()
        return nll / count

    def draw(self) -> None:
        draw([self.folder], self.folder / "loss.png")

    def show_samples(self, when: str) -> None:
        """Answer the same few conversations with the current model; print them and append them to samples.md."""
        prompts = [row.messages[:-1] for row in self.samples]
        answers = answer(self.trainer.model, self.template, prompts, self.max_new_tokens)
        tqdm.write(f"\n{when}:")
        text = f"## {when}\n\n"
        for row, given in zip(self.samples, answers, strict=True):
            turns = [f"{message['role']}: {on_one_line(message['content'])}" for message in row.messages[:-1]]
            right = wanted(row)
            verdict = "right" if given == right else f"wanted: {on_one_line(right)}"
            shown = (shortened(part) for part in (" | ".join(turns), on_one_line(given), verdict))
            tqdm.write("  {}  ->  {}  ({})".format(*shown))
            text += "".join(f"- {line}\n" for line in turns) + f"- **model: {on_one_line(given)}** ({verdict})\n\n"
        with (self.folder / "samples.md").open("a", encoding="utf-8") as file:
            file.write(text)

    def accuracy(self) -> Accuracy:
        """Exact match on the test conversations, by kind; written to metrics.jsonl."""
        prompts = [row.messages[:-1] for row in self.test]
        with tqdm(total=len(prompts), desc="answering the test", unit="row", leave=False) as bar:
            answers = answer(self.trainer.model, self.template, prompts, self.max_new_tokens, progress=bar.update)
        result = exact_match(self.test, answers)
        self.metrics.write(
            self.trainer.step, "test", accuracy=result.overall, accuracy_by_kind=result.by_kind, rows=len(prompts)
        )
        return result

    def after_training(self) -> None:
        """Print the final figures, and write them to result.json."""
        before, seconds = self.accuracy_before, time.perf_counter() - self.started
        accuracy = self.accuracy()
        loss = self.evaluate(whole=True)
        self.show_samples("After training")
        peak = peak_memory_bytes(self.trainer.model.device)
        result = {
            "valid_loss": loss,
            "valid_perplexity": perplexity(loss),
            "accuracy": accuracy.overall,
            "accuracy_by_kind": accuracy.by_kind,
            "accuracy_before": before,
            "steps": self.trainer.step,
            "seconds": seconds,
            "peak_memory_bytes": peak,
        }
        incoming = self.folder / "result.json.new"
        incoming.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        incoming.replace(self.folder / "result.json")  # the last file of a run, and complete if it exists
        at_first = "" if before is None else f" ({before:.1%} before training)"
        print(f"\nExact match on {len(self.test)} test conversations{at_first}:\n{accuracy}")
        print(f"Held-out loss {loss:.3f}, perplexity {perplexity(loss):.2f}.")
        print(f"{self.trainer.step} steps, {seconds:.0f} s, {peak / 2**20:,.0f} MiB of peak memory.")
        print(f"Plot {self.folder / 'loss.png'}, model {self.folder / 'model'}.")

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


def on_one_line(text: str) -> str:
    """Line breaks and unprintable characters escaped as in Python."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def shortened(text: str, most: int = 100) -> str:
    """At most `most` characters; samples.md has the rest."""
    return text if len(text) <= most else text[: most - 3] + "..."


def spread(conversations: Sequence[Conversation], count: int) -> list[Conversation]:
    """`count` conversations of as many different kinds as possible."""
    first_of_kind = list({row.kind: row for row in reversed(conversations)}.values())
    rest = [row for row in conversations if row not in first_of_kind]
    kinds = sorted(first_of_kind, key=lambda row: row.kind)
    step = max(1, len(kinds) // count)
    return (kinds[::step] + [row for row in kinds if row not in kinds[::step]] + rest)[:count]
