"""Lesson 09: which rows a step learns from, how they are grouped, and what their padding may not do."""

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt import GPT
from minigpt.learn.batches import collate, split_by_length, step_rows, used_length
from minigpt.learn.trainer import supervised_token_nll
from minigpt.text.examples import Example

CPU = torch.device("cpu")


Row = tuple[list[int], list[bool]]


@st.composite
def rows(draw: st.DrawFn) -> list[Row]:
    """Ids and mask of two to nine tokens, with something learned behind the first, as `fit` makes them."""
    made = []
    for _ in range(draw(st.integers(1, 5))):
        mask = [False] + draw(st.lists(st.booleans(), min_size=1, max_size=8).filter(any))
        made.append((draw(st.lists(st.integers(0, 255), min_size=len(mask), max_size=len(mask))), mask))
    return made


def as_examples(drawn: list[Row]) -> list[Example]:
    return [Example(ids, mask, f"row {i}") for i, (ids, mask) in enumerate(drawn)]


def ragged_rows() -> list[Example]:
    generator = torch.Generator().manual_seed(0)
    made = []
    for i, (asked, answered, tail) in enumerate([(3, 9, 0), (1, 1, 2), (7, 2, 1), (2, 5, 0)]):
        ids = torch.randint(260, (asked + answered + tail,), generator=generator).tolist()
        made.append(Example(ids, [False] * asked + [True] * answered + [False] * tail, f"row {i}"))
    return made


def ended_by(end: int, row: Example) -> Example:
    """The row with this id as its last supervised token."""
    last = used_length(row)
    return replace(row, ids=[*row.ids[:last], end, *row.ids[last + 1 :]])


@given(batch_size=st.integers(1, 40), n_rows=st.integers(1, 30), seed=st.integers(0, 2**31))
def test_every_row_comes_once_an_epoch(batch_size: int, n_rows: int, seed: int) -> None:
    """Also where a batch crosses an epoch's end, or holds several epochs."""
    drawn = [
        row for step in range(1, 3 + 2 * n_rows // batch_size) for row in step_rows(step, batch_size, n_rows, seed)
    ]
    for start in range(0, len(drawn) - n_rows + 1, n_rows):
        assert sorted(drawn[start : start + n_rows]) == list(range(n_rows))


def test_rows_are_a_function_of_the_step_alone() -> None:
    """Else a resumed run would go on in another order."""
    forward = [step_rows(step, 4, 10, 7) for step in range(1, 9)]
    assert [step_rows(step, 4, 10, 7) for step in range(8, 0, -1)][::-1] == forward
    torch.manual_seed(3)
    assert step_rows(5, 4, 10, 7) == forward[4]


def test_the_order_does_not_depend_on_how_it_is_cut_into_steps() -> None:
    by_four = [row for step in range(1, 7) for row in step_rows(step, 4, 10, 7)]
    by_six = [row for step in range(1, 5) for row in step_rows(step, 6, 10, 7)]
    assert by_four == by_six


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = [tuple(step_rows(step, 20, 20, seed)) for step in (1, 2) for seed in (0, 1)]
    assert len(set(orders)) == 4


def partitions(items: list[int]) -> Iterator[list[list[int]]]:
    """Every way to put these into groups, neighbours or not."""
    if not items:
        yield []
        return
    head, rest = items[0], items[1:]
    for groups in partitions(rest):
        yield [[head], *groups]
        for i in range(len(groups)):
            yield [*groups[:i], [head, *groups[i]], *groups[i + 1 :]]


def cost(groups: list[list[int]], lengths: list[int], overhead: int) -> int:
    return sum(len(group) * max(lengths[i] for i in group) + overhead for group in groups)


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    overhead=st.integers(0, 60),
    most=st.integers(1, 6),
    room=st.sampled_from([1.0, 40.0, 77.0, 120.0, math.inf]),
)
@settings(max_examples=80)
def test_no_grouping_costs_less(lengths: list[int], overhead: int, most: int, room: float) -> None:
    """Of those whose groups have at most `most` rows, and at most `room` tokens where they have several."""

    def is_allowed(group: list[int]) -> bool:
        return len(group) == 1 or (len(group) <= most and len(group) * max(lengths[i] for i in group) <= room)

    groups = split_by_length(lengths, overhead, most, room)
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    assert all(map(is_allowed, groups))
    allowed = (p for p in partitions(list(range(len(lengths)))) if all(map(is_allowed, p)))
    assert cost(groups, lengths, overhead) == min(cost(p, lengths, overhead) for p in allowed)


def test_many_rows_are_grouped_without_a_row_lost_or_a_group_too_large() -> None:
    lengths = torch.randint(1, 200, (300,), generator=torch.Generator().manual_seed(0)).tolist()
    groups = split_by_length(lengths, 128, 16)
    assert sorted(i for group in groups for i in group) == list(range(300))
    assert max(map(len, groups)) <= 16


@given(drawn=rows(), pad=st.integers(0, 259))
def test_exactly_the_learned_tokens_are_targets_each_behind_what_precedes_it(drawn: list[Row], pad: int) -> None:
    """Targets are shifted by one, padding is never learned, and the last learned token is never lost."""
    examples = as_examples(drawn)
    batch = collate(examples, CPU, pad)
    assert batch.ids.shape == batch.targets.shape == batch.supervised.shape
    assert batch.ids.shape == (len(examples), max(used_length(example) for example in examples))
    for b, example in enumerate(examples):
        places = batch.supervised[b].nonzero().flatten().tolist()
        assert places == [t - 1 for t, learned in enumerate(example.supervised) if learned]
        assert [batch.targets[b, t].item() for t in places] == [example.ids[t + 1] for t in places]
        for t in places:
            assert batch.ids[b, : t + 1].tolist() == example.ids[: t + 1]


@pytest.mark.parametrize("pad", [256, 258, 13])
def test_the_padding_is_of_no_consequence_even_where_it_is_the_end_token(small_model: GPT, pad: int) -> None:
    """Padding told by its id instead of its place would unlearn the end token."""
    examples = [ended_by(pad, row) for row in ragged_rows()]
    expected = supervised_token_nll(small_model, collate(examples, CPU, pad=0))
    found = supervised_token_nll(small_model, collate(examples, CPU, pad=pad))
    assert torch.equal(found, expected)
    assert len(found) == 9 + 1 + 2 + 5


@given(drawn=rows())
def test_padding_on_the_left_would_learn_the_same_pairs(drawn: list[Row]) -> None:
    """(token read, token learned) of each row, counted from rows that are padded on the other side."""
    examples = as_examples(drawn)
    longest = max(len(example.ids) for example in examples)
    ids = torch.tensor([[0] * (longest - len(example.ids)) + example.ids for example in examples])
    mask = torch.tensor([[False] * (longest - len(example.ids)) + example.supervised for example in examples])
    batch = collate(examples, CPU)
    for b in range(len(examples)):
        left = torch.stack([ids[b, :-1], ids[b, 1:]], -1)[mask[b, 1:]]
        right = torch.stack([batch.ids[b], batch.targets[b]], -1)[batch.supervised[b]]
        assert torch.equal(left, right)
