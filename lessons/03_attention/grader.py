"""Lesson 03's grader: what is asked for, on which numbers, and the hint for each typical mistake."""

from collections.abc import Callable

import torch
from torch import Tensor

from lessons.harness.grade import Exercise
from lessons.tiny import paper_qkv

from . import solutions

ATTENTION = "minigpt.model.attention."


def random_qkv(B: int, H: int, T: int, S: int, D: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(B, H, n, D, dtype=torch.float64, generator=generator) for n in (T, S, S))


def weights_cases() -> list[tuple]:
    (q, k, _), (q2, k2, _) = paper_qkv(), random_qkv(2, 3, 2, 5, 4)
    return [(q, k, solutions.causal_mask(3, 3)), (q2, k2, solutions.causal_mask(2, 5))]


def split_cases() -> list[tuple]:
    return [(torch.arange(24.0).view(1, 2, 12), 2), (torch.arange(180.0).view(2, 5, 18), 3)]


def backward_cases() -> list[tuple]:
    generator = torch.Generator().manual_seed(0)
    paper = solutions.weights(*paper_qkv()[:2], solutions.causal_mask(3, 3))
    wide = torch.randn(2, 4, 5, dtype=torch.float64, generator=generator).softmax(-1)
    return [(w, torch.randn(w.shape, dtype=torch.float64, generator=generator)) for w in (paper, wide)]


def gradcheck(mine: Callable) -> str | None:
    """torch compares the written-out gradient with the slope that it measures by moving each score a little."""

    class Softmax(torch.autograd.Function):
        @staticmethod
        def forward(ctx, scores: Tensor) -> Tensor:
            weights = scores.softmax(-1)
            ctx.save_for_backward(weights)
            return weights

        @staticmethod
        def backward(ctx, d_weights: Tensor) -> Tensor:
            return mine(*ctx.saved_tensors, d_weights)

    scores = torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    if torch.autograd.gradcheck(Softmax.apply, scores, raise_exception=False):
        return None
    return "torch.autograd.gradcheck measures other slopes than those that softmax_backward gives."


def attend_cases() -> list[tuple]:
    shared = torch.tensor([[[[True, False, True, True], [True, True, True, False]]]])
    return [paper_qkv(), random_qkv(2, 3, 2, 5, 4), (*random_qkv(2, 2, 2, 4, 4), shared)]


MASK = {
    "not_itself": "Your queries may not look at themselves. They may: position t sees positions 1, ..., t.",
    "one_ahead": "Your queries see one position too many: the next word, which is the one to predict.",
}
WEIGHTS = {
    "unscaled": "Did you divide the scores by sqrt(D)? Without it they grow with D, and the softmax ends up looking at "
    "one key only.",
    "scaled_by_D": "You divided by D; it is sqrt(D): a sum of D products of size 1 has the size sqrt(D), not D.",
    "multiplied": "You multiplied the scores by sqrt(D); they have to be divided by it.",
    "scaled_after": "You divided by sqrt(D) after the softmax, so the weights do not add up to 1. Divide the scores.",
    "mask_ignored": "Your queries look everywhere: the mask changes nothing.",
    "mask_inverted": "Your queries look exactly where they may not: True in the mask means that a query may look.",
    "mask_after": "You masked after the softmax: the weights that are left do not add up to 1, because the hidden keys "
    "took their share. Mask the scores, before the softmax.",
    "mask_of_zeros": "You masked with 0, which is a score like any other: exp(0) = 1. Which score has exp(score) = 0?",
    "mask_added": "You added True as 1 and False as 0 to the scores. What is added has to be 0 where a query may look, "
    "and minus infinity where it may not.",
    "over_queries": "Your softmax runs over the queries, so the columns add up to 1. Each query divides a total of 1 "
    "among its keys: that is the last axis.",
    "over_heads": "Your softmax runs over the heads. Each head has weights of its own; the keys are the last axis.",
    "no_softmax": "You used the scores themselves as weights. The softmax makes them positive, with the sum 1.",
    "not_divided": "You took exp(score), but did not divide by the sum over the keys: weights add up to 1.",
}
EXERCISES = [
    Exercise("causal_mask", "turtle", 5, lambda: [(3, 3), (2, 5), (1, 4)], MASK | {
        "backwards": "Your queries look at what comes after them. A language model knows only what came before.",
        "from_the_left": "With T < S the queries are the *last* T positions: the first of 2 queries over 5 positions "
        "is position 4, and sees 4 of them. Yours sees 1.",
    }),
    Exercise("weights", "turtle", 10, weights_cases, WEIGHTS),
    Exercise("split_heads", "dog", 15, split_cases, {
        "channels_first": "Your heads take every H-th channel. The D channels of a head are neighbors: "
        "view(..., H, D).",
        "heads_outside": "You cut into heads first, and each head into q, k and v. c_attn has all of W_Q first: "
        "view(..., 3, H, D).",
        "not_transposed": "You reshaped (B, T, C) to (B, H, T, D) in one go: that mixes positions. First "
        "(B, T, H, D), then swap the axes T and H.",
        "key_first": "Your first two results are swapped: the query comes first, then the key.",
    }, places=(ATTENTION + "split_heads",)),
    Exercise("softmax_backward", "lion", 25, backward_cases, {
        "own_score_only": "You took only the slope of each weight by its own score, w (1 - w). A score that rises also "
        "takes from all the other weights: sum over them.",
        "not_weighted": "The sum inside is weighted: the mean of d_weights under the weights, sum_i w_i g_i.",
        "weight_forgotten": "A factor is missing: the slope of every weight by score j has the factor w_j, so a key "
        "that gets no weight gets no gradient.",
        "wrong_sign": "Your signs are turned around: a key whose weight should grow gets a lower score.",
        "over_queries": "You summed over the queries. Each row is a softmax of its own: sum over the last axis.",
    }, trains=False, judge=gradcheck),
    Exercise("attend", "lion", 30, attend_cases, WEIGHTS | MASK | {
        "none_is_everything": "With `mask` None your queries look everywhere. None means the causal mask.",
        "always_causal": "You use the causal mask even where `mask` is given.",
        "mask_from_the_left": "With T < S (a cache holds the first S - T positions) the queries are the last T "
        "positions; your mask counts them from the first.",
        "keys_taken": "You took the weighted mean of the keys. Keys are for finding; the values are handed over.",
    }, places=(ATTENTION + "attend", ATTENTION + "attend_fast")),
]  # fmt: skip
