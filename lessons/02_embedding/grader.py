"""Lesson 02's grader: what is asked for, on which numbers, and the hint for each typical mistake."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from lessons.harness.grade import Exercise
from lessons.tiny import E, P
from lessons.trained import trained_model
from minigpt.model.embedding import Embedding

PAPER = torch.tensor(E, dtype=torch.float64), torch.tensor(P, dtype=torch.float64)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@cache
def trained_tables() -> tuple[Tensor, Tensor]:
    """E and P of the trained model."""
    model, _ = trained_model()
    return model.wte.weight.detach(), model.wpe.weight.detach()


class Table(Embedding):
    """An embedding with given rows, equal to another one with the same rows."""

    def __init__(self, rows: Tensor) -> None:
        super().__init__(*rows.shape)
        self.weight.data = rows.clone()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and torch.equal(self.weight, other.weight)

    __hash__ = Embedding.__hash__

    def __repr__(self) -> str:
        return "an Embedding of {} rows of {}".format(*self.weight.shape)


def one_hot_cases() -> list[tuple]:
    return [(torch.tensor([0, 1, 2]), 4), (torch.tensor([[3, 3, 0], [1, 4, 3]]), 5)]


def embed_cases() -> list[tuple]:
    wte, wpe, ids = random(10, 6), random(9, 6, seed=1), torch.tensor([[8, 2, 2, 5], [0, 5, 8, 2]])
    return [
        (Table(PAPER[0]), Table(PAPER[1]), torch.tensor([[0, 1, 2]]), torch.tensor([[0, 1, 2]])),
        (Table(wte), Table(wpe), ids, torch.tensor([[4, 5, 6, 7]])),
        (Table(wte), Table(wpe), ids, torch.tensor([[0, 1, 2, 3], [3, 4, 5, 6]])),
    ]


def both_tables_learn(mine: Callable) -> str | None:
    """The gradient of a sum over x is, in each table, how often each row was used."""
    for wte, wpe, ids, positions in embed_cases():
        if (x := mine(wte, wpe, ids, positions)).requires_grad:
            x.sum().backward()
        for table, name, used in [(wte, "wte", ids), (wpe, "wpe", positions.expand_as(ids))]:
            uses = used.flatten().bincount(minlength=len(table.weight)).to(torch.float64)
            if table.weight.grad is None:
                return f"embed is right, but no gradient reaches {name}.weight: was it detached, or made of lists?"
            if not torch.allclose(table.weight.grad, uses.unsqueeze(1).expand_as(table.weight)):
                return f"embed is right, but the gradient of {name}.weight is not."
    return None


def nearest_cases() -> list[tuple]:
    small = torch.tensor([[1.0, 0.0], [3.0, 3.0], [0.9, 0.1], [-2.0, 0.01], [0.1, 1.1], [0.2, 0.05]])
    letters, _ = trained_tables()
    return [(small, 0, 2), (small, 1, 2), (letters, ord("3"), 4), (letters, ord("a"), 3)]


def lookup_cases() -> list[tuple]:
    ids = torch.randint(6, (2, 5), generator=torch.Generator().manual_seed(0))
    return [(torch.tensor([0, 1, 0]), random(3, 4), 4), (ids, random(2, 5, 3), 6)]


def gradcheck(mine: Callable) -> str | None:
    """torch compares the written-out gradient with the slope that it measures by moving each number of the table."""
    ids = torch.tensor([[2, 0, 2], [4, 2, 0]])

    class Lookup(torch.autograd.Function):
        @staticmethod
        def forward(ctx, table: Tensor) -> Tensor:
            return table[ids]

        @staticmethod
        def backward(ctx, d_rows: Tensor) -> Tensor:
            return mine(ids, d_rows, 5)

    if torch.autograd.gradcheck(Lookup.apply, random(5, 2).requires_grad_(), raise_exception=False):
        return None
    return "torch.autograd.gradcheck measures other slopes than those that lookup_backward gives."


def sums(rows: tuple[Tensor, Tensor], n: int) -> tuple[Tensor, Tensor, Tensor]:
    """`n` of the sums of a row of E and a row of P, drawn, with their ids and positions."""
    generator = torch.Generator().manual_seed(0)
    ids, positions = (torch.randint(len(table), (n,), generator=generator) for table in rows)
    return rows[0][ids] + rows[1][positions], ids, positions


def read_cases() -> list[tuple]:
    tables = random(6, 8), random(9, 8, seed=1)
    return [((PAPER[0].unsqueeze(1) + PAPER[1]).flatten(0, 1), *PAPER), (sums(tables, 40)[0], *tables)]


def of_the_trained_model(mine: Callable) -> str | None:
    """Sixty of its sums, four at a time, so that an answer that tables all of them has room."""
    tables, right, n = trained_tables(), 0, 60
    for x, *wanted in zip(*(part.split(4) for part in sums(tables, n)), strict=True):
        right += torch.stack(list(mine(x, *tables))).eq(torch.stack(wanted)).all(0).sum().item()
    return None if right == n else f"read_back reads {right} of {n} sums of the trained model; the target is all."


EXERCISES = [
    Exercise("one_hot", "turtle", 5, one_hot_cases, {
        "counted_from_one": "Your 1 is one place too early: ids count from 0, so id 0 selects the first row.",
        "id_written": "You wrote the id itself at its place; then the row comes out id times too large. Write 1.",
        "inverted": "You have 0 at the id's place and 1 everywhere else: that adds up all the other rows.",
        "whole_text": "You have one vector for a whole text, which counts its words and forgets their order. Each "
        "position has a vector of its own.",
        "transposed": "Your V is the first axis. For the product with E, (V, C), it has to be the last.",
        "whole_numbers": "Your ones are integers, and E is float32: torch multiplies only equal dtypes. Add .float().",
    }),
    Exercise("embed", "turtle", 10, embed_cases, {
        "position_forgotten": "You left out P(t), as document D does. GPT-2 adds it; without it order is lost.",
        "id_as_position": "You looked up P by the id. P's row is that of the position, whatever token is there.",
        "always_from_zero": "You count positions from 0 yourself. Use `positions`: when only the newest tokens are "
        "read, they do not begin at 0.",
        "positions_from_one": "You are one row too far in P: `positions` count from 0 already, as its rows do.",
        "first_text": "You use the first text's positions for every text of the batch; each may have its own.",
        "tables_swapped": "The tables are swapped: ids select rows of wte, positions rows of wpe.",
        "multiplied": "You multiplied the two rows; (2.1) adds them.",
        "concatenated": "You put P's row beside E's, which makes x twice as wide. (2.1) adds them: C stays C.",
        "scaled": "You multiplied E by sqrt(C). The Transformer of 2017 does that; GPT-2 does not.",
    }, places=("minigpt.model.embedding.embed",), judge=both_tables_learn),
    Exercise("nearest", "dog", 15, nearest_cases, {
        "lengths_kept": "You compared products. Long rows win those; divide by both lengths first.",
        "by_distance": "You compared distances. Two rows of different lengths may point the same way: use the cosine.",
        "itself_kept": "Your first neighbor is the row itself: its cosine with itself is always 1. Leave it out.",
        "furthest": "You took the smallest cosines: those rows point away from it.",
        "reversed_order": "You have the right rows, but the nearest has to come first.",
        "opposites": "You took the size of the cosine without its sign: -1 is the opposite direction, not a near one.",
    }),
    Exercise("lookup_backward", "dog", 20, lookup_cases, {
        "last_one_wins": "A token that occurs twice keeps only its last gradient; they have to be added up. "
        "d_table[ids] += d_rows does not add twice to one row; index_add does.",
        "averaged": "You took the mean over the uses of a row. Each use moves the loss: the gradients are added.",
        "by_position": "You sorted the gradients by position. Row i gets those of the places where the id is i.",
        "counted": "You counted how often each row was used. What is added up is d_rows, not ones.",
        "everywhere": "Every row of your table gets the total. A row that was not selected gets 0.",
        "wrong_sign": "Your signs are turned around: that is the direction of the step, which goes against the "
        "gradient.",
    }, trains=False, judge=gradcheck),
    Exercise("read_back", "lion", 30, read_cases, {
        "token_first": "You chose the token first and then the position. P's row may push the sum nearer to another "
        "row of E: compare pairs.",
        "position_first": "You chose the position first and then the token. E's rows are the longer ones, so they "
        "decide which row of P looks near: compare pairs.",
        "lengths_ignored": "You looked for the pair with the largest product with x: long pairs win that. Look for "
        "the smallest distance |x - e - p|.",
        "product_ignored": "In |x - e - p|^2 you left out 2 e · p, which is a number for each pair.",
        "wrong_divisor": "You numbered the pairs and cut the number by V. In a table (V, n_ctx) a row has n_ctx "
        "entries: id = number // n_ctx.",
        "swapped": "Your two results are swapped: first the ids, then the positions.",
    }, judge=of_the_trained_model),
]  # fmt: skip
