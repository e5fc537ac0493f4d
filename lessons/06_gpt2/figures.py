"""Lesson 06's picture, from the trained model: `python -m lessons --fix` draws it, a test compares it."""

import torch

from lessons.harness.figure import ROW, Drawing
from lessons.trained import trained_model

TOLD = [("user", "I'm Minh."), ("assistant", "Hello, Minh!"), ("user", "What's my name?")]
SHOWN = {"\n": "\\n", "<|im_end|>": "end", " ": "space"}


def lens() -> str:
    """What the head says of x after each layer, while the answer is read: the best byte and its probability."""
    model, template = trained_model()
    model, tokenizer = model.double(), template.tokenizer
    prompt = template.prompt([{"role": role, "content": content} for role, content in TOLD])
    ids = torch.tensor([prompt + tokenizer.encode("Minh")])
    layers = [model.wte(ids) + model.wpe(torch.arange(ids.shape[1]))]
    for block in model.h:
        layers.append(block(layers[-1]))

    def name(token: int) -> str:
        text = tokenizer.decode([token])
        return SHOWN.get(text, text)

    places, width, left = range(len(prompt) - 1, ids.shape[1]), 104, 140
    drawing = Drawing(left + len(places) * width + 10, 44 + len(layers) * ROW, "What the head says after each layer")
    drawing.text(left - 10, 20, "has just read", "end", font_weight="bold")
    for column, t in enumerate(places):
        drawing.text(left + (column + 0.5) * width - 1, 20, name(ids[0, t].item()), "middle", font_weight="bold")
    for row, x in enumerate(layers):
        y, words = 34 + row * ROW, f"after layer {row}" if row else "embedding"
        drawing.text(left - 10, y + 19, words, "end")
        best = model.logits(model.ln_f(x))[0].softmax(-1).max(-1)
        for column, t in enumerate(places):
            weight, token = best.values[t].item(), best.indices[t].item()
            drawing.cell(left + column * width, y, width, weight, f"{name(token)} {weight:.2f}")
    return drawing.svg()


FIGURES = {"lens.svg": lens}
