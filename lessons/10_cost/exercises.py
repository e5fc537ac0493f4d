"""Lesson 10's exercises: `pytest lessons/10_cost` says how far you are.

turtle: a formula, 5 to 10 minutes; dog: a small program, 15 to 30; lion: measured against the real thing.
"""

from collections.abc import Callable

from minigpt import GPTConfig


def training_bytes(config: GPTConfig) -> int:
    """Turtle, 5 minutes. (10.1) without the activations: what training with Adam holds in float32 all the time.

    `config.parameter_count` is the N of the formula.
    """
    raise NotImplementedError


def forward_flops(config: GPTConfig, T: int) -> int:
    """Turtle, 10 minutes. (10.2): operations of the matrix products of a forward pass over T tokens.

    A multiply-add is two operations. Of attention's scores and sums, count half of the T x T pairs: the causal mask
    needs no more.
    """
    raise NotImplementedError


def crossing(cost: Callable[[int], int]) -> float:
    """Dog, 15 minutes. The T, whole or not, at which attention costs as much as everything else.

    `cost(T)` is the operations of a model whose shape you are not told: a T + b T^2, where b T^2 is attention's part.
    You may call it, and nothing else is known of a and b.
    """
    raise NotImplementedError


def largest_micro_batch(config: GPTConfig, T: int, memory: int, explicit: bool) -> int:
    """Dog, 20 minutes. The most rows of T tokens that may be in memory at once, if training has `memory` bytes.

    Every token is supervised, so the rows have rows * T supervised tokens. Use the package's `training_bytes` and
    `activation_bytes`. A need of exactly `memory` bytes fits; where not even one row fits, the answer is 0.
    """
    raise NotImplementedError


def kept_bytes(config: GPTConfig, rows: int, T: int, supervised: int, explicit: bool) -> float:
    """Lion, 30 minutes. The bytes that the forward pass to the loss, `supervised_nll`, keeps for the backward pass.

    For `rows` rows of T tokens, of which `supervised` in all are supervised, in float32, and without the parameters,
    which are there anyway. `explicit` says which forms run; the fast head is `head_nll_fast` in minigpt/learn/loss.py.
    To within 4 %: what is one number for a token, and what is no float, may be left out. The lesson's boxes are there
    to try things out; the judge measures models of other shapes.
    """
    raise NotImplementedError
