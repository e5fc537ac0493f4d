"""Lesson 06's exercises: `pytest lessons/06_gpt2` says how far you are.

turtle: a formula, 5 to 10 minutes; dog: a small program, 15 to 30; lion: measured against the real thing.
"""

from jaxtyping import Float, Int
from torch import Tensor

from minigpt import GPT, GPTConfig


def parameter_count(self: GPTConfig) -> int:
    """Turtle, 10 minutes. (6.3): how many numbers a GPT-2 of this shape learns.

    `self` has the fields vocab_size, n_ctx, n_embd, n_head and n_layer. Every row of the embedding counts.
    """
    raise NotImplementedError


def logits(self: GPT, hidden: Float[Tensor, "*batch C"]) -> Float[Tensor, "*batch V"]:
    """Turtle, 5 minutes. (6.2): the scores of all V tokens, for vectors that ln_f has normalized already.

    `self` is the model; self.wte.weight is E, (V, C).
    """
    raise NotImplementedError


def log_probability(logits: Float[Tensor, "T V"], ids: Int[Tensor, " T"], n_given: int) -> Float[Tensor, ""]:
    """Dog, 15 minutes. The logarithm of the probability of an answer, by (6.1).

    The model read all of `ids` and gave `logits`. The first n_given ids (at least one) are the question, the rest is
    the answer. A product of many small numbers soon rounds to 0, so add logarithms (torch.log_softmax).
    """
    raise NotImplementedError


def gpt(state: dict[str, Tensor], ids: Int[Tensor, " T"], n_head: int) -> Float[Tensor, "T V"]:
    """Lion, 30 minutes. GPT-2 from its tensors alone: the logits of one text, (6.1) with everything inside.

    `state` is model.state_dict(), with the names and the shapes that the lesson lists. Use nothing but tensors and
    torch's functions; epsilon is 1e-5. The number of layers is in the names, the number of heads in none of them.
    The judge compares with GPT itself: at most 1e-5 in any logit.
    """
    raise NotImplementedError
