"""Rows of one stream: every token is predicted once, from as much context as promised."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigpt.learn.batches import used_length
from minigpt.text.stream import Stream, TextRows, held_out

BOS = 256


def whole(*sources: list[int]) -> Stream:
    arrays = [np.array(source, np.uint16) for source in sources]
    return Stream(arrays, np.array([[i, 0, len(a)] for i, a in enumerate(arrays)]))


@given(st.lists(st.lists(st.integers(0, 255), max_size=9), min_size=1, max_size=5), st.data())
def test_a_stream_reads_as_its_parts_joined(sources: list[list[int]], data: st.DataObject) -> None:
    stream, joined = whole(*sources), [i for source in sources for i in source]
    start, stop = (data.draw(st.integers(0, len(joined) + 2)) for _ in range(2))
    assert len(stream) == len(joined)
    assert stream[start:stop].tolist() == joined[start:stop]


@given(st.integers(2, 60), st.integers(1, 20), st.data())
def test_every_token_but_the_first_is_predicted_once_from_the_promised_context(
    n: int, t_max: int, data: st.DataObject
) -> None:
    stride = data.draw(st.integers(1, t_max))
    rows = TextRows(whole(list(range(n))), t_max, "text", stride)
    predicted = []
    for row in rows:
        assert used_length(row) <= t_max
        targets = [(i, token) for i, token in enumerate(row.ids) if row.supervised[i]]
        predicted += [token for _, token in targets]
        for i, token in targets:
            assert row.ids[: i + 1] == list(range(token - i, token + 1)), "the tokens before it, in order"
            assert i >= min(token, t_max - stride + 1 if row is not rows[0] and stride < t_max else 1)
    assert predicted == list(range(1, n))


def test_disjoint_rows_supervise_all_but_their_first_token() -> None:
    rows = TextRows(whole(list(range(10))), 4, "text")
    assert [row.ids for row in rows] == [[0, 1, 2, 3, 4], [4, 5, 6, 7, 8], [8, 9]], "no token is read twice"
    assert all(row.supervised == [False] + [True] * (len(row.ids) - 1) for row in rows)
    assert rows[1].source == "text, predicting tokens 5 to 8"
    assert [row.ids for row in rows[1:]] == [[4, 5, 6, 7, 8], [8, 9]]
    with pytest.raises(IndexError):
        rows[3]


@pytest.mark.parametrize("n", [0, 1])
def test_a_stream_that_predicts_nothing_has_no_rows(n: int) -> None:
    assert len(TextRows(whole(list(range(n))), 4, "text")) == 0


def test_the_last_twentieth_of_each_document_is_held_out_and_nothing_is_in_both() -> None:
    first, second, short = list(range(40)), list(range(100, 160)), [7] * 19
    sources = [np.array([BOS, *first, BOS, *short], np.uint16), np.array([BOS, *second], np.uint16)]
    train, valid = (Stream(sources, parts)[0:1000].tolist() for parts in held_out(sources, BOS, 4))
    assert train == [BOS, *first[:38], BOS, *short, BOS, *second[:57]]
    assert valid == [BOS, *first[38:], BOS, *second[57:]]


def test_of_many_short_documents_the_last_twentieth_is_held_out_whole() -> None:
    """And a long one among them is cut as if it were alone."""
    short, long = [[BOS, i, i] for i in range(40)], [BOS, *range(100, 200)]
    first, second = list(chain(*short[:20])), list(chain(*short[20:38]))
    source = np.array([*first, *long, *second, *short[38], *short[39]], np.uint16)
    train, valid = (Stream([source], parts)[0:1000].tolist() for parts in held_out([source], BOS, 5))
    assert train == [*first, *long[:96], *second]
    assert valid == [BOS, *long[96:], *short[38], *short[39]]


@pytest.mark.parametrize(("n", "held"), [(19, []), (20, [BOS, 19, 19]), (39, [BOS, 38, 38])])
def test_twenty_short_documents_are_many(n: int, held: list[int]) -> None:
    source = np.array([token for i in range(n) for token in (BOS, i, i)], np.uint16)
    assert Stream([source], held_out([source], BOS, 5)[1])[0:100].tolist() == held
