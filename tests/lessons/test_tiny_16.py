"""Lesson 16's sums come out on paper: from two decimals, each stage as the lesson shows it."""

import re

import torch

from lessons.harness.links import LESSONS
from lessons.tiny import IDS, TARGETS, W_O, E, paper_model
from minigpt import generate
from minigpt.model.low_rank import LowRankLinear

TEXT = (LESSONS / "16_further" / "README.md").read_text("utf-8")
A, B, SCALE = [0.0, 1.0, 0.0, 0.0], [1.0, 0.0, -1.0, 0.0], 2.0
P = [[0.21, 0.70, 0.06, 0.04], [0.12, 0.21, 0.60, 0.08], [0.13, 0.02, 0.28, 0.57]]  # lesson 06's table
SHOWN = [
    [0.06, 0.40, -0.04, -0.07],
    [0.29, -0.29, -0.19, -0.09],
    [0.12, 0.04, -0.08, -0.05],
    [0.16, -0.05, -0.11, -0.06],
]


def rounded(numbers: list[float]) -> list[float]:
    return [round(x, 2) + 0.0 for x in numbers]


def near(found: list[float], shown: list[float]) -> bool:
    return all(abs(a - b) < 0.0151 for a, b in zip(found, shown, strict=True))


def test_the_change_of_rank_1_and_what_it_makes_of_tea() -> None:
    changed = [[w + SCALE * a * b for w, b in zip(row, B, strict=True)] for row, a in zip(W_O, A, strict=True)]
    assert changed[1] == [2.0, 0.5, -2.0, 0.0]
    heads = [0.0, 0.67, 0.67, 0.0]
    read = sum(h * a for h, a in zip(heads, A, strict=True))
    assert rounded([SCALE * read * b for b in B]) == [1.34, 0.0, -1.34, 0.0]
    assert near([sum(h * row[o] for h, row in zip(heads, W_O, strict=True)) for o in range(4)], [0, 0.34, 0.34, 0])
    model = paper_model()
    attn = model.h[0].attn
    attn.c_proj = LowRankLinear(attn.c_proj, 1, SCALE)
    attn.c_proj.A.data, attn.c_proj.B.data = torch.tensor(A)[:, None], torch.tensor(B)[None]
    exact = attn(model.h[0].ln_1(model.wte(torch.tensor([IDS])) + model.wpe(torch.arange(3))))[0, 2].tolist()
    assert near(exact, [1.34, 0.34, -1.0, 0.0])
    assert generate(model, [0], 4, temperature=0.0) == [1, 2, 0, 1]
    ends = [one(torch.tensor([IDS]))[0, -1].softmax(-1)[3].item() for one in (paper_model(), model)]
    assert rounded(ends) == [0.57, 0.09]
    assert "from 0.57 to 0.09" in TEXT


def test_the_gradients_of_two_processes() -> None:
    onehot_less = [[p - (v == t) for v, p in enumerate(row)] for row, t in zip(P, TARGETS, strict=True)]
    g = [[sum(x * e[c] for x, e in zip(row, E, strict=True)) for c in range(4)] for row in onehot_less]
    first, second = [a + b for a, b in zip(g[0], g[1], strict=True)], g[2]
    both = [(a + b) / 3 for a, b in zip(first, second, strict=True)]
    means = [(a / 2 + b) / 2 for a, b in zip(first, second, strict=True)]
    for found, shown in zip((first, second, both, means), SHOWN, strict=True):
        assert near(found, shown)
    lines = re.findall(r"^(?:first|second|sum/3|means) +(.*)$", TEXT, re.M)
    assert [[float(x) for x in line.split()] for line in lines] == SHOWN
    assert both[1] > 0 > means[1]


def test_the_units_and_the_integers() -> None:
    for row, unit, integers in (
        ([0.304, -1.27, 0.068, 0.557], 0.01, [30, -127, 7, 56]),
        ([0.03, -0.02, 0.127, 0.0552], 0.001, [30, -20, 127, 55]),
    ):
        assert round(max(map(abs, row)) / 127, 6) == unit
        assert [round(w / unit) for w in row] == integers
    assert rounded([round(0.0552 / 0.01) * 0.01]) == [0.06]
