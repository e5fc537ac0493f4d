"""Lesson 13's picture, from the trained model: `python -m lessons --fix` draws it, a test compares it."""

import torch

from lessons.harness.figure import BLUE, INK, Drawing
from lessons.trained import trained_model
from minigpt.learn.loss import token_nll

from .detective import FIGURES as DETECTIVE_FIGURES

SAID = [("user", "Call me Tom."), ("assistant", "Hello, Tom!"), ("user", "Who am I?"), ("assistant", "Tom")]
SIGNS = {"<|im_start|>": "[", "<|im_end|>": "]", "\n": "↵", " ": "·"}
WIDTH, BASE, HEIGHT = 11, 190, 16  # of a token, of the axis, of a nat


def tokens() -> str:
    """The NLL of every token of a conversation, as a bar over the token; supervised ones in another color."""
    model, template = trained_model()
    ids, supervised = template.encode([{"role": role, "content": content} for role, content in SAID])
    with torch.no_grad():
        logits = model.double()(torch.tensor([ids[:-1]]))[0]
    nll = token_nll(logits, torch.tensor(ids[1:])).tolist()
    drawing = Drawing(
        30 + WIDTH * len(ids), 232, "NLL of every byte of a conversation, with the supervised ones marked"
    )
    drawing.text(30, 16, "NLL of each token, in nats", font_weight="bold")
    drawing.text(300, 16, "supervised", fill=BLUE, font_weight="bold")
    drawing.text(400, 16, "read only")
    for nats in (0, 2, 4, 6, 8):
        drawing.curve([(30, BASE - HEIGHT * nats), (30 + WIDTH * len(ids), BASE - HEIGHT * nats)], width=0.5)
        drawing.text(22, BASE - HEIGHT * nats + 5, str(nats), "end")
    for color, mine in ((INK, False), (BLUE, True)):
        bars = "".join(
            f"M{30 + WIDTH * (t + 1.5):g} {BASE}v-{HEIGHT * loss:.1f}"
            for t, loss in enumerate(nll) if supervised[t + 1] == mine
        )  # fmt: skip
        drawing.lines.append(f'<path d="{bars}" stroke="{color}" stroke-width="7"/>')
    for t, i in enumerate(ids):
        sign = template.tokenizer.decode([i])
        more = {"fill": BLUE} if supervised[t] else {}
        drawing.text(30 + WIDTH * (t + 0.5), BASE + 18, SIGNS.get(sign, sign), "middle", **more)
    drawing.text(30, BASE + 38, "[ and ] begin and end a turn, ↵ ends a line")
    return drawing.svg()


FIGURES = {"tokens.svg": tokens, **DETECTIVE_FIGURES}
