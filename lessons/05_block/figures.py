"""Lesson 05's pictures, from the models themselves: `python -m lessons --fix` draws them, a test compares them."""

import torch
from torch import Tensor

from lessons.harness.figure import BLUE, INK, ORANGE, Drawing
from lessons.trained import trained_model

LEFT, STEP, HEIGHT = 44, 17, 190
CURVES = [  # color and width
    ("E + P", INK, 2.0), ("attn 1", BLUE, 1.2), ("mlp 1", BLUE, 3.2), ("attn 2", ORANGE, 1.2), ("mlp 2", ORANGE, 3.2),
]  # fmt: skip


def added() -> tuple[list[str], Tensor]:
    """The bytes of a question, and what every part adds to the stream there, (1 + 2 L, T, C)."""
    model, template = trained_model()
    ids = template.prompt([{"role": "user", "content": "What's my name?"}])
    with torch.no_grad():
        model.double()
        x = model.wte(torch.tensor([ids])) + model.wpe(torch.arange(len(ids)))
        parts = [x]
        for block in model.h:
            parts.append(block.attn(block.ln_1(x)))
            parts.append(block.mlp(block.ln_2(x + parts[-1])))
            x = sum(parts)
    names = [template.tokenizer.decode([i]) for i in ids]
    return ["<>"[name == "<|im_end|>"] if len(name) > 1 else {"\n": "↵", " ": "␣"}.get(name, name) for name in names], (
        torch.cat(parts)
    )


def stream() -> str:
    """Two plots over the positions of a question: the stream's length after each part, and what each part adds."""
    names, parts = added()
    width = LEFT + STEP * len(names)
    drawing = Drawing(width + 100, 2 * HEIGHT + 92, "The residual stream of the trained model, position by position")
    plots = [("length of the stream after each part", parts.cumsum(0)), ("length of what each part adds", parts)]
    for i, (title, vectors) in enumerate(plots):
        lengths = vectors.norm(dim=-1)
        bottom = 30 + HEIGHT + i * (HEIGHT + 54)
        unit = HEIGHT / 8
        drawing.text(LEFT, bottom - HEIGHT - 10, title, font_weight="bold")
        for n in range(0, 9, 2):
            drawing.text(LEFT - 14, bottom - n * unit + 5, str(n), "end")
            drawing.curve([(LEFT - 8, bottom - n * unit), (width, bottom - n * unit)], width=0.3)
        for (_, color, thick), curve in zip(CURVES, lengths.tolist(), strict=True):
            points = [(LEFT + STEP * t, bottom - length * unit) for t, length in enumerate(curve)]
            drawing.curve(points, color, thick)
        for t, name in enumerate(names if i == 0 else []):
            drawing.text(LEFT + STEP * t, bottom + 18, name, "middle")
        for j, (name, color, thick) in enumerate(CURVES):
            y = bottom - HEIGHT + 20 + 22 * j
            drawing.curve([(width, y - 5), (width + 18, y - 5)], color, thick)
            drawing.text(width + 24, y, ("+ " if i == 0 and j else "") + name)
    return drawing.svg()


FIGURES = {"stream.svg": stream}
