"""What lesson 13's grader takes for right although it is not the solution, number for number."""

import torch

from lessons.harness.grade import Lesson
from minigpt.learn.batches import Batch

LESSON = Lesson("13_response_loss")


def with_the_last_id_padded(examples, device, pad=0):
    """Nothing is predicted from a row's last id, so whether it is read or padding makes no difference."""
    batch = LESSON.solutions.collate(examples, device, pad)
    ids = batch.ids.clone()
    for row, example in zip(ids, examples, strict=True):
        row[len(example.ids) - 1 :] = pad
    assert len({len(example.ids) for example in examples}) == 1 or not torch.equal(ids, batch.ids)
    return Batch(ids, batch.targets, batch.supervised)


def test_a_row_s_last_id_may_be_padding() -> None:
    exercise = LESSON.graders["collate"]
    assert exercise.verdict(with_the_last_id_padded, LESSON) is None


def test_another_id_may_not() -> None:
    def all_padded(examples, device, pad=0):
        batch = with_the_last_id_padded(examples, device, pad)
        return Batch(torch.full_like(batch.ids, pad), batch.targets, batch.supervised)

    assert LESSON.graders["collate"].verdict(all_padded, LESSON)
