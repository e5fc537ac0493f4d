"""Lesson 09's picture, from the recorded run: `python -m lessons --fix` draws it, a test compares it."""

import math
from pathlib import Path

from lessons.harness.figure import BLUE, ORANGE, Drawing
from minigpt.learn.schedule import warmup_then_decay
from minigpt.run.metrics import read_metrics

STEPS = 1250


def x(step: float) -> float:
    return 60 + step * 0.44


def panel(drawing: Drawing, top: float, title: str, ticks: dict[str, float]) -> None:
    """A title, and a thin line for each tick: its label and its height."""
    drawing.text(60, top, title, font_weight="bold")
    for label, y in ticks.items():
        drawing.curve([(x(0), y), (x(STEPS), y)], width=0.5)
        drawing.text(52, y + 5, label, "end")


def run() -> str:
    events = read_metrics(Path(__file__).with_name("run.jsonl"))
    train = [event for event in events if event["split"] == "train"]
    valid = [(event["step"], event["loss"]) for event in events if event["split"] == "valid"]
    drawing = Drawing(680, 500, "Losses, the gradient's norm and the learning rate over the steps of a run")

    def loss_y(loss: float) -> float:
        return 115 - 27 * math.log2(loss)

    panel(drawing, 18, "loss (logarithmic)", {f"{loss:g}": loss_y(loss) for loss in (4, 1, 0.25, 0.0625)})
    drawing.curve([(x(event["step"]), loss_y(event["loss"])) for event in train], BLUE)
    drawing.curve([(x(step), loss_y(loss)) for step, loss in valid], ORANGE)
    for step, loss in valid:
        drawing.curve([(x(step) - 4, loss_y(loss)), (x(step) + 4, loss_y(loss))], ORANGE, 8)
    drawing.text(x(STEPS), 54, "the step's own conversations", "end", fill=BLUE)
    drawing.text(x(STEPS), 78, "held out", "end", fill=ORANGE)

    def norm_y(norm: float) -> float:
        return 345 - 12 * norm

    panel(drawing, 252, "length of the gradient (above 1 it is clipped)", {f"{n}": norm_y(n) for n in (0, 1, 4)})
    drawing.curve([(x(event["step"]), norm_y(event["grad_norm"])) for event in train], BLUE)

    def rate_y(rate: float) -> float:
        return 460 - 20000 * rate

    panel(drawing, 384, "learning rate", {"0": rate_y(0), "0.003": rate_y(0.003)})
    rates = [(t, warmup_then_decay(t, 0.003, 100, STEPS)) for t in [1, *range(25, STEPS + 1, 25)]]
    drawing.curve([(x(t), rate_y(rate)) for t, rate in rates], BLUE)
    drawing.curve([(x(500), 28), (x(500), 460)], width=0.5)
    drawing.text(x(500) - 6, 36, "every token", "end")
    drawing.text(x(500) + 6, 36, "answers only")
    for step in range(0, STEPS + 1, 250):
        drawing.text(x(step), 482, str(step), "middle")
    return drawing.svg()


FIGURES = {"run.svg": run}
