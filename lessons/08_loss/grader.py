"""Lesson 08's grader: what is asked for, on which numbers, and the hint for each typical mistake."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache, partial

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lessons.harness.grade import Exercise
from lessons.tiny import IDS, TARGETS, paper_model

LOSS = "minigpt.learn.loss."


@cache
def of_the_paper_model(texts: tuple[tuple[int, ...], ...]) -> Tensor:
    with torch.no_grad():
        return paper_model().double()(torch.tensor(texts))


def paper_logits() -> Tensor:
    return of_the_paper_model((tuple(IDS),))[0].clone()


@cache
def random_logits(*shape: int) -> Tensor:
    return 2.0 * torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def nll_cases() -> list[tuple]:
    """Of the last but one, softmax is 0 for the first target, and exp overflows."""
    unlikely = torch.tensor([[0.0, 120.0, -3.0], [0.0, 120.0, -3.0], [30.0, 0.0, 5.0]])
    rounded = torch.tensor([[1.203, -0.517, 0.333, 2.111], [0.2, 3.7, -1.3, 0.9]]).bfloat16()
    return [
        (paper_logits().float(), torch.tensor(TARGETS)),
        (random_logits(2, 3, 7).float(), torch.tensor([[0, 5, 2], [6, 6, 1]])),
        (unlikely, torch.tensor([0, 1, 2])),
        (rounded, torch.tensor([1, 2])),
    ]


def refuses_no_token(mine: Callable) -> str | None:
    """No token is no reason for a number."""
    for count in (0, -1):
        try:
            mine(1.0, count)
        except ValueError:
            continue
        except Exception as error:
            return f"perplexity(1.0, {count}) stopped with {type(error).__name__}; a ValueError is wanted, in words."
        return f"perplexity(1.0, {count}) gave a number; there is no token, so raise a ValueError."
    return None


def paper_texts(ids: Tensor) -> Tensor:
    """The paper model as a function: (B, T) to (B, T, 4)."""
    return of_the_paper_model(tuple(map(tuple, ids.tolist()))).clone()


def word_pairs(ids: Tensor) -> Tensor:
    """A model that looks at one word only: (B, T) to (B, T, 6)."""
    return random_logits(6, 6)[ids]


def batches() -> list[Tensor]:
    return [torch.tensor([[0, 1, 5], [2, 2, 3], [4, 0, 0]]), torch.tensor([[5, 1, 4, 3, 3, 0, 2, 1]])]


def text_cases() -> list[tuple]:
    return [(paper_texts, [torch.tensor([[*IDS, 3]])]), (word_pairs, batches()), (word_pairs, batches()[:1])]


def same_in_any_batches(mine: Callable) -> str | None:
    texts = [row for batch in batches() for row in batch.split(1)]
    cut = [texts, texts[::-1], [torch.cat(texts[:2]), texts[3], texts[2]]]
    a, *others = (mine(word_pairs, batches) for batches in cut)
    if all(math.isclose(a, b, rel_tol=1e-5) for b in others):
        return None
    return f"The same four texts in other batches gave {', '.join(f'{b:.4f}' for b in others)} in place of {a:.4f}."


# A gradient: nobody differentiates it again, so it may be computed in place.
WrittenOut = partial(Exercise, trains=False)


def gradient_cases() -> list[tuple]:
    return [(paper_logits(), torch.tensor(TARGETS)), (random_logits(5, 7).clone(), torch.tensor([3, 0, 3, 6, 1]))]


def gradcheck(mine: Callable) -> str | None:
    """torch compares the written-out gradient with the slope that it measures by moving each logit a little."""

    class MeanNLL(torch.autograd.Function):
        @staticmethod
        def forward(ctx, logits: Tensor, targets: Tensor) -> Tensor:
            ctx.save_for_backward(logits, targets)
            return F.cross_entropy(logits, targets)

        @staticmethod
        def backward(ctx, d_loss: Tensor) -> tuple[Tensor, None]:
            return d_loss * mine(*ctx.saved_tensors), None

    logits = random_logits(4, 6).clone().requires_grad_()
    if torch.autograd.gradcheck(MeanNLL.apply, (logits, torch.tensor([5, 0, 2, 2])), raise_exception=False):
        return None
    return "torch.autograd.gradcheck measures other slopes than those that nll_gradient gives."


def head_case(N: int, V: int = 11, C: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(N)
    h, E = (torch.randn(n, C, dtype=torch.float64, generator=generator) for n in (N, V))
    return h, E, torch.randint(V, (N,), generator=generator)


def head_cases() -> list[tuple]:
    with torch.no_grad():
        model = paper_model().double()
        return [(model.hidden(torch.tensor([IDS]))[0], model.wte.weight.detach(), torch.tensor(TARGETS)),
                head_case(150), head_case(64), head_case(0)]  # fmt: skip


class Largest(TorchDispatchMode):
    """The most numbers that any tensor had which torch made."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        self.numbers = max([self.numbers, *(x.numel() for x in tree_leaves(made) if isinstance(x, Tensor))])
        return made


def slopes(function: Callable, given: tuple, by_the_sum: float = 1.0, watch=nullcontext) -> tuple[Tensor, ...]:
    h, E, y = given
    h, E = h.clone().requires_grad_(), E.clone().requires_grad_()
    with watch():
        total = function(h, E, y)
    found = torch.autograd.grad(by_the_sum * total, [h, E], allow_unused=True) if total.requires_grad else (None, None)
    return tuple(torch.zeros_like(x) if g is None else g for x, g in zip((h, E), found, strict=True))


def of_both_ends_and_in_parts(mine: Callable) -> str | None:
    """The gradients by hidden and by E, with the mistakes that a written-out one has, then what exists at a time."""
    given = h, E, y = head_case(150)
    right = slopes(lambda h, E, y: F.cross_entropy(h @ E.T, y, reduction="sum"), given)
    found, scaled = slopes(mine, given), slopes(mine, given, 0.5)
    p, last = (h @ E.T).softmax(-1), slice(128, None)
    d_z = p - F.one_hot(y, len(E))

    def equal(a: Tensor, b: Tensor) -> bool:
        return torch.allclose(a, b, rtol=1e-6, atol=1e-8)

    if not found[0].any() and not found[1].any():
        return "The sum is right, but no gradient comes through it."
    if not found[1].any():
        return "E gets no gradient. The head is the embedding: it learns from this end too, d_logits^T hidden."
    if not found[0].any():
        return "The hidden rows get no gradient: d_logits E. Everything below the head learns through it."
    if equal(found[0], p @ E) or equal(found[1], p.T @ h):
        return "Your gradient by the logits is the softmax alone. At the target, 1 has to be taken away."
    if equal(found[0], right[0] / len(h)) or equal(found[1], right[1] / len(h)):
        return "Your gradients are those of the mean; the result is a sum."
    if equal(found[1], d_z[last].T @ h[last]):
        return "E's gradient has the last chunk only. Every chunk adds to it."
    if equal(found[0], -right[0]) or equal(found[1], -right[1]):
        return "The signs of your gradients are turned around: softmax minus one-hot."
    if not (equal(found[0], right[0]) and equal(found[1], right[1])):
        which = "hidden" if not equal(found[0], right[0]) else "E"
        return f"The sum is right, but the gradient by {which} is not."
    if not (equal(scaled[0], 0.5 * right[0]) and equal(scaled[1], 0.5 * right[1])):
        return (
            "backward ignores the gradient by the sum that it is given. The trainer divides the sum by the number of "
            "tokens after you, so it is not 1."
        )
    N, V = 512, 96
    kept, largest = [0], Largest()

    def keep(x: Tensor) -> Tensor:
        kept[0] += x.numel()
        return x

    with largest:
        slopes(mine, head_case(N, V), watch=lambda: saved_tensors_hooks(keep, lambda x: x))
    if largest.numbers > N * V // 2:
        return f"For {N} rows and V = {V} you made a tensor of {largest.numbers:,} numbers. Go in chunks of 64 rows."
    if kept[0] > N * V // 2:
        return (
            f"For {N} rows and V = {V} autograd keeps {kept[0]:,} numbers for the backward pass: every chunk's logits, "
            "after all. Compute the gradients while they exist, in a torch.autograd.Function."
        )
    return None


EXERCISES = [
    Exercise("token_nll", "turtle", 10, nll_cases, {
        "shifted": "You shifted the targets. Here they are already those of their rows: whoever calls token_nll has "
        "shifted them.",
        "no_minus": "The sign is missing: the logarithm of a probability is never positive, a loss never negative.",
        "no_log": "You returned minus the probability. Take its logarithm: then the losses of tokens may be added.",
        "bits": "You used logarithms of base 2. The unit here is the nat: the natural logarithm.",
        "every_token": "You returned -log P of every token of the vocabulary. Of each position only the target's is "
        "wanted: gather.",
        "summed": "You added all positions up. One number for each is wanted; adding comes later.",
        "averaged": "You averaged over all positions (the default of F.cross_entropy). One number for each is wanted.",
        "softmax_then_log": "A probability too small for a float32 became 0, and its logarithm infinite. Take the "
        "logarithm before anything is rounded away: log(e^z / S) = z - log S.",
        "exp_overflows": "e^120 is infinite in float32, and infinity over infinity is NaN. Take the logarithm before "
        "anything overflows: log(e^z / S) = z - log S, and torch has logsumexp.",
        "sum_overflows": "A sum of e^z is infinite in float32 where a logit is large, and so is its logarithm. Take "
        "the largest logit out of the sum first; torch's logsumexp does.",
        "log_of_a_bit_more": "You added a small number before the logarithm. That hides the infinity, but the loss of "
        "an improbable token is wrong, and its gradient vanishes. z - logsumexp(z) needs no such help.",
        "softmax_twice": "You took the softmax of probabilities. F.cross_entropy and log_softmax want the logits: they "
        "have the softmax in them.",
        "no_softmax": "You returned minus the logit. Half of the log-probability is missing: the logarithm of the sum "
        "over all tokens.",
        "over_positions": "Your softmax runs over the positions. At each position the tokens share 1: the last axis.",
        "dtype_kept": "Logits in bfloat16 have three digits, and so has your loss. Go to float32 first.",
        "one_minus": "You returned 1 - P. That is an error rate; the loss is -log P, which has no upper end.",
    }, places=(LOSS + "token_nll", LOSS + "token_nll_fast"), tolerance=1e-6),
    Exercise("perplexity", "turtle", 5, lambda: [
        (0.36 + 0.52 + 0.57, 3), (1.95,), (22.5, 4), (0.0, 7), (1e6, 100), (2000.0, 1000),
    ], {
        "count_ignored": "You took exp of the sum. That is one over the probability of the whole text: divide by the "
        "number of tokens first.",
        "divided_after": "You divided after exp. The mean is taken of the logarithms: divide inside.",
        "no_exp": "That is the mean NLL, in nats. The perplexity is exp of it.",
        "base_2": "You took 2 to the power of it. The sum is in nats, so the base is e.",
        "upside_down": "You got a number below 1, a mean of the probabilities. Perplexity is one over it.",
    }, places=(LOSS + "perplexity",), judge=refuses_no_token),
    Exercise("text_perplexity", "dog", 20, text_cases, {
        "unshifted": "Your targets are the tokens just read (off by one): a model that copies would be perfect. The "
        "row of position t is about the token at t + 1.",
        "wrapped": "Your last position predicts the first token: roll puts it at the end. After the last token nothing "
        "is known, so the last row is left out.",
        "backwards": "Your targets are the tokens before. The row of position t is about the token at t + 1.",
        "two_ahead": "You shifted twice: the row of position t is compared with the token at t + 2.",
        "mean_of_batches": "You averaged the means of the batches, so a token in a small batch counts more. Add up "
        "sums and counts over everything, and divide once.",
        "mean_of_texts": "You averaged the means of the texts, so a token of a short text counts more. Add up sums and "
        "counts over everything, and divide once.",
        "mean_of_perplexities": "You averaged the perplexities of the batches. Add up sums and counts over everything, "
        "divide once, and take exp last.",
        "first_counted": "You divided by all tokens. The first of each text was never predicted: count what you added.",
        "not_divided": "You took exp of the sum. Divide it by the number of tokens that were predicted.",
        "not_exp": "That is the mean NLL. The perplexity is exp of it.",
        "bits": "You took 2 to the power of nats. For nats the base is e.",
        "last_batch_only": "Your answer knows the last batch only: is something set again in the loop?",
        "last_token_only": "You looked at the last prediction of each text. A text of T tokens has T - 1 of them.",
        "texts_counted": "You divided by the number of texts. Perplexity is per token.",
        "softmax_twice": "You took the softmax of probabilities: the loss wants the logits.",
    }, judge=same_in_any_batches, tolerance=1e-5),
    WrittenOut("nll_gradient", "dog", 15, gradient_cases, {
        "one_hot_forgotten": "Yours are the probabilities alone, so every logit goes down. At the target 1 has to be "
        "taken away.",
        "not_divided": "That is the gradient of the sum. Of the mean it is a T-th of that.",
        "divided_by_all": "You divided by T V. The mean is taken over T tokens: divide by T.",
        "wrong_sign": "Your signs are turned around. The gradient says where the loss *grows*: at the target it is "
        "negative.",
        "target_only": "Only the target's logit gets a gradient from you. All others share its probability: they get "
        "theirs too.",
        "no_softmax": "You took the logits themselves. Probabilities are wanted: softmax.",
        "over_positions": "Your softmax runs over the positions. At each position the tokens share 1: the last axis.",
        "of_log_p": "You took log-probabilities. In the gradient are the probabilities themselves.",
    }, judge=gradcheck),
    Exercise("head_nll", "lion", 40, head_cases, {
        "averaged": "You averaged. The sum is wanted: only the trainer knows how many tokens the whole step has.",
        "averaged_by_chunk": "You added up the means of the chunks. The sum over all rows is wanted.",
        "last_chunk_lost": "The last rows are missing: N need not be a multiple of 64.",
        "last_chunk_only": "Your answer knows the last chunk only: is something set again in the loop?",
        "no_minus": "The sign is missing: a loss is never negative.",
        "over_rows": "Your softmax runs over the rows of a chunk. In each row the tokens share 1: the last axis.",
        "targets_not_cut": "Every chunk of yours is compared with the first targets. Cut the targets as you cut the "
        "rows.",
    }, places=(LOSS + "head_nll", LOSS + "head_nll_fast"), judge=of_both_ends_and_in_parts),
]  # fmt: skip
