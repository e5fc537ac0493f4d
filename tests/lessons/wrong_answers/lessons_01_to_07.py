"""Wrong answers of lessons 01 to 07."""

import math
import re
from collections.abc import Callable
from itertools import pairwise

import regex
import torch
from torch import Tensor
from torch.nn import functional as F

from minigpt.model.embedding import Embedding
from minigpt.text.tokenizer import GPT2_PATTERN

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


def words_of(text: str) -> list[bytes]:
    return [word.encode() for word in regex.findall(GPT2_PATTERN, text)]


def merged(word: bytes, vocab: dict[bytes, int]) -> list[int]:
    parts = [bytes([byte]) for byte in word]
    while known := [(vocab[a + b], i) for i, (a, b) in enumerate(pairwise(parts)) if a + b in vocab]:
        i = min(known)[1]
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
    return [vocab[part] for part in parts]


def one_after_the_other(text: str, vocab: dict[bytes, int]) -> list[int]:
    ids = []
    for word in words_of(text):
        part = b""
        for byte in word:
            if part and part + bytes([byte]) not in vocab:
                ids.append(vocab[part])
                part = b""
            part += bytes([byte])
        ids.append(vocab[part])
    return ids


def a_pattern_of_all_tokens_the_longest_first(text: str, vocab: dict[bytes, int]) -> list[int]:
    tokens = re.compile(b"|".join(re.escape(token) for token in sorted(vocab, key=len, reverse=True)), re.S)
    return [vocab[token] for word in words_of(text) for token in tokens.findall(word)]


def as_few_tokens_as_possible(text: str, vocab: dict[bytes, int]) -> list[int]:
    ids = []
    for word in words_of(text):
        best: list[list[int]] = [[]]
        for end in range(1, len(word) + 1):
            known = [best[i] + [vocab[word[i:end]]] for i in range(end) if word[i:end] in vocab]
            best.append(min(known, key=len))
        ids += best[-1]
    return ids


def of_equal_pairs_the_one_seen_last(text: str, vocab: dict[bytes, int]) -> list[int]:
    ids = []
    for word in words_of(text):
        parts = [bytes([byte]) for byte in word]
        while known := {vocab[a + b]: i for i, (a, b) in enumerate(pairwise(parts)) if a + b in vocab}:
            i = known[min(known)]
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        ids += [vocab[part] for part in parts]
    return ids


def the_newest_pair_first(text: str, vocab: dict[bytes, int]) -> list[int]:
    backwards = {token: -i for token, i in vocab.items()}
    return [-i for word in words_of(text) for i in merged(word, backwards)]


def no_pattern_at_all(text: str, vocab: dict[bytes, int]) -> list[int]:
    return merged(text.encode(), vocab)


def words_by_split(text: str, vocab: dict[bytes, int]) -> list[int]:
    return [i for word in text.split() for i in merged(word.encode(), vocab)]


def a_pattern_for_english_letters(text: str, vocab: dict[bytes, int]) -> list[int]:
    words = re.findall(r"'(?:[sdmt]|ll|ve|re)| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+", text)
    return [i for word in words for i in merged(word.encode(), vocab)]


def bytes_as_their_own_ids(text: str, vocab: dict[bytes, int]) -> list[int]:
    own = {token: token[0] if len(token) == 1 else i for token, i in vocab.items()}
    return [i for word in words_of(text) for i in merged(word, own)]


def without_the_letters_that_are_not_ascii(text: str, vocab: dict[bytes, int]) -> list[int]:
    return [i for word in words_of(text) for i in merged(word.decode().encode("ascii", "ignore"), vocab)]


def a_blank_put_before_the_text(text: str, vocab: dict[bytes, int]) -> list[int]:
    return [i for word in words_of(f" {text}") for i in merged(word, vocab | {b" ": 220})]


def blanks_around_the_text_taken_off(text: str, vocab: dict[bytes, int]) -> list[int]:
    return [i for word in words_of(text.strip()) for i in merged(word, vocab)]


def a_list_for_each_word(text: str, vocab: dict[bytes, int]) -> list:
    return [merged(word, vocab) for word in words_of(text)]


ENCODE: list[Callable] = [
    one_after_the_other, a_pattern_of_all_tokens_the_longest_first, as_few_tokens_as_possible,
    of_equal_pairs_the_one_seen_last, the_newest_pair_first, no_pattern_at_all, words_by_split,
    a_pattern_for_english_letters, bytes_as_their_own_ids, without_the_letters_that_are_not_ascii,
    a_blank_put_before_the_text, blanks_around_the_text_taken_off, a_list_for_each_word,
]  # fmt: skip
ANSWERS = {("01_tokens", "encode"): ENCODE, ("03_attention", "attend"): ATTEND}


def of_answer(logits: Tensor, ids: Tensor, n_given: int, axis: int = -1) -> Tensor:
    return logits.log_softmax(axis)[range(n_given - 1, len(ids) - 1), ids[n_given:]]


LOG_PROBABILITY: dict[str, Callable[[Tensor, Tensor, int], Tensor | float]] = {
    "perplexity": lambda z, ids, n: (-of_answer(z, ids, n).mean()).exp(),
    "mean surprise": lambda z, ids, n: -of_answer(z, ids, n).mean(),
    "sum of probabilities": lambda z, ids, n: of_answer(z, ids, n).exp().sum(),
    "logarithm of that sum": lambda z, ids, n: of_answer(z, ids, n).logsumexp(0),
    "whole text, per token": lambda z, ids, n: of_answer(z, ids, 1).mean(),
    "whole text, in bits": lambda z, ids, n: of_answer(z, ids, 1).sum() / math.log(2),
    "probability of the whole text": lambda z, ids, n: of_answer(z, ids, 1).sum().exp(),
    "logits of the same place": lambda z, ids, n: z[range(n, len(ids)), ids[n:]].sum(),
    "best tokens": lambda z, ids, n: z[n - 1 : -1].log_softmax(-1).amax(-1).sum(),
    "two places off": lambda z, ids, n: z.log_softmax(-1)[range(n - 2, len(ids) - 2), ids[n:]].sum(),
    "decimal logarithm": lambda z, ids, n: of_answer(z, ids, n).sum() / math.log(10),
    "a number": lambda z, ids, n: of_answer(z, ids, n).sum().item(),
    "no gradient": lambda z, ids, n: of_answer(z.detach(), ids, n).sum(),
    "in float32": lambda z, ids, n: of_answer(z.float(), ids, n).sum().double(),
    "softmax over the answer's places": lambda z, ids, n: z[n - 1 : -1].log_softmax(0).gather(-1, ids[n:, None]).sum(),
}
for wrong_name, wrong_answer in LOG_PROBABILITY.items():
    wrong_answer.__name__ = wrong_name
ANSWERS["06_gpt2", "log_probability"] = [*LOG_PROBABILITY.values()]


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


def nucleus(P: Tensor, p: float | None) -> Tensor:
    """Which tokens top-p keeps."""
    best, order = P.sort(dim=-1, descending=True)
    return torch.zeros_like(P, dtype=torch.bool).scatter(-1, order, best.cumsum(-1) - best < (2.0 if p is None else p))


def k_best(P: Tensor, k: int | None) -> Tensor:
    return P.topk(min(k or P.shape[-1], P.shape[-1])).values[:, -1:] <= P


def shared(P: Tensor, kept: Tensor) -> Tensor:
    return P * kept / (P * kept).sum(-1, keepdim=True)


def both_cuts_at_once(logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None):
    P = (logits.float() / temperature).softmax(-1)
    return shared(P, k_best(P, top_k) & nucleus(P, top_p))


def temperature_on_probabilities(
    logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    P = shared(P := logits.float().softmax(-1) / temperature, k_best(P, top_k))
    return shared(P, nucleus(P, top_p))


def cuts_then_temperature(
    logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    P = shared(P := logits.float().softmax(-1), k_best(P, top_k))
    return ((P * nucleus(P, top_p)).log() / temperature).softmax(-1)


def no_second_sum(logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None):
    P = (logits.float() / temperature).softmax(-1)
    P = P * k_best(P, top_k)
    return P * nucleus(P / P.sum(-1, keepdim=True), top_p)


def hot_for_cold_and_no_top_p(
    logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    P = (logits.float() * temperature).softmax(-1)
    return shared(P, k_best(P, top_k))


def one_cut_or_the_other(
    logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    P = (logits.float() / temperature).softmax(-1)
    return shared(P, k_best(P, top_k) if top_k else nucleus(P, top_p))


def one_past_p(logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None):
    P = (logits.float() / temperature).softmax(-1)
    P = shared(P, k_best(P, top_k))
    kept = nucleus(P, top_p)
    return shared(P, k_best(P, None) if top_p is None else P.masked_fill(kept, 0.0).amax(-1, keepdim=True) <= P)


def a_share_of_the_best(
    logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    P = (logits.float() / temperature).softmax(-1)
    P = shared(P, k_best(P, top_k))
    least = 0.0 if top_p is None else (1.0 - top_p) * P.amax(-1, keepdim=True)
    return shared(P, least <= P)


def best_first(logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None):
    P = (logits.float() / temperature).softmax(-1)
    P = shared(P, k_best(P, top_k))
    return shared(P, nucleus(P, top_p)).sort(dim=-1, descending=True).values


def dropped_to_a_hundredth(
    logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    P = (logits.float() / temperature).softmax(-1)
    P = shared(P, k_best(P, top_k))
    return shared(P, nucleus(P, top_p).float().clamp(min=0.01))


def sizes_as_powers_of_two(
    logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    P = shared(P := 2.0 ** (logits.float() / temperature), k_best(P, top_k))
    return shared(P, nucleus(P, top_p))


def divided_in_place(logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None):
    logits /= temperature
    return both_cuts_at_once(logits, 1.0, top_k, top_p)


SAMPLER: list[Callable] = [
    both_cuts_at_once, temperature_on_probabilities, cuts_then_temperature, no_second_sum, hot_for_cold_and_no_top_p,
    one_cut_or_the_other, one_past_p, a_share_of_the_best, best_first, dropped_to_a_hundredth, sizes_as_powers_of_two,
    divided_in_place,
]  # fmt: skip
ANSWERS["07_generation", "probabilities"] = SAMPLER


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
ANSWERS["02_embedding", "embed"] = EMBED


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
