"""Lesson 14's picture, from a recorded run: `python -m lessons.overfitting` makes it anew."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from lessons.harness.figure import BLUE, ORANGE, Drawing

RUN = json.loads((Path(__file__).parent / "overfitting.json").read_text("utf-8"))
LAST = RUN["epochs"][-1]
TOP, HEIGHT, WIDTH = 40, 220, 250


def panel(drawing: Drawing, left: float, most: float, ticks: Sequence[float], form: str, title: str) -> Callable:
    """Axes of a plot over the epochs; gives the function that places a point."""

    def place(epoch: float, value: float) -> tuple[float, float]:
        return left + epoch / LAST * WIDTH, TOP + HEIGHT * (1 - value / most)

    drawing.text(left - 40, 18, title, font_weight="bold")
    for tick in ticks:
        drawing.curve([place(0, tick), place(LAST, tick)], width=0.5)
        drawing.text(left - 8, place(0, tick)[1] + 5, format(tick, form), "end")
    for epoch in range(0, LAST + 1, 40):
        drawing.text(place(epoch, 0)[0], TOP + HEIGHT + 20, str(epoch), "middle")
    drawing.text(left + WIDTH / 2, TOP + HEIGHT + 42, "epoch", "middle")
    return place


def overfitting() -> str:
    """Loss and exact match on the 100 training conversations and on 150 others, over the epochs."""
    drawing = Drawing(830, 310, "Loss and exact match over the epochs, on training conversations and on others")
    place = panel(drawing, 60, 8, (0, 2, 4, 6, 8), "g", "loss per byte")
    guess = math.log(260)
    drawing.curve([place(0, guess), place(LAST, guess)], width=1)
    drawing.text(place(LAST, guess)[0], place(0, guess)[1] + 16, "guessing", "end")
    share = panel(drawing, 430, 1, (0, 0.25, 0.5, 0.75, 1), ".0%", "exact match")
    for part, color, label in (("train", BLUE, "in training"), ("valid", ORANGE, "held out")):
        drawing.curve(list(map(place, RUN["epochs"], RUN[f"{part}_loss"])), color)
        drawing.curve(list(map(share, RUN["epochs"], RUN[f"{part}_accuracy"])), color)
        x, y = share(LAST, RUN[f"{part}_accuracy"][-1])
        drawing.text(x + 8, y + 5, label, fill=color)
    return drawing.svg()


FIGURES = {"overfitting.svg": overfitting}
