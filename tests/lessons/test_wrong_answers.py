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


def torch_s_default_gelu(x: Tensor) -> Tensor:
    return F.gelu(x)


def the_normal_distribution_s_own_share(x: Tensor) -> Tensor:
    return x * torch.distributions.Normal(0.0, 1.0).cdf(x)


def twice_the_share_and_no_one(x: Tensor) -> Tensor:
    return x * torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3))


def tanh_of_x_alone(x: Tensor) -> Tensor:
    return 0.5 * x * (1.0 + torch.tanh(x))


def only_a_root_that_is_turned(x: Tensor) -> Tensor:
    return 0.5 * x * (1.0 + torch.tanh(x / math.sqrt(2.0 / math.pi)))


def torch_s_silu(x: Tensor) -> Tensor:
    return F.silu(x)


def a_decimal_slip(x: Tensor) -> Tensor:
    return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.44715 * x**3)))


def a_rounded_constant(x: Tensor) -> Tensor:
    return 0.5 * x * (1.0 + torch.tanh(0.798 * (x + 0.0447 * x**3)))


def gelu_in_float32(x: Tensor) -> Tensor:
    return F.gelu(x.float(), approximate="tanh").double()


def a_share_without_a_gradient(x: Tensor) -> Tensor:
    share = 0.5 * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))
    return x * share.detach()


def cut_off_beyond_three(x: Tensor) -> Tensor:
    return torch.where(x.abs() > 3.0, torch.relu(x), F.gelu(x, approximate="tanh"))


def cubed_in_place(x: Tensor) -> Tensor:
    half = 0.5 * x
    x += 0.044715 * x**3
    return half * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * x))


def number_by_number_in_a_list(x: Tensor) -> Tensor:
    shares = [0.5 * (1.0 + math.tanh(math.sqrt(2.0 / math.pi) * (a + 0.044715 * a**3))) for a in x.flatten().tolist()]
    return torch.tensor([a * share for a, share in zip(x.flatten().tolist(), shares, strict=True)]).view(x.shape)


GELU: list[Callable] = [
    torch_s_default_gelu, the_normal_distribution_s_own_share, twice_the_share_and_no_one, tanh_of_x_alone,
    only_a_root_that_is_turned, torch_s_silu, a_decimal_slip, a_rounded_constant, gelu_in_float32,
    a_share_without_a_gradient, cut_off_beyond_three, cubed_in_place, number_by_number_in_a_list,
]  # fmt: skip
ANSWERS["04_mlp", "gelu"] = GELU


@pytest.mark.parametrize(("folder", "name"), ANSWERS)
def test_no_wrong_answer_passes_and_a_third_is_named(folder: str, name: str) -> None:
    lesson = Lesson(folder)
    exercise = lesson.graders[name]
    verdicts = {wrong.__name__: exercise.verdict(wrong, lesson) for wrong in ANSWERS[folder, name]}
    named = [wrong for wrong, said in verdicts.items() if said and said.split("\n")[0] in exercise.hints.values()]
    print(f"{len(named)} of {len(verdicts)} named", *verdicts.items(), sep="\n")
    assert [wrong for wrong, said in verdicts.items() if not said] == []
    assert 3 * len(named) >= len(verdicts) >= 10
