"""Wrong answers that mistakes.py does not have: none passes, and at least a third is named."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lessons.harness.grade import Lesson

Mask = Tensor | None


def causal(q: Tensor, k: Tensor) -> Tensor:
    return torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool).tril(k.shape[-2] - q.shape[-2])


def scores_of(q: Tensor, k: Tensor) -> Tensor:
    return q @ k.mT / math.sqrt(q.shape[-1])


def chosen(q: Tensor, k: Tensor, mask: Mask) -> Tensor:
    return causal(q, k) if mask is None else mask


def scores_cleared_by_multiplying(q: Tensor, k: Tensor, v: Tensor, mask: Mask = None, dropout: float = 0.0) -> Tensor:
    return (scores_of(q, k) * chosen(q, k, mask)).softmax(-1) @ v


def unscaled_and_masked_after(q: Tensor, k: Tensor, v: Tensor, mask: Mask = None, dropout: float = 0.0) -> Tensor:
    return ((q @ k.mT).softmax(-1) * chosen(q, k, mask)) @ v


def exponentials_of_unscaled_scores(q: Tensor, k: Tensor, v: Tensor, mask: Mask = None, dropout: float = 0.0) -> Tensor:
    return ((q @ k.mT).exp() * chosen(q, k, mask)) @ v


def mask_only_where_given(q: Tensor, k: Tensor, v: Tensor, mask: Mask = None, dropout: float = 0.0) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, mask)


def torch_s_own_causal_mask(q: Tensor, k: Tensor, v: Tensor, mask: Mask = None, dropout: float = 0.0) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, mask, is_causal=mask is None)


def a_small_negative_number_as_mask(q: Tensor, k: Tensor, v: Tensor, mask: Mask = None, dropout: float = 0.0) -> Tensor:
    return scores_of(q, k).masked_fill(~chosen(q, k, mask), -10.0).softmax(-1) @ v


def scaled_by_all_channels(q: Tensor, k: Tensor, v: Tensor, mask: Mask = None, dropout: float = 0.0) -> Tensor:
    scores = q @ k.mT / math.sqrt(q.shape[1] * q.shape[-1])
    return scores.masked_fill(~chosen(q, k, mask), -math.inf).softmax(-1) @ v


def heads_put_last(q: Tensor, k: Tensor, v: Tensor, mask: Mask = None, dropout: float = 0.0) -> Tensor:
    return (scores_of(q, k).masked_fill(~chosen(q, k, mask), -math.inf).softmax(-1) @ v).transpose(1, 2)


def in_float32(q: Tensor, k: Tensor, v: Tensor, mask: Mask = None, dropout: float = 0.0) -> Tensor:
    scores = scores_of(q, k).masked_fill(~chosen(q, k, mask), -math.inf)
    return scores.float().softmax(-1).double() @ v


def weights_without_a_gradient(q: Tensor, k: Tensor, v: Tensor, mask: Mask = None, dropout: float = 0.0) -> Tensor:
    return scores_of(q, k).masked_fill(~chosen(q, k, mask), -math.inf).softmax(-1).detach() @ v


def always_dropping(q: Tensor, k: Tensor, v: Tensor, mask: Mask = None, dropout: float = 0.0) -> Tensor:
    return F.dropout(scores_of(q, k).masked_fill(~chosen(q, k, mask), -math.inf).softmax(-1), 0.5) @ v


def query_scaled_in_place(q: Tensor, k: Tensor, v: Tensor, mask: Mask = None, dropout: float = 0.0) -> Tensor:
    q /= math.sqrt(q.shape[-1])
    return (q @ k.mT).masked_fill(~chosen(q, k, mask), -math.inf).softmax(-1) @ v


ATTEND: list[Callable] = [
    scores_cleared_by_multiplying, unscaled_and_masked_after, exponentials_of_unscaled_scores, mask_only_where_given,
    torch_s_own_causal_mask, a_small_negative_number_as_mask, scaled_by_all_channels, heads_put_last, in_float32,
    weights_without_a_gradient, always_dropping, query_scaled_in_place,
]  # fmt: skip
ANSWERS = {("03_attention", "attend"): ATTEND}


def sample_deviation(x: Tensor, gain: Tensor, bias: Tensor, eps: float) -> Tensor:
    return (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + eps) * gain + bias


def rms_norm(x: Tensor, gain: Tensor, bias: Tensor, eps: float) -> Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * gain


def batch_norm_without_bias(x: Tensor, gain: Tensor, bias: Tensor, eps: float) -> Tensor:
    rows = F.batch_norm(x.flatten(0, -2), None, None, gain, training=True, eps=eps)
    return rows.view_as(x)


def whole_text_without_bias(x: Tensor, gain: Tensor, bias: Tensor, eps: float) -> Tensor:
    return F.layer_norm(x, x.shape[-2:], eps=eps) * gain


def without_gain_and_bias(x: Tensor, gain: Tensor, bias: Tensor, eps: float) -> Tensor:
    return F.layer_norm(x, gain.shape, eps=eps)


def torch_s_var_with_the_gain_last(x: Tensor, gain: Tensor, bias: Tensor, eps: float) -> Tensor:
    return ((x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, keepdim=True) + eps) + bias) * gain


def length_1(x: Tensor, gain: Tensor, bias: Tensor, eps: float) -> Tensor:
    return F.normalize(x - x.mean(-1, keepdim=True), dim=-1, eps=eps) * gain + bias


def eps_as_a_floor(x: Tensor, gain: Tensor, bias: Tensor, eps: float) -> Tensor:
    var, mean = torch.var_mean(x, -1, correction=0, keepdim=True)
    return (x - mean) / var.clamp(min=eps).sqrt() * gain + bias


def eps_of_its_own(x: Tensor, gain: Tensor, bias: Tensor, eps: float) -> Tensor:
    return F.layer_norm(x, gain.shape, gain, bias)


def one_mean_for_all(x: Tensor, gain: Tensor, bias: Tensor, eps: float) -> Tensor:
    return (x - x.mean()) / torch.sqrt(x.var(-1, correction=0, keepdim=True) + eps) * gain + bias


def between_0_and_1(x: Tensor, gain: Tensor, bias: Tensor, eps: float) -> Tensor:
    low, high = x.amin(-1, keepdim=True), x.amax(-1, keepdim=True)
    return (x - low) / (high - low + eps) * gain + bias


def statistics_without_a_gradient(x: Tensor, gain: Tensor, bias: Tensor, eps: float) -> Tensor:
    var, mean = torch.var_mean(x.detach(), -1, correction=0, keepdim=True)
    return (x - mean) / torch.sqrt(var + eps) * gain + bias


def norm_in_float32(x: Tensor, gain: Tensor, bias: Tensor, eps: float) -> Tensor:
    return F.layer_norm(x.float(), gain.shape, gain.float(), bias.float(), eps).to(x.dtype)


def centered_in_place(x: Tensor, gain: Tensor, bias: Tensor, eps: float) -> Tensor:
    x -= x.mean(-1, keepdim=True)
    return x / torch.sqrt(x.square().mean(-1, keepdim=True) + eps) * gain + bias


LAYER_NORM: list[Callable] = [
    sample_deviation, rms_norm, batch_norm_without_bias, whole_text_without_bias, without_gain_and_bias,
    torch_s_var_with_the_gain_last, length_1, eps_as_a_floor, eps_of_its_own, one_mean_for_all, between_0_and_1,
    statistics_without_a_gradient, norm_in_float32, centered_in_place,
]  # fmt: skip
ANSWERS["05_block", "layer_norm"] = LAYER_NORM


@pytest.mark.parametrize(("folder", "name"), ANSWERS)
def test_no_wrong_answer_passes_and_a_third_is_named(folder: str, name: str) -> None:
    lesson = Lesson(folder)
    exercise = lesson.graders[name]
    verdicts = {wrong.__name__: exercise.verdict(wrong, lesson) for wrong in ANSWERS[folder, name]}
    named = [wrong for wrong, said in verdicts.items() if said and said.split("\n")[0] in exercise.hints.values()]
    print(f"{len(named)} of {len(verdicts)} named", *verdicts.items(), sep="\n")
    assert [wrong for wrong, said in verdicts.items() if not said] == []
    assert 3 * len(named) >= len(verdicts) >= 10
