"""Oracles of lesson 13: torch's cross-entropy, rows taken apart, the loss of transformers' GPT-2."""

import torch
from torch.nn import functional as F

from minigpt import GPTConfig
from minigpt.learn import batches, loss, trainer
from minigpt.text.examples import Example
from tests.reference.pair import make_pair

ROWS = [
    Example([5, 7, 3, 9, 2, 0], [False, False, True, True, True, False], "two turns would be as good"),
    Example([5, 8, 2, 6, 2, 4, 1, 9, 2], [False, False, True, True, True, False, False, True, True], "two answers"),
    Example([5, 1, 2], [False, False, True], "an answer of one token"),
]


def torch_s_cross_entropy() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(3, 5, 11, generator=generator), torch.randint(11, (3, 5), generator=generator)
    supervised = torch.tensor([[0, 0, 1, 1, 0], [0, 1, 0, 1, 1], [1, 0, 0, 0, 0]]).bool()
    total, count = loss.response_nll(logits, targets, supervised)
    ignored = targets.masked_fill(~supervised, -100).flatten()
    torch.testing.assert_close(total, F.cross_entropy(logits.flatten(0, 1), ignored, reduction="sum"))
    assert count == 6


def what_precedes_each_supervised_token() -> None:
    """Of each row: the pairs (all that is read before it, the token), with padding that is an end token."""
    for pad in (0, 2, 10):
        batch = batches.collate(ROWS, torch.device("cpu"), pad)
        for b, row in enumerate(ROWS):
            pairs = [(row.ids[:t], row.ids[t]) for t in range(1, len(row.ids)) if row.supervised[t]]
            places = batch.supervised[b].nonzero().flatten().tolist()
            assert pairs == [(batch.ids[b, : t + 1].tolist(), batch.targets[b, t].item()) for t in places]
        assert batch.ids.shape == batch.targets.shape == (3, 8)


def loss_of_transformers() -> None:
    ours, theirs = make_pair(GPTConfig(vocab_size=12, n_ctx=16, n_embd=16, n_head=2, n_layer=2, bos_token_id=0), 0.2)
    T = max(len(row.ids) for row in ROWS)
    ids = torch.tensor([row.ids + [2] * (T - len(row.ids)) for row in ROWS])
    mask = torch.tensor([row.supervised + [False] * (T - len(row.ids)) for row in ROWS])
    labels = ids.masked_fill(~mask, -100)
    expected = theirs(input_ids=ids, labels=labels).loss * mask.sum()
    for explicit in (True, False):
        found = trainer.supervised_nll(ours.explicit(explicit), batches.Batch(ids[:, :-1], ids[:, 1:], mask[:, 1:]))
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


ORACLES = {
    "minigpt.learn.loss.response_nll": torch_s_cross_entropy,
    "minigpt.learn.batches.collate": what_precedes_each_supervised_token,
    "minigpt.learn.trainer.supervised_nll": loss_of_transformers,
}
