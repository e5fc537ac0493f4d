"""Lesson 02's exercises: `pytest lessons/02_embedding` says how far you are.

turtle: a formula, 5 to 10 minutes; dog: a small program, 15 to 30; lion: measured against a target.
"""

from jaxtyping import Float, Int
from torch import Tensor

from minigpt.model.embedding import Embedding


def one_hot(ids: Int[Tensor, "*batch"], V: int) -> Float[Tensor, "*batch V"]:
    """Turtle, 5 minutes. For each id V numbers: 1 at the id's place, 0 elsewhere. So one_hot(ids, V) @ E is E[ids].

    In float32, like E.
    """
    raise NotImplementedError


def embed(
    wte: Embedding, wpe: Embedding, ids: Int[Tensor, "B T"], positions: Int[Tensor, "#B T"]
) -> Float[Tensor, "B T C"]:
    """Turtle, 10 minutes. (2.1). The tables are wte.weight, (V, C), and wpe.weight, (n_ctx, C): take the rows yourself.

    `positions` has a row for each text, or one row (1, T) for all of them. When this one is right, let GPT-2 read with
    it: pytest --mine lessons/02_embedding/exercises.py tests/reference
    """
    raise NotImplementedError


def nearest(table: Float[Tensor, "V C"], row: int, k: int) -> Int[Tensor, "k"]:
    """Dog, 15 minutes. The k rows whose cosine with row `row` is largest, the nearest first, without `row` itself.

    The cosine of a and b is a · b / (|a| |b|).
    """
    raise NotImplementedError


def lookup_backward(
    ids: Int[Tensor, "*batch"], d_rows: Float[Tensor, "*batch C"], n_rows: int
) -> Float[Tensor, "n_rows C"]:
    """Dog, 20 minutes. The gradient of the loss by a table of n_rows rows, for rows = table[ids].

    `d_rows` is the gradient by the rows. Write it out, without autograd; torch.autograd.gradcheck is the judge.
    """
    raise NotImplementedError


def read_back(
    x: Float[Tensor, "N C"], E: Float[Tensor, "V C"], P: Float[Tensor, "n_ctx C"]
) -> tuple[Int[Tensor, "N"], Int[Tensor, "N"]]:
    """Lion, 30 minutes. From each sum x = E[id] + P[position], alone, its id and its position.

    The target is the trained model of lessons/model: V = 260 and n_ctx = 256, so 66,560 different sums, every one of
    which can be read back. Taking the nearest row of E first, and then the nearest row of P to what is left, reads
    88 % of them. All sums in one table are 17 MB there, but 158 GB for gpt2: can you do without that table?
    """
    raise NotImplementedError
