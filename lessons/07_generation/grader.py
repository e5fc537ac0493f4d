"""Lesson 07's grader: what is asked for, on which numbers, and the hint for each typical mistake."""

from collections.abc import Callable
from functools import cache, partial

import torch
from torch import Tensor

from lessons.harness.grade import Exercise
from lessons.tiny import IDS, paper_model

SAMPLING = "minigpt.sample.sampling."


Sampler = partial(Exercise, trains=False)  # nothing is trained through a sampler


@cache
def of_the_paper_model(ids: tuple[int, ...]) -> Tensor:
    with torch.no_grad():
        return paper_model()(torch.tensor([ids]))


def logits_of(ids: Tensor) -> Tensor:
    """The paper model: (1, T) to (1, T, 4)."""
    return of_the_paper_model(tuple(ids[0].tolist())).clone()


def after_tea() -> Tensor:
    return of_the_paper_model(tuple(IDS))[:, -1].clone()


def two_rows() -> Tensor:
    """The second row has two that are equal."""
    return torch.tensor([[2.0, -1.0, 0.5, 1.25, -3.0], [0.0, 1.5, -2.0, 0.0, 3.0]])


def sure() -> Tensor:
    return torch.tensor([[30.0, 0.0, -5.0], [-5.0, 30.0, 0.0]])


def sampler_cases() -> list[tuple]:
    rounded = torch.tensor([[1.203, -0.517, 0.333, 2.111]]).bfloat16()
    return [
        (after_tea(), 0.5), (after_tea(), 2.0, 2), (after_tea(), 1.0, None, 0.9), (after_tea(), 0.5, None, 0.9),
        (after_tea(), 1.0, 2, 0.6), (two_rows(), 1.5, 3, 0.7), (two_rows(), 1.0, 3), (rounded, 0.7, 9, 0.8),
        (after_tea(), 2.0, None, 0.25), (sure(), 1.0, None, 1e-9),
    ]  # fmt: skip


def half_of_equals(half: Callable[[Tensor], Tensor]) -> str | None:
    """Four equal tokens have exactly a quarter each, so two of them reach a half: `half` gives their probabilities."""
    kept = int((half(torch.zeros(1, 4)) > 0).sum())
    if kept == 2:
        return None
    return f"Of four equal tokens and p = 0.5, {kept} stay. Two of them reach p exactly, and that is enough."


TEMPERATURE = {
    "multiplied": "You multiplied the logits by the temperature; they are divided by it. A high temperature makes the "
    "differences smaller, and the choice freer.",
    "temperature_after": "You divided the probabilities by the temperature, so they do not add up to 1. Divide the "
    "logits, before the softmax.",
    "temperature_ignored": "The temperature changes nothing in your answer. (If you divide probabilities by it and "
    "make them add up to 1 again, it cancels.)",
    "softmax_twice": "You took the softmax of probabilities. Temperature belongs to the logits, and one softmax is "
    "enough.",
    "no_softmax": "You returned logits; the softmax makes probabilities of them.",
    "over_rows": "Your softmax runs over the batch, so the columns add up to 1. Each row is a choice of its own: the "
    "last axis.",
}
TOP_K = {
    "zeros": "You put 0 in place of what is dropped. 0 is a logit like any other: exp(0) = 1. Which one has "
    "exp(logit) = 0?",
    "kth_dropped": "The k-th best token itself is gone: it is one of the k. Drop what is *below* it.",
    "ties_cut": "You kept exactly k, and of several tokens equal to the k-th best you chose some. The model made no "
    "difference between them: keep them all.",
}
TOP_P = {
    "crossing_dropped": "The token that crosses p is gone: what you keep adds up to less than p. It belongs to the "
    "fewest that *reach* p.",
    "best_lost": "With a tiny p no token is left, and a softmax over minus infinity alone is NaN. The best one always "
    "stays.",
    "not_sorted_back": "You found out which *ranks* to drop, and dropped the tokens with those ids. Bring the mask "
    "back into the vocabulary's order: scatter with the indices that sort gave.",
    "best_dropped_first": "You dropped from the probable end. Cut off the tail: the small probabilities.",
    "p_dropped": "What you drop adds up to p; p is what stays.",
    "each_alone": "You compared each probability by itself with 1 - p. It is their running total that counts.",
    "share_of_words": "You kept a share p of the vocabulary. p is a share of the probability: one token may be enough "
    "for it, or a thousand needed.",
    "scores_summed": "You added up logits. Only probabilities add up to 1: take the softmax first.",
}
EXERCISES = [
    Sampler("at_temperature", "turtle", 5, lambda: [(after_tea(), 0.5), (two_rows(), 2.0)], TEMPERATURE,
            tolerance=1e-6),
    Sampler("keep_top_k", "turtle", 10, lambda: [(after_tea(), 2), (two_rows(), 3), (two_rows(), 9)], TOP_K | {
        "worst_kept": "You kept the k smallest logits.",
        "over_rows": "You looked for the k-th best of the whole batch. Each row has a k-th best of its own.",
        "only_values": "You returned the k best logits, and nobody knows any more which tokens they belong to. Keep "
        "the shape, and put minus infinity where a token is dropped.",
    }, places=(SAMPLING + "keep_top_k",)),
    Sampler("keep_top_p", "dog", 25, lambda: [(after_tea(), 0.9), (two_rows(), 0.6), (two_rows(), 0.97),
                                              (after_tea(), 0.3), (sure(), 1e-9)],
            {"zeros": TOP_K["zeros"]} | TOP_P, places=(SAMPLING + "keep_top_p",),
            judge=lambda mine: half_of_equals(lambda logits: mine(logits, 0.5).softmax(-1))),
    Sampler("continue_greedily", "dog", 20, lambda: [
        (logits_of, [0], 2, 4, ()), (logits_of, [0], 9, 4, ()), (logits_of, [0, 2], 9, 4, (3,)),
        (logits_of, [2, 2], 9, 4, ()), (logits_of, [0], 0, 4, ()),
    ], {
        "first_position": "You took the logits after the *first* token. The next token follows the last one: "
        "logits[0, -1].",
        "newest_only": "You let the model read the newest token alone. Without a cache it knows nothing of the others: "
        "give it the whole text each time.",
        "not_appended": "The model reads the prompt again and again: what it chose has to join the text.",
        "prompt_returned": "You returned the prompt too. Only the new ids are wanted.",
        "end_returned": "The end token is in your answer. It ends the text, and is not part of it.",
        "end_ignored": "Your loop goes on after an end token.",
        "one_short": "You stop one token early: the one after the context's last position can still be chosen, since "
        "nothing has to read it.",
        "slides": "You go on with the last n_ctx tokens when the context is full. That is another text with other "
        "positions; here the loop ends.",
        "one_too_many": "You return one token more than max_new_tokens.",
    }),
    Sampler("probabilities", "lion", 30, sampler_cases, TEMPERATURE | {
        "top_k_ignored": "top_k changes nothing in your answer.",
        "top_p_ignored": "top_p changes nothing in your answer.",
    } | TOP_K | TOP_P | {
        "temperature_last": "You apply the temperature last. The package divides by it first: top-p then counts the "
        "probabilities that are really drawn from.",
        "p_before_k": "You apply top-p before top-k, or both to the whole vocabulary. After top-k the probabilities "
        "of those that are left add up to 1 again, and top-p counts these.",
        "not_renormalized": "The tokens that you keep have the probabilities of before, so they do not add up to 1. "
        "Drop logits, then take the softmax.",
        "dtype_kept": "Logits in bfloat16 have three digits, too few for a running total. Go to float32 first.",
    }, places=(SAMPLING + "probabilities",), tolerance=1e-6,
            judge=lambda mine: half_of_equals(lambda logits: mine(logits, 1.0, None, 0.5))),
]  # fmt: skip
