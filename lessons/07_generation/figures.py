"""Lesson 07's pictures, from the trained model: `python -m lessons --fix` draws them, a test compares them."""

import torch
from torch import Tensor

from lessons.harness.figure import BLUE, INK, ORANGE, Drawing, tables
from lessons.trained import trained_model
from minigpt.sample.sampling import probabilities
from minigpt.text.records import BUILTIN, read_conversations

QUESTION = [{"role": "user", "content": "Give the opposite of hot."}]
SETTINGS = {
    "temperature 0.5": (0.5,), "temperature 1": (1.0,), "temperature 2": (2.0,),
    "1 and top-k 3": (1.0, 3), "1 and top-p 0.9": (1.0, None, 0.9),
}  # fmt: skip


def step() -> str:
    """What the first byte of the answer is drawn from, under several settings."""
    model, template = trained_model()
    with torch.no_grad():
        logits = model.double()(torch.tensor([template.prompt(QUESTION)]))[:, -1]
    shown = logits[0].topk(7).indices
    rows = []
    for settings in SETTINGS.values():
        P = probabilities(logits, *settings)[0].double()
        rows.append([p if p >= 0.005 else None for p in [*P[shown].tolist(), 1 - P[shown].sum().item()]])
    return tables(
        [rows], list(SETTINGS), ["the first byte of the answer (blank: less than 0.01)"],
        "Probabilities of the first byte of the answer under five settings",
        [*(template.tokenizer.decode([i]) for i in shown.tolist()), "others"],
    )  # fmt: skip


def answers() -> tuple[Tensor, Tensor, Tensor]:
    """For each byte of the test answers (the end token too): the logits it is drawn from, its id, its conversation."""
    model, template = trained_model()
    model = model.double()
    rows = []
    for i, row in enumerate(read_conversations([str(BUILTIN / "test.jsonl")], [])):
        prompt, (ids, _) = template.prompt(row.messages[:-1]), template.encode(row.messages)
        rows.append((ids[: ids.index(template.end, len(prompt)) + 1], len(prompt), i))
    rows.sort(key=lambda row: len(row[0]))
    logits, wanted, owner = [], [], []
    for first in range(0, len(rows), 50):
        some = rows[first : first + 50]
        longest = max(len(ids) for ids, *_ in some)
        with torch.no_grad():
            found = model(torch.tensor([ids + [0] * (longest - len(ids)) for ids, *_ in some]))
        for (ids, start, i), row in zip(some, found, strict=True):
            logits.append(row[start - 1 : len(ids) - 1])
            wanted += ids[start:]
            owner += [i] * (len(ids) - start)
    return torch.cat(logits), torch.tensor(wanted), torch.tensor(owner)


def chance() -> str:
    """The exact chance that a drawn answer is the reference, byte by byte, over the temperature."""
    logits, wanted, owner = answers()
    n = int(owner.max()) + 1

    def right(*settings: float | None) -> float:
        of_each = probabilities(logits, *settings)[torch.arange(len(wanted)), wanted].double()
        return torch.zeros(n, dtype=torch.float64).index_add(0, owner, of_each.log()).exp().mean().item()

    drawing = Drawing(560, 320, "Chance that a drawn answer is right, over the temperature")
    x, y = (lambda T: 60 + T * 200), (lambda share: 270 - share * 350)
    drawing.text(10, 18, "chance that an answer is exactly right", font_weight="bold")
    for share in (0.0, 0.2, 0.4, 0.6):
        drawing.curve([(x(0), y(share)), (x(2), y(share))], width=0.5)
        drawing.text(50, y(share) + 5, f"{share:.0%}", "end")
    for T in (0.0, 0.5, 1.0, 1.5, 2.0):
        drawing.text(x(T), 290, f"{T:g}", "middle")
    drawing.text(x(1), 312, "temperature", "middle")
    temperatures = [i / 5 for i in range(1, 11)]
    greedy = right(1.0, 1)
    for color, label, down, cut in [
        (INK, "top-k 3", 5, (3,)), (ORANGE, "top-p 0.9", -3, (None, 0.9)), (BLUE, "all bytes", 13, ()),
    ]:  # fmt: skip
        shares = [greedy, *(right(T, *cut) for T in temperatures)]
        drawing.curve(list(zip(map(x, [0.0, *temperatures]), map(y, shares), strict=True)), color)
        drawing.text(x(2) + 8, y(shares[-1]) + down, label, fill=color)
    return drawing.svg()


FIGURES = {"step.svg": step, "chance.svg": chance}
