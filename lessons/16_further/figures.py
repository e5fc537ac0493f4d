"""Lesson 16's pictures: from the package's own counts, from the small trained model, and from recorded runs
(`python -m lessons.languages` makes them again)."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from lessons.harness.figure import BLUE, ORANGE, Drawing
from lessons.trained import trained_model
from minigpt import GPTConfig, encode_within, read_conversations
from minigpt.measure.cost import Step
from minigpt.measure.divergence import divergence
from minigpt.model.light import lighten
from minigpt.text.records import BUILTIN

RUNS = json.loads((Path(__file__).parent / "languages.json").read_text("utf-8"))
SIZES = ("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl")
WAYS = {
    "whole": {},
    "recomputed": {"recompute": True},
    "rank 8": {"rank": 8},
    "both": {"rank": 8, "recompute": True},
    "in eighths": {"parts": 8},
}


def memory() -> str:
    """The peak of a step of one process, with four rows of 1,024 tokens, half of which are supervised."""
    height = 20 * len(WAYS) + 14
    drawing = Drawing(790, 60 + height * len(SIZES), "Bytes of tensors at the peak of a step for the four sizes, in GB")
    left, scale, bottom = 240, 10.0, 34 + height * len(SIZES)
    for GB in (0, 16, 32, 48):
        drawing.curve([(left + GB * scale, 26), (left + GB * scale, bottom - 8)], width=0.5)
        drawing.text(left + GB * scale, 18, f"{GB} GB" if GB else "0", "middle")
    for i, name in enumerate(SIZES):
        drawing.text(10, 49 + i * height, name, font_weight="bold")
        for j, (way, settings) in enumerate(WAYS.items()):
            step = Step(GPTConfig.named(name), 4, 1024, 2048, explicit=False, **settings)
            y, held, peak = 34 + i * height + 20 * j, step.held / 1e9 * scale, step.peak / 1e9 * scale
            drawing.text(left - 10, y + 14, way, "end")
            for x, width, color in ((left, held, BLUE), (left + held, peak - held, ORANGE)):
                drawing.lines.append(f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="17" fill="{color}"/>')
            drawing.text(left + peak + 8, y + 14, f"{step.peak / 1e9:.1f}")
    for x, color, label in ((left, BLUE, "weights, gradients, moments"), (left + 270, ORANGE, "more at the peak")):
        drawing.lines.append(f'<rect x="{x}" y="{bottom + 4}" width="14" height="14" fill="{color}"/>')
        drawing.text(x + 22, bottom + 16, label)
    return drawing.svg()


def bits() -> str:
    """The KL divergence of the rounded model from the one in float32, by bits a weight, to a logarithmic scale."""
    model, template = trained_model()
    rows = encode_within(read_conversations([BUILTIN / "test.jsonl"])[::3], template, 256).examples
    n = sum(sum(row.supervised[1:]) for row in rows)
    drawing = Drawing(620, 300, "KL divergence from the model in float32, for 3 to 8 bits a weight")
    left, top, width, height = 90, 40, 460, 200

    def place(bit: float, value: float) -> tuple[float, float]:
        return left + (bit - 3) / 5 * width, round(top - height * math.log10(value) / 4)  # float32 rounds KL

    drawing.text(20, 18, "KL from float32, nats a byte", font_weight="bold")
    for power in range(-4, 1):
        drawing.curve([place(2.9, 10.0**power), place(8.3, 10.0**power)], width=0.5)
        drawing.text(left - 18, place(3, 10.0**power)[1] + 5, f"{10.0**power:g}", "end")
    points = []
    for bit in range(3, 9):
        with mock.patch("minigpt.model.light.LARGEST", 2 ** (bit - 1) - 1):
            lighter = lighten(model, "int8")
        KL = float(divergence(lighter, model, rows).sum()) / n
        points.append(place(bit, KL))
        drawing.text(points[-1][0], top + height + 22, str(bit), "middle")
        drawing.lines.append(f'<circle cx="{points[-1][0]:.1f}" cy="{points[-1][1]:.1f}" r="4" fill="{BLUE}"/>')
    drawing.curve(points, BLUE)
    drawing.text(left + width / 2, top + height + 46, "bits a weight", "middle")
    return drawing.svg()


def languages() -> str:
    """Exact match in both languages over the steps, of each run; the thin lines are the ends of the intervals."""
    drawing = Drawing(820, 300, "Exact match in English and in Vietnamese over the steps, of four runs")
    last, top, height, width = RUNS["steps"][-1], 56, 170, 150
    runs = [("vietnamese", "on Vietnamese"), ("english", "on English"), ("both", "on both")]
    for i, (name, title) in enumerate([*runs, ("vietnamese, low rank", "Vietnamese, rank 8")]):
        left = 60 + i * 190

        def place(step: float, share: float, left: float = left) -> tuple[float, float]:
            return left + step / last * width, top + height * (1 - share)

        drawing.text(left, 40, title, font_weight="bold")
        axes(drawing, place, last, labels=i == 0)
        for language, color in (("english", ORANGE), ("vietnamese", BLUE)):
            for which, thick in ((0, 2.5), (1, 0.7), (2, 0.7)):
                shares = [figures[which] for figures in RUNS[name][language]]
                drawing.curve([place(*point) for point in zip(RUNS["steps"], shares, strict=True)], color, thick)
    drawing.text(60, 16, "exact match on the test:")
    drawing.text(270, 16, "English", fill=ORANGE)
    drawing.text(340, 16, "Vietnamese", fill=BLUE)
    drawing.text(410, 290, "steps", "middle")
    return drawing.svg()


def axes(drawing: Drawing, place: Callable, last: int, labels: bool) -> None:
    for share in (0, 0.25, 0.5, 0.75, 1):
        drawing.curve([place(0, share), place(last, share)], width=0.5)
        if labels:
            drawing.text(place(0, share)[0] - 8, place(0, share)[1] + 5, f"{share:.0%}", "end")
    for step in (0, 100, 200, 300):
        drawing.text(place(step, 0)[0], place(step, 0)[1] + 20, str(step), "middle", font_size="12")


FIGURES = {"memory.svg": memory, "bits.svg": bits, "languages.svg": languages}
