"""Lesson 14: the perplexity of a data set's answers, whatever the batches."""

import pytest
import torch

from minigpt import GPT, GPTConfig
from minigpt.learn.batches import used_length
from minigpt.learn.loss import perplexity, response_nll
from minigpt.measure import perplexity as perplexities
from minigpt.measure.perplexity import response_loss, row_losses
from minigpt.text.examples import Example


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    """Answers of one to twenty-eight tokens, some with a tail that is not supervised."""
    generator = torch.Generator().manual_seed(0)
    rows = []
    for i in range(19):
        asked, answered, tail = (int(torch.randint(1, high, (), generator=generator)) for high in (20, 30, 3))
        ids = torch.randint(260, (asked + answered + tail,), generator=generator).tolist()
        rows.append(Example(ids, [False] * asked + [True] * answered + [False] * tail, f"row {i}"))
    return rows


def one_at_a_time(model: GPT, examples: list[Example]) -> list[tuple[float, int]]:
    """Sum and count of each row alone, over full logits."""
    found = []
    for row in examples:
        ids, supervised = torch.tensor([row.ids]), torch.tensor([row.supervised])
        with torch.no_grad():
            nll, count = response_nll(model(ids[:, :-1]), ids[:, 1:], supervised[:, 1:])
        found.append((nll.item(), count))
    return found


@pytest.mark.parametrize("batch_size", [1, 8, 32])
def test_the_batch_size_is_of_no_consequence(small_model: GPT, examples: list[Example], batch_size: int) -> None:
    rows = one_at_a_time(small_model, examples)
    total, count = response_loss(small_model, examples, batch_size)
    assert count == sum(n for _, n in rows) == sum(sum(row.supervised) for row in examples)
    assert total == pytest.approx(sum(nll for nll, _ in rows), rel=1e-6)
    expected = perplexity(sum(nll for nll, _ in rows), count)
    assert perplexity(total, count) == pytest.approx(expected, rel=1e-5)


def test_a_mean_of_the_rows_means_is_another_number(small_model: GPT, examples: list[Example]) -> None:
    """The tolerance above must see what weighs short answers more."""
    rows = one_at_a_time(small_model, examples)
    total, count = response_loss(small_model, examples)
    assert sum(nll / n for nll, n in rows) / len(rows) != pytest.approx(total / count, rel=1e-3)


def test_the_order_of_the_rows_is_of_no_consequence(small_model: GPT, examples: list[Example]) -> None:
    forward, backward = (response_loss(small_model, rows, 4) for rows in (examples, examples[::-1]))
    assert forward == (pytest.approx(backward[0], rel=1e-6), backward[1])


def test_evaluating_in_training_has_no_dropout_draws_nothing_and_goes_on_training(examples: list[Example]) -> None:
    """Else a run that evaluates more often would learn otherwise."""
    torch.manual_seed(0)
    model = GPT(GPTConfig.named("tiny", n_ctx=64, n_embd=16, n_head=2, n_layer=2, dropout=0.5))
    expected = response_loss(model.eval(), examples)
    before = torch.get_rng_state()
    assert response_loss(model.train(), examples) == expected
    assert model.training
    assert torch.equal(torch.get_rng_state(), before)
    assert all(p.grad is None for p in model.parameters())
    response_loss(model.eval(), examples)
    assert not model.training


def test_progress_hears_of_every_row_once(small_model: GPT, examples: list[Example]) -> None:
    heard: list[int] = []
    row_losses(small_model, examples, 8, progress=heard.append)
    assert heard == [8, 8, 3]


def test_bfloat16_is_near_and_not_the_same(small_model: GPT, examples: list[Example]) -> None:
    exact, count = response_loss(small_model, examples)
    rounded, same_count = response_loss(small_model, examples, dtype="bfloat16")
    assert same_count == count
    assert rounded != exact
    assert rounded == pytest.approx(exact, rel=0.01)


def test_no_more_tokens_are_read_at_once_than_in_training(
    small_model: GPT, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All logits of a batch exist at once, so that long rows would need more memory than a step."""
    together, sizes = row_losses(small_model, examples, 32), []
    monkeypatch.setattr(perplexities, "room", lambda model: 60.0)
    apart = row_losses(small_model, examples, 32, progress=sizes.append)
    assert [count for _, count in apart] == [count for _, count in together]
    assert [nll for nll, _ in apart] == pytest.approx([nll for nll, _ in together], rel=1e-5)
    lengths = iter(sorted(map(used_length, examples)))
    for size in sizes:
        read = [next(lengths) for _ in range(size)]
        assert size == 1 or size * max(read) <= 60
    assert len(sizes) < len(examples)
