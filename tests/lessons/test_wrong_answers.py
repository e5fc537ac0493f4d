"""Wrong answers that mistakes.py does not have: none passes, and at least a third is named."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lessons.harness.grade import Lesson
from minigpt.model.embedding import Embedding

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


def the_documents_form(wte: Embedding, wpe: Embedding, ids: Tensor, positions: Tensor) -> Tensor:
    return F.embedding(ids, wte.weight)


def positions_of_the_ids(wte: Embedding, wpe: Embedding, ids: Tensor, positions: Tensor) -> Tensor:
    return wte.weight[ids] + wpe.weight[ids]


def positions_by_arange(wte: Embedding, wpe: Embedding, ids: Tensor, positions: Tensor) -> Tensor:
    return wte.weight[ids] + wpe.weight[: ids.shape[1]]


def one_row_of_positions(wte: Embedding, wpe: Embedding, ids: Tensor, positions: Tensor) -> Tensor:
    return wte.weight[ids] + wpe.weight[positions[0]]


def side_by_side(wte: Embedding, wpe: Embedding, ids: Tensor, positions: Tensor) -> Tensor:
    return torch.cat([wte.weight[ids], wpe.weight[positions.expand_as(ids)]], dim=-1)


def of_the_first_transformer(wte: Embedding, wpe: Embedding, ids: Tensor, positions: Tensor) -> Tensor:
    return wte.weight[ids] * wte.weight.shape[1] ** 0.5 + wpe.weight[positions]


def scaled_with_the_position(wte: Embedding, wpe: Embedding, ids: Tensor, positions: Tensor) -> Tensor:
    return (wte.weight[ids] + wpe.weight[positions]) * wte.weight.shape[1] ** 0.5


def sines(wte: Embedding, wpe: Embedding, ids: Tensor, positions: Tensor) -> Tensor:
    return wte.weight[ids] + torch.sin(positions.unsqueeze(-1) / 10_000 ** torch.linspace(0, 1, wte.weight.shape[1]))


def mean_of_the_two(wte: Embedding, wpe: Embedding, ids: Tensor, positions: Tensor) -> Tensor:
    return (wte.weight[ids] + wpe.weight[positions]) / 2


def position_before(wte: Embedding, wpe: Embedding, ids: Tensor, positions: Tensor) -> Tensor:
    return wte.weight[ids] + wpe.weight[positions - 1]


def token_without_a_gradient(wte: Embedding, wpe: Embedding, ids: Tensor, positions: Tensor) -> Tensor:
    return wte.weight.data[ids] + wpe.weight[positions]


def rows_made_of_lists(wte: Embedding, wpe: Embedding, ids: Tensor, positions: Tensor) -> Tensor:
    tables = torch.tensor(wte.weight.tolist(), dtype=wte.weight.dtype), wpe.weight.detach()
    return tables[0][ids] + tables[1][positions]


EMBED: list[Callable] = [
    the_documents_form, positions_of_the_ids, positions_by_arange, one_row_of_positions, side_by_side,
    of_the_first_transformer, scaled_with_the_position, sines, mean_of_the_two, position_before,
    token_without_a_gradient, rows_made_of_lists,
]  # fmt: skip
ANSWERS = {("03_attention", "attend"): ATTEND, ("02_embedding", "embed"): EMBED}


@pytest.mark.parametrize(("folder", "name"), ANSWERS)
def test_no_wrong_answer_passes_and_a_third_is_named(folder: str, name: str) -> None:
    lesson = Lesson(folder)
    exercise = lesson.graders[name]
    verdicts = {wrong.__name__: exercise.verdict(wrong, lesson) for wrong in ANSWERS[folder, name]}
    named = [wrong for wrong, said in verdicts.items() if said and said.split("\n")[0] in exercise.hints.values()]
    print(f"{len(named)} of {len(verdicts)} named", *verdicts.items(), sep="\n")
    assert [wrong for wrong, said in verdicts.items() if not said] == []
    assert 3 * len(named) >= len(verdicts) >= 10
