"""Lesson 12 on paper: what three new tokens, each the mean of the old rows, get from the paper model."""

import torch

from lessons.tiny import IDS, paper_model
from minigpt.run.start import grow_vocabulary
from tests.lessons.test_tiny import stages, two_decimals


def test_the_share_of_a_new_token_can_be_computed_from_two_decimals() -> None:
    logits = two_decimals(stages(lambda x: x)["logits"][-1])
    sizes = two_decimals(logits.exp())
    new = two_decimals(logits.mean().exp()).expand(3)
    on_paper = two_decimals(torch.cat([sizes, new]) / (sizes.sum() + new.sum()))
    model = paper_model()
    grow_vocabulary(model, 7)
    exact = model(torch.tensor([IDS]))[0, -1].softmax(-1)
    assert (on_paper - two_decimals(exact)).abs().max() < 0.0101
    assert [round(size.item(), 2) for size in (sizes.sum(), new[0], sizes.sum() + new.sum())] == [8.02, 1.2, 11.62]
