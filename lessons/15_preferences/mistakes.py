"""Lesson 15's functions with a switch for each typical mistake; without one they are right."""

import math
from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from minigpt import GPT
from minigpt.model.gpt import evaluating
from minigpt.preference import likelihood
from minigpt.preference.policy import Draw
from minigpt.text.examples import Example


def preference_nll(
    margin: Tensor, label_smoothing: float = 0.0, *, wrong_sign=False, turned=False, no_logarithm=False, base_2=False,
    smoothing_ignored=False, unstable=False, mean=False, hinge=False, one_minus=False,
) -> Tensor:  # fmt: skip
    e = 0.0 if smoothing_ignored else label_smoothing
    z = -margin if turned else margin

    def nll(z: Tensor) -> Tensor:
        if hinge:
            return (1 - z).clamp(min=0)
        if no_logarithm:
            return -z.sigmoid()
        if one_minus:
            return 1 - z.sigmoid()
        return -z.sigmoid().log() if unstable else -logsigmoid(z)

    found = (1 - e) * nll(z) + (e * nll(-z) if e else 0.0)
    found = found / math.log(2) if base_2 else found
    found = -found if wrong_sign else found
    return found.mean() if mean else found


def pair_rows(
    prompt: list[int], chosen: list[int], rejected: list[int], end: int, *, chosen_prompt_supervised=False,
    rejected_prompt_supervised=False, no_end=False, rejected_not_ended=False, end_unsupervised=False, swapped=False,
    rejected_unsupervised=False, mask_turned=False, shifted=False, answers_alone=False, prompt_end=False,
) -> tuple[tuple[list[int], list[bool]], tuple[list[int], list[bool]]]:  # fmt: skip
    def row(answer: list[int], is_chosen: bool) -> tuple[list[int], list[bool]]:
        asked = [] if answers_alone else [*prompt, end] if prompt_end else prompt
        ends = [] if no_end or (rejected_not_ended and not is_chosen) else [end]
        reads = chosen_prompt_supervised if is_chosen else rejected_prompt_supervised
        says = not (rejected_unsupervised and not is_chosen)
        mask = [reads] * len(asked) + [says] * len(answer) + [says and not end_unsupervised] * len(ends)
        mask = [not x for x in mask] if mask_turned else mask
        return [*asked, *answer, *ends], [*mask[1:], False] if shifted else mask

    both = row(chosen, True), row(rejected, False)
    return both[::-1] if swapped else both


def log_likelihood(
    model: GPT, rows: Sequence[Example], micro_batch_size: int = 64, *, mean=False, end_lost=False, first_lost=False,
    prompt_counted=False, unused_rows=False, dropout_on=False, wrong_sign=False, no_logarithm=False, no_softmax=False,
    base_2=False, shifted=False, everything_summed=False,
) -> Tensor:  # fmt: skip
    found = []
    with nullcontext() if dropout_on else evaluating(model):
        for row in rows:
            ids = torch.tensor(row.ids)
            tokens = model.config.vocab_size if unused_rows else model.config.tokens
            logits = model(ids[None, :-1])[0, :, :tokens].float()
            P = logits if no_softmax else logits.softmax(-1) if no_logarithm else logits.log_softmax(-1)
            targets = ids[:-1] if shifted else ids[1:]
            each = P.gather(-1, targets[:, None])[:, 0]
            mask = torch.tensor(row.supervised[1:])
            mask = torch.ones_like(mask) if prompt_counted else mask
            mask = torch.tensor(row.supervised[:-1]) if first_lost else mask
            chosen = each[mask][:-1] if end_lost else each[mask]
            found.append(chosen.mean() if mean else chosen.prod() if no_logarithm else chosen.sum())
    both = torch.stack(found) / (math.log(2) if base_2 else 1)
    both = both.sum().expand(len(rows)) if everything_summed else both
    return -both if wrong_sign else both


def leave_one_out(
    returns: Tensor, *, own_draw=False, all_prompts=False, divided_by_k=False, standard_deviation=False, grpo=False,
    wrong_sign=False, baseline_alone=False, other_axis=False, best_of_the_others=False, no_baseline=False,
    draw_left_in=False,
) -> Tensor:  # fmt: skip
    R = returns.T if other_axis else returns
    K = R.shape[1]
    total = R.sum(1, keepdim=True)
    b = (total - R) / (K if divided_by_k else K - 1)
    if own_draw or grpo:
        b = (total / K).expand_as(R)
    if draw_left_in:
        b = (total / (K - 1)).expand_as(R)
    if all_prompts:
        b = (R.sum() - R) / (R.numel() - 1)
    if best_of_the_others:
        b = torch.stack([torch.cat([R[:, :i], R[:, i + 1 :]], 1).amax(1) for i in range(K)], 1)
    if no_baseline:
        b = torch.zeros_like(R)
    A = b if baseline_alone else b - R if wrong_sign else R - b
    A = A / (R.std(1, keepdim=True) + 1e-4) if standard_deviation or grpo else A
    return A.T if other_axis else A


def dpo_loss(
    chosen: Tensor, rejected: Tensor, reference_chosen: Tensor, reference_rejected: Tensor, beta: float,
    label_smoothing: float = 0.0, *, beta_outside=False, beta_inside_out=False, beta_forgotten=False, turned=False,
    wrong_sign=False, reference_forgotten=False, reference_added=False, sides_apart=False,
    ipo=False, smoothing_ignored=False, mean=False, chosen_alone=False, beta_on_policy=False,
) -> Tensor:  # fmt: skip
    if reference_forgotten:
        reference_chosen = reference_rejected = torch.zeros_like(chosen)
    if reference_added:
        reference_chosen, reference_rejected = -reference_chosen, -reference_rejected
    w, lost = chosen - reference_chosen, rejected - reference_rejected
    if beta_on_policy:
        w, lost = beta * chosen - reference_chosen, beta * rejected - reference_rejected
    if chosen_alone:
        lost = torch.zeros_like(w)
    scale = 1.0 if beta_outside or beta_forgotten or beta_on_policy else 1 / beta if beta_inside_out else beta
    margin = scale * (lost - w if turned else w - lost)
    e = 0.0 if smoothing_ignored else label_smoothing
    found = -(1 - e) * logsigmoid(margin) - e * logsigmoid(-margin)
    if sides_apart:
        found = -logsigmoid(scale * w) - logsigmoid(-scale * lost)
    if ipo:
        found = (w - lost - 1 / (2 * beta)) ** 2
    found = beta * found if beta_outside else -found if wrong_sign else found
    return found.mean() if mean else found


def rloo_loss(
    policy: GPT, reference: GPT, draws: Sequence[Draw], rewards: Tensor, beta: float, *, kl_differentiated=False,
    k2_differentiated=False, kl_forgotten=False, not_constant=False, ratio_turned=False, beta_inside_out=False,
    own_draw=False, all_prompts=False, no_baseline=False, divided_by_the_spread=False, wrong_sign=False, means=False,
    end_lost=False, summed=False,
) -> Tensor:  # fmt: skip
    rows = [likelihood.continued(draw.prompt, draw.answer[:-1] if end_lost else draw.answer) for draw in draws]
    log_pi, log_ref = (likelihood.log_likelihood(model, rows).view(rewards.shape) for model in (policy, reference))
    log_ref = log_ref.detach()
    if means:
        lengths = torch.tensor([float(len(draw.answer)) for draw in draws]).view(rewards.shape)
        log_pi, log_ref = log_pi / lengths, log_ref / lengths
    ratio = log_ref - log_pi if ratio_turned else log_pi - log_ref
    scale = 0.0 if kl_forgotten or kl_differentiated or k2_differentiated else 1 / beta if beta_inside_out else beta
    R = rewards - scale * ratio
    R = R if not_constant else R.detach()
    switches = {"own_draw": own_draw, "all_prompts": all_prompts, "no_baseline": no_baseline}
    A = leave_one_out(R, **switches, grpo=divided_by_the_spread)
    terms = A * log_pi
    loss = -(terms.sum() if summed else terms.mean())
    loss = loss + beta * ratio.mean() if kl_differentiated else loss
    loss = loss + beta * (ratio**2 / 2).mean() if k2_differentiated else loss
    return -loss if wrong_sign else loss
