"""Wrong answers to lesson 15's exercises."""

import torch
import torch.nn.functional as F
from torch import Tensor

from minigpt.preference.likelihood import continued
from minigpt.preference.likelihood import log_likelihood as right_log_likelihood

# --- preference_nll ---


def sigmoid_of_the_margin(margin, label_smoothing=0.0):
    return torch.sigmoid(margin)


def log_sigmoid(margin, label_smoothing=0.0):
    return F.logsigmoid(margin)


def softplus_of_the_margin(margin, label_smoothing=0.0):
    return F.softplus(margin)


def no_smoothing(margin, label_smoothing=0.0):
    return F.softplus(-margin)


def log_of_sigmoid(margin, label_smoothing=0.0):
    p = torch.sigmoid(margin)
    return -(1 - label_smoothing) * torch.log(p) - label_smoothing * torch.log(1 - p)


def smoothed_to_a_half(margin, label_smoothing=0.0):
    e = label_smoothing / 2
    return -(1 - e) * F.logsigmoid(margin) - e * F.logsigmoid(-margin)


def smoothing_subtracted(margin, label_smoothing=0.0):
    return -(1 - label_smoothing) * F.logsigmoid(margin) + label_smoothing * F.logsigmoid(-margin)


def one_number(margin, label_smoothing=0.0):
    return (-(1 - label_smoothing) * F.logsigmoid(margin) - label_smoothing * F.logsigmoid(-margin)).mean()


def zero_one(margin, label_smoothing=0.0):
    return (margin < 0).to(margin.dtype)


def with_an_epsilon(margin, label_smoothing=0.0):
    return -torch.log((1 - label_smoothing) * torch.sigmoid(margin) + label_smoothing * torch.sigmoid(-margin) + 1e-8)


def exponential(margin, label_smoothing=0.0):
    return torch.exp(-margin)


NLL = [
    sigmoid_of_the_margin, log_sigmoid, softplus_of_the_margin, no_smoothing, log_of_sigmoid, smoothed_to_a_half,
    smoothing_subtracted, one_number, zero_one, with_an_epsilon, exponential,
]  # fmt: skip

# --- log_likelihood ---


def each(model, row, tokens=None) -> tuple[Tensor, Tensor]:
    ids = torch.tensor(row.ids)
    log_P = model(ids[None, :-1])[0, :, :tokens].log_softmax(-1)
    return log_P.gather(1, ids[1:, None])[:, 0], torch.tensor(row.supervised[1:])


def mean_over_the_answer(model, rows, micro_batch_size=64):
    model.eval()
    parts = [each(model, row, model.config.tokens) for row in rows]
    return torch.stack([(x * m).sum() / m.sum() for x, m in parts])


def all_rows_of_the_vocabulary(model, rows, micro_batch_size=64):
    model.eval()
    return torch.stack([x[m].sum() for x, m in (each(model, row) for row in rows)])


def in_training(model, rows, micro_batch_size=64):
    return torch.stack([x[m].sum() for x, m in (each(model, row, model.config.tokens) for row in rows)])


def the_whole_text(model, rows, micro_batch_size=64):
    model.eval()
    return torch.stack([each(model, row, model.config.tokens)[0].sum() for row in rows])


def of_cross_entropy(model, rows, micro_batch_size=64):
    model.eval()
    return torch.stack([-x[m].sum() for x, m in (each(model, row, model.config.tokens) for row in rows)])


def mask_not_shifted(model, rows, micro_batch_size=64):
    model.eval()
    return torch.stack(
        [each(model, row, model.config.tokens)[0][torch.tensor(row.supervised[:-1])].sum() for row in rows]
    )


def without_the_end(model, rows, micro_batch_size=64):
    model.eval()
    return torch.stack([x[m][:-1].sum() for x, m in (each(model, row, model.config.tokens) for row in rows)])


def last_token_alone(model, rows, micro_batch_size=64):
    model.eval()
    return torch.stack([x[m][-1] for x, m in (each(model, row, model.config.tokens) for row in rows)])


def numbers(model, rows, micro_batch_size=64):
    model.eval()
    return torch.tensor([x[m].sum().item() for x, m in (each(model, row, model.config.tokens) for row in rows)])


def greedy(model, rows, micro_batch_size=64):
    model.eval()
    found = []
    for row in rows:
        log_P = model(torch.tensor([row.ids[:-1]]))[0, :, : model.config.tokens].log_softmax(-1)
        found.append(log_P.amax(-1)[torch.tensor(row.supervised[1:])].sum())
    return torch.stack(found)


def one_total(model, rows, micro_batch_size=64):
    return right_log_likelihood(model, rows).sum()


LIKELIHOOD = [
    mean_over_the_answer, all_rows_of_the_vocabulary, in_training, the_whole_text, of_cross_entropy, mask_not_shifted,
    without_the_end, last_token_alone, numbers, greedy, one_total,
]  # fmt: skip

# --- leave_one_out ---


def group_mean(returns):
    return returns - returns.mean(dim=1, keepdim=True)


def group_mean_detached(returns):
    return returns - returns.mean(dim=-1, keepdim=True).detach()


def batch_mean(returns):
    return returns - returns.mean()


def whitened(returns):
    return (returns - returns.mean()) / (returns.std() + 1e-8)


def group_whitened(returns):
    return (returns - returns.mean(1, keepdim=True)) / (returns.std(1, keepdim=True) + 1e-4)


def whitened_without_bessel(returns):
    return (returns - returns.mean(1, keepdim=True)) / returns.std(1, keepdim=True, unbiased=False)


def all_the_others(returns):
    P, K = returns.shape
    return returns - (returns.sum() - returns) / (P * K - 1)


def sum_of_the_others(returns):
    return returns - (returns.sum(1, keepdim=True) - returns)


def sum_over_k_less_1(returns):
    return returns - returns.sum(1, keepdim=True) / (returns.shape[1] - 1)


def the_next_draw(returns):
    return returns - returns.roll(1, dims=1)


def baseline_less_reward(returns):
    K = returns.shape[1]
    return (returns.sum(1, keepdim=True) - returns) / (K - 1) - returns


def number_of_prompts(returns):
    P = max(2, returns.shape[0])
    return returns - (returns.sum(1, keepdim=True) - returns) / (P - 1)


LEAVE_ONE_OUT = [
    group_mean, group_mean_detached, batch_mean, whitened, group_whitened, whitened_without_bessel, all_the_others,
    sum_of_the_others, sum_over_k_less_1, the_next_draw, baseline_less_reward, number_of_prompts,
]  # fmt: skip

# --- dpo_loss ---


def smoothed(z: Tensor, e: float) -> Tensor:
    return -(1 - e) * F.logsigmoid(z) - e * F.logsigmoid(-z)


def no_reference(c, r, rc, rr, beta, label_smoothing=0.0):
    return smoothed(beta * (c - r), label_smoothing)


def loser_first(c, r, rc, rr, beta, label_smoothing=0.0):
    return smoothed(beta * ((r - rr) - (c - rc)), label_smoothing)


def divided(c, r, rc, rr, beta, label_smoothing=0.0):
    return smoothed(((c - rc) - (r - rr)) / beta, label_smoothing)


def scaled_loss(c, r, rc, rr, beta, label_smoothing=0.0):
    return beta * smoothed((c - rc) - (r - rr), label_smoothing)


def the_mean(c, r, rc, rr, beta, label_smoothing=0.0):
    return smoothed(beta * ((c - rc) - (r - rr)), label_smoothing).mean()


def probabilities_for_logs(c, r, rc, rr, beta, label_smoothing=0.0):
    return smoothed(beta * ((c.exp() / rc.exp()) - (r.exp() / rr.exp())), label_smoothing)


def sides_swapped_in_the_reference(c, r, rc, rr, beta, label_smoothing=0.0):
    return smoothed(beta * ((c - rr) - (r - rc)), label_smoothing)


def signs_lost(c, r, rc, rr, beta, label_smoothing=0.0):
    return smoothed(beta * (c - rc - r - rr), label_smoothing)


def log_sigmoid_itself(c, r, rc, rr, beta, label_smoothing=0.0):
    return -smoothed(beta * ((c - rc) - (r - rr)), label_smoothing)


def clipped_margin(c, r, rc, rr, beta, label_smoothing=0.0):
    return F.relu(1 - beta * ((c - rc) - (r - rr)))


def anchored(c, r, rc, rr, beta, label_smoothing=0.0):
    return smoothed(beta * ((c - rc) - (r - rr)), label_smoothing) - c


DPO = [
    no_reference, loser_first, divided, scaled_loss, the_mean, probabilities_for_logs, sides_swapped_in_the_reference,
    signs_lost, log_sigmoid_itself, clipped_margin, anchored,
]  # fmt: skip

# --- rloo_loss ---


def parts(policy, reference, draws, rewards):
    rows = [continued(draw.prompt, draw.answer) for draw in draws]
    log_pi = right_log_likelihood(policy, rows).view(rewards.shape)
    return log_pi, right_log_likelihood(reference, rows).view(rewards.shape).detach()


def loo(R):
    return R - (R.sum(1, keepdim=True) - R) / (R.shape[1] - 1)


def everything_differentiated(policy, reference, draws, rewards, beta):
    log_pi, log_ref = parts(policy, reference, draws, rewards)
    return -(loo(rewards - beta * (log_pi - log_ref)) * log_pi).mean()


def kl_added_to_the_loss(policy, reference, draws, rewards, beta):
    log_pi, log_ref = parts(policy, reference, draws, rewards)
    return -(loo(rewards) * log_pi).mean() + beta * (log_pi - log_ref).mean()


def k3_added_to_the_loss(policy, reference, draws, rewards, beta):
    log_pi, log_ref = parts(policy, reference, draws, rewards)
    d = log_ref - log_pi
    return -(loo(rewards) * log_pi).mean() + beta * (d.exp() - d - 1).mean()


def rewards_alone(policy, reference, draws, rewards, beta):
    return -(loo(rewards) * parts(policy, reference, draws, rewards)[0]).mean()


def negative(policy, reference, draws, rewards, beta):
    log_pi, log_ref = parts(policy, reference, draws, rewards)
    return (loo(rewards - beta * (log_pi - log_ref).detach()) * log_pi).mean()


def group_relative(policy, reference, draws, rewards, beta):
    log_pi, log_ref = parts(policy, reference, draws, rewards)
    R = (rewards - beta * (log_pi - log_ref)).detach()
    return -((R - R.mean(1, keepdim=True)) / (R.std(1, keepdim=True) + 1e-4) * log_pi).mean()


def with_the_mean_of_all(policy, reference, draws, rewards, beta):
    log_pi, log_ref = parts(policy, reference, draws, rewards)
    R = (rewards - beta * (log_pi - log_ref)).detach()
    return -((R - R.mean(1, keepdim=True)) * log_pi).mean()


def weighted_by_probability(policy, reference, draws, rewards, beta):
    log_pi, log_ref = parts(policy, reference, draws, rewards)
    return -(log_pi.exp() * loo(rewards - beta * (log_pi - log_ref).detach())).mean()


def a_number(policy, reference, draws, rewards, beta):
    log_pi, log_ref = parts(policy, reference, draws, rewards)
    return -(loo(rewards - beta * (log_pi - log_ref)) * log_pi).mean().detach()


def total(policy, reference, draws, rewards, beta):
    log_pi, log_ref = parts(policy, reference, draws, rewards)
    return -(loo(rewards - beta * (log_pi - log_ref).detach()) * log_pi).sum()


RLOO = [
    everything_differentiated, kl_added_to_the_loss, k3_added_to_the_loss, rewards_alone, negative, group_relative,
    with_the_mean_of_all, weighted_by_probability, a_number, total,
]  # fmt: skip

ANSWERS = {
    ("15_preferences", "preference_nll"): NLL,
    ("15_preferences", "log_likelihood"): LIKELIHOOD,
    ("15_preferences", "leave_one_out"): LEAVE_ONE_OUT,
    ("15_preferences", "dpo_loss"): DPO,
    ("15_preferences", "rloo_loss"): RLOO,
}
