"""Lesson 11's paper numbers: what a new token with the mean row scores, from scores of two decimals."""

import math

import torch

from lessons.tiny import IDS, paper_model
from minigpt.run.start import grow_vocabulary


def test_the_new_token_s_score_and_share_come_out_on_paper() -> None:
    """The mean of the four scores, its size, and its share beside sizes that add up to 8.02."""
    model = paper_model()
    old = model(torch.tensor([IDS]))[0, -1].tolist()
    grow_vocabulary(model, 5)
    logits = model(torch.tensor([IDS]))[0, -1]
    shown = [round(score, 2) for score in old]
    assert shown == [0.06, -1.63, 0.80, 1.51]
    mean = round(sum(shown) / 4, 3)
    sizes = round(sum(round(math.exp(score), 2) for score in shown), 2)
    assert (mean, round(math.exp(mean), 2), sizes) == (0.185, 1.20, 8.02)
    assert abs(logits[4].item() - mean) < 0.01
    assert abs(logits.softmax(-1)[4].item() - 1.20 / (sizes + 1.20)) < 0.01
    assert round(1.20 / 9.22, 2) == round(logits.softmax(-1)[4].item(), 2) == 0.13
    assert logits[:4].tolist() == old
    assert 1.20 <= round(sizes / 4, 1) == 2.0  # so the share is at most 1 / 5
