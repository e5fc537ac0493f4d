"""Lesson 04's pictures, from the trained model: `python -m lessons --fix` draws them, a test compares them."""

import torch
from torch import Tensor
from torch.nn import functional as F

from lessons.harness.figure import BLUE, INK, ORANGE, Drawing
from lessons.trained import trained_model
from minigpt.model.mlp import gelu

UNIT = 169  # of layer 2
ASKED = {"role": "user", "content": "The opposite of happy, please."}
CAPITALS = {"role": "system", "content": "Use capitals."}


def units(messages: list[dict], answer: str) -> Tensor:
    """What the units of layer 2 sum up to before GELU, (T, 4 C), over a conversation with its answer."""
    model, template = trained_model()
    sums: list[Tensor] = []
    hook = model.double().h[1].mlp.c_fc.register_forward_hook(lambda module, given, result: sums.append(result[0]))
    with torch.no_grad():
        model(torch.tensor([template.prompt(messages) + template.tokenizer.encode(answer)]))
    hook.remove()
    return sums[0]


def curve() -> str:
    """GELU, what the erf form differs by, and which u the trained model has."""
    d = Drawing(600, 330, "GELU between -4 and 4, and how often the trained model's units have each value")
    left, zero, unit = 300, 180, 42  # pixels: x = 0, y = 0, one

    def place(x: float, y: float) -> tuple[float, float]:
        return left + 1.5 * unit * x, zero - unit * y

    d.curve([place(-4, 0), place(4, 0)], width=1)
    for x in range(-4, 5, 2):
        d.text(place(x, 0)[0], zero + 20, f"{x}", "middle")
    x = torch.linspace(-4.0, 4.0, 81, dtype=torch.float64)
    for y, color in [(gelu(x), BLUE), (1000 * (gelu(x) - F.gelu(x)).abs(), ORANGE)]:
        d.curve([place(*point) for point in zip(x.tolist(), y.tolist(), strict=True)], color)
    u = units([CAPITALS, ASKED], "SAD").flatten()
    steps = torch.arange(-4.0, 4.25, 0.25, dtype=torch.float64)
    share = [((u >= a) & (u < a + 0.25)).double().mean().item() for a in steps[:-1]]
    bottom = [(place(a, 0)[0], 310 - 700 * height) for a, height in zip(steps.tolist(), share, strict=False)]
    d.curve([p for x, y in bottom for p in ((x, y), (x + 0.375 * unit, y))], INK)
    d.text(60, 24, "GELU(u)", fill=BLUE)
    d.text(60, 46, "tanh form against erf form, 1000 times enlarged", fill=ORANGE)
    d.text(396, 262, "how often each u occurs")
    d.text(396, 282, f"{(u < 0).double().mean():.0%} are below 0")
    return d.svg()


def unit() -> str:
    """One unit's activation at each byte, with and without "Use capitals." at the conversation's beginning."""
    _, template = trained_model()
    shown = len(template.prompt([ASKED])) - len("<user\n")  # from the question on
    cell, base, high = 14, 150, 46
    d = Drawing(
        20 + cell * (shown + 3), 235, f"The activation of unit {UNIT} of layer 2 at each byte of a conversation"
    )
    d.curve([(10, base), (10 + cell * (shown + 3), base)], width=1)
    for messages, answer, color, row in [([CAPITALS, ASKED], "SAD", ORANGE, 192), ([ASKED], "sad", BLUE, 212)]:
        ids = (template.prompt(messages) + template.tokenizer.encode(answer))[-shown - 3 :]
        heights = gelu(units(messages, answer))[-shown - 3 :, UNIT].tolist()
        xs = [10 + cell * i for i in range(len(ids))]
        tops = [base - high * height for height in heights]
        d.curve([p for x, y in zip(xs, tops, strict=True) for p in ((x, y), (x + cell, y))], color)
        if color == ORANGE:
            d.text(xs[tops.index(min(tops))] + cell / 2, min(tops) - 6, f"{max(heights):.2f}", "middle", fill=color)
        for x, i in list(zip(xs, ids, strict=True))[0 if color == ORANGE else shown :]:
            letter = template.tokenizer.decode([i])
            letter = "|" if len(letter) > 1 else letter.replace("\n", "↵")
            if letter != " ":
                own = {"fill": color} if x >= xs[shown] else {}
                d.text(x + cell / 2, row, letter, "middle", **own)
    d.text(10, 20, 'after "Use capitals."', fill=ORANGE)
    d.text(10, 42, "without it", fill=BLUE)
    return d.svg()


FIGURES = {"curve.svg": curve, "unit.svg": unit}
