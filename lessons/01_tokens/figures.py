"""Lesson 01's picture, from the trained model: `python -m lessons --fix` draws it, a test compares it."""

import torch

from lessons.harness.figure import ROW, Drawing
from lessons.trained import trained_model

ASKED, ANSWER = "Translate moon into Vietnamese.", "mặt trăng"


def letters() -> str:
    """Of each byte of an answer: how sure the model is that a letter goes on here, and that it is this byte."""
    model, template = trained_model()
    prompt, answer = template.prompt([{"role": "user", "content": ASKED}]), template.tokenizer.encode(ANSWER)
    with torch.no_grad():
        logits = model.double()(torch.tensor([prompt + answer]))[0, len(prompt) - 1 : -1]
    p = logits.softmax(-1)
    left, cell = 150, 52
    drawing = Drawing(
        left + cell * len(answer) + 10, 80 + 2 * ROW,
        f"Probabilities before each byte of the answer {ANSWER!r} to {ASKED!r}: that the byte goes on with a letter, "
        "and that it is the byte that comes",
    )  # fmt: skip
    x = left
    for letter in ANSWER:
        width = cell * len(letter.encode())
        drawing.text(x + width / 2 - 1, 20, "blank" if letter == " " else letter, "middle", font_weight="bold")
        drawing.curve([(x + 3, 28), (x + width - 5, 28)])
        x += width
    for row, name in enumerate(("byte", "a letter goes on", "this very byte")):
        drawing.text(left - 10, 49 + row * (ROW + 2), name, "end")
    for i, byte in enumerate(answer):
        drawing.text(left + (i + 0.5) * cell - 1, 49, str(byte), "middle")
        drawing.cell(left + i * cell, 30 + ROW + 2, cell, p[i, 128:192].sum().item())
        drawing.cell(left + i * cell, 30 + 2 * (ROW + 2), cell, p[i, byte].item())
    return drawing.svg()


FIGURES = {"letters.svg": letters}
