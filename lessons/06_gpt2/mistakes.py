"""Lesson 06's functions with a switch for each typical mistake; without one they are right."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from minigpt import GPT, GPTConfig


def parameter_count(
    self: GPTConfig, *, head_counted=False, no_positions=False, one_layer=False, ln_f_forgotten=False,
    map_biases_forgotten=False, norms_forgotten=False, norm_biases_forgotten=False, output_map_forgotten=False,
    one_mlp_map=False, once_per_head=False, mask_counted=False, padding_left_out=False,
) -> int:  # fmt: skip
    C, V = self.n_embd, self.tokens if padding_left_out else self.vocab_size
    attention = (3 if output_map_forgotten else 4) * (C * C + (0 if map_biases_forgotten else C))
    mlp = (4 if one_mlp_map else 8) * C * C + (0 if map_biases_forgotten else 4 * C if one_mlp_map else 5 * C)
    norm = C if norm_biases_forgotten else 2 * C
    block = attention * (self.n_head if once_per_head else 1) + mlp + (0 if norms_forgotten else 2 * norm)
    block += self.n_ctx**2 if mask_counted else 0
    rows = V * (2 if head_counted else 1) + (0 if no_positions else self.n_ctx)
    return rows * C + (1 if one_layer else self.n_layer) * block + (0 if ln_f_forgotten else norm)


def logits(
    self: GPT, hidden: Tensor, *, probabilities=False, log_probabilities=False, divided=False, normalized_again=False,
    positions_taken=False, last_only=False,
) -> Tensor:  # fmt: skip
    hidden = self.ln_f(hidden) if normalized_again else hidden[..., -1, :] if last_only else hidden
    scores = hidden @ (self.wpe if positions_taken else self.wte).weight.t()
    scores = scores / math.sqrt(hidden.shape[-1]) if divided else scores
    return scores.softmax(-1) if probabilities else scores.log_softmax(-1) if log_probabilities else scores


def log_probability(
    logits: Tensor, ids: Tensor, n_given: int, *, not_shifted=False, question_counted=False, first_left_out=False,
    last_left_out=False, mean=False, no_logarithm=False, no_softmax=False, base_2=False, negative=False,
    over_positions=False,
) -> Tensor:  # fmt: skip
    first = 1 if question_counted else n_given + 1 if first_left_out else n_given
    wanted = torch.arange(len(ids))[first : len(ids) - last_left_out]
    scores = logits if no_softmax else logits.log_softmax(0 if over_positions else -1)
    log_P = scores[wanted if not_shifted else wanted - 1, ids[wanted]]
    total = log_P.sum() / max(len(wanted), 1) if mean else log_P.sum()
    total = total / math.log(2) if base_2 else -total if negative else total
    return total.exp() if no_logarithm else total


def gpt(
    state: dict[str, Tensor], ids: Tensor, n_head: int, *, no_positions=False, no_mask=False, unscaled=False,
    key_first=False, heads_not_transposed=False, heads_reshaped=False, output_map_transposed=False,
    attention_residual_forgotten=False, mlp_residual_forgotten=False, side_by_side=False, norms_after=False,
    norms_forgotten=False, ln_f_forgotten=False, no_epsilon=False, sample_variance=False, exact_gelu=False,
    relu=False, first_layer_only=False, sorted_as_text=False,
) -> Tensor:  # fmt: skip
    T, C = len(ids), state["wte.weight"].shape[1]

    def linear(name: str, x: Tensor) -> Tensor:
        W = state[f"{name}.weight"]
        return x @ (W.t() if output_map_transposed and len(W) == W.shape[1] else W) + state[f"{name}.bias"]

    def norm(name: str, x: Tensor) -> Tensor:
        centered = x - x.mean(-1, keepdim=True)
        root = torch.sqrt(x.var(-1, keepdim=True, correction=int(sample_variance)) + (0.0 if no_epsilon else 1e-5))
        return centered / root * state[f"{name}.weight"] + state[f"{name}.bias"]

    def attention(name: str, x: Tensor) -> Tensor:
        parts = linear(f"{name}.c_attn", x).split(C, -1)
        if heads_reshaped:
            q, k, v = (part.reshape(n_head, T, -1) for part in parts)
        else:
            q, k, v = (part.view(T, n_head, -1).transpose(0, 1) for part in parts)
        q, k = (k, q) if key_first else (q, k)
        scores = q @ k.transpose(-2, -1) / (1.0 if unscaled else math.sqrt(C // n_head))
        later = torch.ones(T, T, dtype=torch.bool).triu(1) & (not no_mask)
        heads = scores.masked_fill(later, -math.inf).softmax(-1) @ v
        heads = heads if heads_not_transposed or heads_reshaped else heads.transpose(0, 1)
        return linear(f"{name}.c_proj", heads.reshape(T, C))

    def mlp(name: str, x: Tensor) -> Tensor:
        u = linear(f"{name}.c_fc", x)
        return linear(f"{name}.c_proj", u.relu() if relu else F.gelu(u, approximate="none" if exact_gelu else "tanh"))

    def part(form, name: str, ln: str, x: Tensor, into: Tensor, residual: bool) -> Tensor:
        """form(LN(x)) on top of `into`, in the order that the switches say."""
        made = form(name, x if norms_after or norms_forgotten else norm(ln, x))
        made = into + made if residual else made
        return norm(ln, made) if norms_after else made

    layers = [name.removesuffix(".ln_1.weight") for name in state if name.endswith("ln_1.weight")]
    layers = sorted(layers) if sorted_as_text else sorted(layers, key=lambda name: int(name[2:]))
    x = state["wte.weight"][ids] + (0.0 if no_positions else state["wpe.weight"][:T])
    for h in layers[:1] if first_layer_only else layers:
        before = x
        x = part(attention, f"{h}.attn", f"{h}.ln_1", x, x, not attention_residual_forgotten)
        x = part(mlp, f"{h}.mlp", f"{h}.ln_2", before if side_by_side else x, x, not mlp_residual_forgotten)
    return (x if ln_f_forgotten else norm("ln_f", x)) @ state["wte.weight"].t()
