"""Lesson 05's grader: what is asked for, on which numbers, and the hint for each typical mistake."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial

import torch
from torch import Tensor

from lessons.harness.grade import Exercise
from lessons.tiny import IDS, E, P, paper_model
from minigpt.model.attention import causal_mask

from . import solutions

NORM = "minigpt.model.layer_norm."
PLAIN = torch.ones(4, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def paper_x() -> Tensor:
    """E + P of "I like tea", (1, T, C)."""
    return (torch.tensor(E, dtype=torch.float64)[IDS] + torch.tensor(P, dtype=torch.float64)[:3])[None]


def paper_after_attn() -> Tensor:
    block, x = paper_model().double().h[0], paper_x()
    return (x + block.attn(block.ln_1(x))).detach()


@cache
def norm_cases() -> list[tuple]:
    """The paper model's row; rows of several sizes, far from 0, under an eps that counts; rows without a batch."""
    wide = 0.03 * random(2, 5, 6) + random(2, 5, 1, seed=1)
    return [
        (paper_after_attn(), *PLAIN, 1e-5),
        (wide, random(6, seed=2), random(6, seed=3), 1e-3),
        (3.0 * random(4, 6, seed=4), random(6, seed=5), random(6, seed=6), 1e-5),
    ]


@cache
def backward_cases() -> list[tuple]:
    return [(x, gain, eps, random(*x.shape, seed=7)) for x, gain, _, eps in norm_cases()]


def gradcheck(mine: Callable) -> str | None:
    """torch compares the written-out gradients with the slopes that it measures by moving each number a little."""

    class Norm(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
            ctx.save_for_backward(x, gain)
            return solutions.layer_norm(x, gain, bias, 1e-5)

        @staticmethod
        def backward(ctx, d_y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            x, gain = ctx.saved_tensors
            return tuple(mine(x, gain, 1e-5, d_y))

    given = [random(2, 3, 4).requires_grad_(), *(random(4, seed=i).requires_grad_() for i in (1, 2))]
    if torch.autograd.gradcheck(Norm.apply, given, raise_exception=False):
        return None
    return "torch.autograd.gradcheck measures other slopes than those that layer_norm_backward gives."


@dataclass(frozen=True)
class Parts:
    """What a block is made of, for an exercise: `self` with four functions."""

    name: str
    ln_1: Callable = field(repr=False)
    attn: Callable = field(repr=False)
    ln_2: Callable = field(repr=False)
    mlp: Callable = field(repr=False)

    def __deepcopy__(self, _: dict) -> "Parts":
        return self  # so that a case equals its copy


def visible_mean(x: Tensor, cache: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
    """Stands in for attention: the mean of the rows that each position sees; `cache` has those before x."""
    rows = x if cache is None else torch.cat([cache, x], dim=1)
    visible = causal_mask(x.shape[1], rows.shape[1]) if mask is None else mask[:, 0]
    return visible.to(x.dtype) @ rows / visible.sum(-1, keepdim=True)


@cache
def block_cases() -> list[tuple]:
    """The paper model's block; then parts that are easy to tell apart, with a cache, with a mask, with `at`."""
    paper = paper_model().double().h[0].requires_grad_(False)
    own = Parts("the paper model's", paper.ln_1.forward, paper.attn.forward, paper.ln_2.forward, paper.mlp.forward)
    norms = [
        partial(solutions.layer_norm, gain=random(6, seed=i), bias=random(6, seed=i + 2), eps=1e-5) for i in (1, 2)
    ]
    other = Parts("others", norms[0], visible_mean, norms[1], torch.tanh)
    x, earlier = random(2, 3, 6, seed=5), random(2, 2, 6, seed=6)
    mask = torch.tensor([[True, True, False], [True, True, True], [False, True, True]]).view(1, 1, 3, 3)
    at = torch.tensor([[False, True, True], [True, False, False]])
    return [(own, paper_x()), (other, x, earlier), (other, x, None, mask), (other, x, None, None, at)]


STATISTICS = {
    "unbiased": "You divided by C - 1. That estimates the variance of a population from a sample; here the C numbers "
    "are all there is, so divide by C (torch: correction=0).",
    "eps_outside": "eps belongs inside the root, sqrt(var + eps); you added it to the root.",
    "eps_left_out": "Where is eps? It keeps a row of C equal numbers from becoming 0 / 0.",
    "no_root": "You divided by the variance. The standard deviation is its root.",
    "only_centered": "You took the mean away, but the row keeps its size: divide by sqrt(var + eps).",
    "mean_absolute": "You divided by the mean distance from the mean. The standard deviation is the root of the mean "
    "*squared* distance.",
    "mean_kept": "The mean goes into your variance, but is still in your row: it is x - mean that is divided.",
    "root_mean_square": "You divided x by the root of its mean square. That is RMSNorm, which later models use; "
    "LayerNorm takes the mean away first.",
    "over_positions": "Your mean runs over the positions, so one word changes the others, later ones included. Each "
    "position is normalized by itself, over its C channels: the last axis.",
    "over_batch": "Your mean runs over the first axis, the texts of a batch: a text's result would depend on the texts "
    "beside it. The channels are the last axis.",
    "over_all_rows": "That is batch normalization: one mean for each channel, over all positions. LayerNorm has one "
    "mean for each position, over its channels.",
    "over_the_text": "Your mean runs over all words of a text, so a word's result depends on the words after it. Each "
    "position has a mean of its own, over its C channels.",
    "over_everything": "You took one mean of the whole tensor. There is one for each position: mean(-1, keepdim=True).",
    "gain_left_out": "The gain is missing: each channel is multiplied by its own learned number.",
    "bias_left_out": "The bias is missing: each channel gets its own learned number added.",
    "bias_scaled": "You added the bias before multiplying by the gain. First the gain, then the bias.",
    "one_plus_gain": "You multiplied by 1 + gain. GPT-2's gain starts at 1 and is used as it is.",
    "gain_before": "You multiplied by the gain before normalizing. First normalize, then scale.",
    "swapped": "Gain and bias have changed places: the gain multiplies, the bias is added.",
}  # fmt: skip
EXERCISES = [
    Exercise("layer_norm", "turtle", 10, norm_cases, STATISTICS, (
        NORM + "layer_norm", NORM + "layer_norm_fast",
    )),
    Exercise("projection_std", "turtle", 5, lambda: [(0.02, 2), (0.02, 12), (0.1, 48)], {
        "one_part_a_layer": "You counted one part in a layer. Attention and the MLP both add to the stream: 2 L parts.",
        "no_root": "You divided by the number of parts. Vectors in unrelated directions add up in squares: n of them "
        "are only sqrt(n) times as long as one.",
        "multiplied": "You multiplied. The more parts add, the smaller each has to start: divide.",
        "unscaled": "You left it as it is: then the sum of what is added grows with the number of layers.",
    }),
    Exercise("block", "dog", 20, block_cases, {
        "attn_stream_lost": "After attention the x that came in is gone: attention's result is *added* to it.",
        "mlp_stream_lost": "You return what the MLP gives. It is *added* to the stream, as attention's result is.",
        "norm_after": "You normalize after each addition, as the first Transformer did. GPT-2 normalizes what a part "
        "reads; the stream itself is never normalized in a block.",
        "norm_of_what_is_added": "You normalize what a part gives. GPT-2 normalizes what it reads.",
        "norm_in_the_stream": "You replaced x by LN(x), and added to that. Only the part reads LN(x); x is kept.",
        "first_norm_left_out": "Attention reads x itself; it should read ln_1(x).",
        "second_norm_left_out": "The MLP reads the stream itself; it should read ln_2 of it.",
        "one_norm_for_both": "You used ln_1 twice. Each part has its own gain and bias.",
        "norms_swapped": "ln_1 and ln_2 have changed places: the first is attention's.",
        "side_by_side": "Your MLP reads the x from before attention. It comes second, and reads what attention wrote.",
        "attn_forgotten": "You added the MLP's result to the x from before attention, so what attention wrote is lost.",
        "mlp_first": "You let the MLP go first. Attention gathers, then the MLP works on what was gathered.",
        "cache_lost": "attn was not given the cache.",
        "mask_lost": "attn was not given the mask.",
        "at_ignored": "With `at`, only its rows are wanted: x[at], after attention and before the MLP.",
    }, places=("minigpt.model.block.Block.forward",)),
    Exercise("layer_norm_backward", "lion", 30, backward_cases, {
        "mean_fixed": "You held the mean fixed. Each channel of x moves it by 1 / C, and with it every other channel: "
        "subtract the mean of d_n = d_y gain.",
        "size_fixed": "You held the standard deviation fixed. Each channel of x moves it too: subtract n times the "
        "mean of d_n n, where n is the normalized row.",
        "root_forgotten": "The term of the variance is twice too large: the root's slope, 1 / (2 root), has a 2 that "
        "cancels that of the square.",
        "sums": "You took sums over the channels where means belong: mean and variance both divide by C.",
        "gain_forgotten": "The gain is missing on the way to x: n gets the gradient d_y gain.",
        "not_divided": "d_x is not divided by sqrt(var + eps): a row that is twice as long needs half the gradient.",
        "unbiased": "Your variance is divided by C - 1; LayerNorm's is divided by C.",
        "eps_left_out": "Your root has no eps, but the forward pass has: sqrt(var + eps).",
        "gain_of_x": "The gain multiplies the normalized row, so its gradient sums d_y n, not d_y x.",
        "gain_of_centered": "The gain multiplies the normalized row: in its gradient you left out the division by "
        "sqrt(var + eps).",
        "not_summed": "Gain and bias are shared by all positions, so their gradients are sums over them: shape (C,).",
        "one_axis_only": "You summed over the first axis only. Gain and bias are shared by all texts and positions.",
        "over_channels": "You summed over the channels. Each channel has its own gain and bias: sum over positions.",
        "wrong_sign": "A sign is turned around: what the mean and the variance take away is subtracted.",
    }, trains=False, judge=gradcheck),
]  # fmt: skip
