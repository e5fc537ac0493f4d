"""Lesson 15's picture, from recorded runs: `python -m lessons.story` makes them again."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from lessons.harness.figure import BLUE, INK, ORANGE, Drawing

RUNS = json.loads((Path(__file__).parent / "runs.json").read_text("utf-8"))
LABELS = {
    "rl-0.5": (BLUE, False, "rl, β = 0.5"),
    "rl-0.1": (BLUE, True, "rl, β = 0.1"),
    "rl-0": (INK, True, "rl without KL"),
    "dpo": (ORANGE, True, "dpo"),
    "dpo-alone": (ORANGE, False, "dpo-alone"),
}
FARTHEST = 30.0  # nats
TOP, HEIGHT, WIDTH = 40, 230, 300


def dot(drawing: Drawing, x: float, y: float, color: str, filled: bool) -> None:
    look = f'fill="{color}"' if filled else f'fill="none" stroke="{color}" stroke-width="1.5"'
    drawing.lines.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" {look}/>')


def panel(drawing: Drawing, left: float, low: float, ticks: Sequence[float], title: str) -> Callable:
    """Axes over the KL, whose root is to scale; gives the function that places a point."""

    def place(kl: float, value: float) -> tuple[float, float]:
        return left + math.sqrt(kl / FARTHEST) * WIDTH, TOP + HEIGHT * (1 - (value - low) / (1 - low))

    drawing.text(left - 40, 18, title, font_weight="bold")
    for tick in ticks:
        drawing.curve([place(0, tick), place(FARTHEST, tick)], width=0.5)
        drawing.text(left - 8, place(0, tick)[1] + 5, f"{tick:g}", "end")
    for kl in (0, 1, 3, 10, 20, 30):
        drawing.text(place(kl, 0)[0], TOP + HEIGHT + 20, str(kl), "middle")
    drawing.text(left + WIDTH / 2, TOP + HEIGHT + 42, "KL from the reference, nats", "middle")
    return place


def frontier() -> str:
    """Reward by the rule, and task accuracy, at the evaluations of each run, over the KL from the reference."""
    drawing = Drawing(790, 370, "Reward and task accuracy over the KL from the reference, of runs and of the optimum")
    reward = panel(drawing, 60, 0.4, (0.4, 0.6, 0.8, 1), "E r: answers that end with !")
    task = panel(drawing, 460, 0.0, (0, 0.25, 0.5, 0.75, 1), "task")
    line = [reward(*point) for *point, _ in RUNS["curve"]]
    drawing.curve([*line[::2], line[-1]], width=3)
    drawing.text(line[0][0] + 28, reward(0, 0.5)[1] + 5, "the optimum")
    for i, (name, (color, filled, label)) in enumerate(LABELS.items()):
        events = RUNS[name][:: 2 if len(RUNS[name]) > 10 else 1]
        for place, figure in ((reward, "reward"), (task, "task")):
            for event in events[1:]:
                dot(drawing, *place(event["divergence"], event[figure]), color, filled)
        x = 30 + 150 * i
        dot(drawing, x, 350, color, filled)
        drawing.text(x + 12, 355, label)
    start = RUNS["dpo"][0]
    for place, figure in ((reward, "reward"), (task, "task")):
        x, y = place(0, start[figure])
        drawing.curve([(x - 5, y), (x + 5, y)], width=3)
    return drawing.svg()


FIGURES = {"frontier.svg": frontier}
