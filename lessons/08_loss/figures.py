"""Lesson 08's picture, from the trained model: `python -m lessons --fix` draws it, a test compares it."""

import torch

from lessons.harness.figure import BLUE, INK, ORANGE, Drawing
from lessons.trained import trained_model
from minigpt.learn.loss import token_nll

SAID = [("user", "I'm Minh."), ("assistant", "Hello, Minh!"), ("user", "What's my name?"), ("assistant", "Minh")]
WIDE, HIGH = 30, 84  # a byte's width, and the height of SCALE nats
SCALE = 8.0


def surprise() -> str:
    """A row for each turn: the NLL of its bytes and of the token that ends it, as steps above the letters."""
    model, template = trained_model()
    ids, _ = template.encode([{"role": role, "content": content} for role, content in SAID])
    with torch.no_grad():
        nll = token_nll(model.double()(torch.tensor([ids[:-1]])), torch.tensor([ids[1:]]))[0].tolist()
    drawing = Drawing(620, 405, "Surprise, in nats, at each byte of a conversation")
    drawing.text(10, 18, "surprise at each byte, in nats", font_weight="bold")
    after, base = 0, 0
    for role, content in SAID:
        start = after + len(f"<{role}\n")  # where a turn begins is one token
        after = start + len(content) + 2  # <|im_end|> and a line break
        costs, left = nll[start - 1 : after - 2], 112
        base += round(max(costs) * HIGH / SCALE) + 50
        color = BLUE if role == "assistant" else ORANGE
        drawing.text(10, base + 18, role, fill=color)
        drawing.curve([(left, base), (left + len(costs) * WIDE, base)], INK, 0.5)
        steps = [(left, base)]
        for t, (cost, letter) in enumerate(zip(costs, [*content, "end"], strict=True)):
            x, top = left + t * WIDE, base - cost * HIGH / SCALE
            steps += [(x + 3, base), (x + 3, top), (x + WIDE - 3, top), (x + WIDE - 3, base)]
            drawing.text(x + WIDE / 2, base + 18, letter.replace(" ", "␣"), "middle")
            if cost >= 0.3:
                drawing.text(x + WIDE / 2, round(top) - 4, f"{cost:.1f}", "middle", fill=color, font_size="11")
        drawing.curve(steps, color)
    return drawing.svg()


FIGURES = {"surprise.svg": surprise}
