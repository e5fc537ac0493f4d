"""A row of a table for each id, and the position added to it."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from minigpt.model.embedding import Embedding, embed


def random_table(n_rows: int, n_embd: int, seed: int) -> Embedding:
    table = Embedding(n_rows, n_embd).double()
    torch.nn.init.normal_(table.weight, generator=torch.Generator().manual_seed(seed))
    return table


@settings(max_examples=25)
@given(batch=st.lists(st.integers(1, 5), max_size=3), seed=st.integers(0, 2**31))
def test_ids_select_their_rows_and_a_row_gathers_the_gradient_of_each_use(batch: list[int], seed: int) -> None:
    """Few rows, so that most are used more than once: their gradients add up."""
    table = random_table(4, 3, seed)
    ids = torch.randint(4, batch, generator=torch.Generator().manual_seed(seed))
    rows, expected = table(ids), table.weight[ids]
    assert torch.equal(rows, expected)
    upstream = torch.randn_like(expected)
    (gradient,) = torch.autograd.grad(rows, table.weight, upstream)
    (expected_gradient,) = torch.autograd.grad(expected, table.weight, upstream)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-12, atol=1e-12)


def test_a_row_that_no_id_selects_gets_no_gradient() -> None:
    table = random_table(4, 3, seed=0)
    (gradient,) = torch.autograd.grad(table(torch.tensor([[1, 1, 3]])).sum(), table.weight)
    assert gradient.tolist() == [[0.0] * 3, [2.0] * 3, [0.0] * 3, [1.0] * 3]


def test_the_position_is_added_to_the_token() -> None:
    wte, wpe = random_table(10, 3, seed=0), random_table(6, 3, seed=1)
    ids = torch.tensor([[7, 7, 2], [0, 9, 7]])

    def expected(positions: list[list[int]]) -> Tensor:
        rows = [
            [wte.weight[i] + wpe.weight[p] for i, p in zip(*row, strict=True)]
            for row in zip(ids, positions, strict=True)
        ]
        return torch.stack([torch.stack(row) for row in rows])

    shared = embed(wte, wpe, ids, torch.tensor([[0, 1, 2]]))
    torch.testing.assert_close(shared, expected([[0, 1, 2], [0, 1, 2]]), rtol=0, atol=0)
    own = embed(wte, wpe, ids, torch.tensor([[0, 1, 2], [3, 4, 5]]))
    torch.testing.assert_close(own, expected([[0, 1, 2], [3, 4, 5]]), rtol=0, atol=0)
