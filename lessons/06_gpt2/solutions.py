"""One answer to each exercise of lesson 06."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from minigpt import GPT, GPTConfig


def parameter_count(self: GPTConfig) -> int:
    C = self.n_embd
    attention = C * 3 * C + 3 * C + C * C + C  # c_attn and c_proj
    mlp = C * 4 * C + 4 * C + 4 * C * C + C  # c_fc and c_proj
    norm = 2 * C  # gain and bias
    return (self.vocab_size + self.n_ctx) * C + self.n_layer * (attention + mlp + 2 * norm) + norm


def logits(self: GPT, hidden: Tensor) -> Tensor:
    return hidden @ self.wte.weight.t()


def log_probability(logits: Tensor, ids: Tensor, n_given: int) -> Tensor:
    log_P = logits[n_given - 1 : -1].log_softmax(-1)  # the logits at t score the token at t + 1
    return log_P.gather(-1, ids[n_given:, None]).sum()


def gpt(state: dict[str, Tensor], ids: Tensor, n_head: int) -> Tensor:
    T, C = len(ids), state["wte.weight"].shape[1]

    def linear(name: str, x: Tensor) -> Tensor:
        return x @ state[f"{name}.weight"] + state[f"{name}.bias"]

    def norm(name: str, x: Tensor) -> Tensor:
        return F.layer_norm(x, (C,), state[f"{name}.weight"], state[f"{name}.bias"], 1e-5)

    def attention(name: str, x: Tensor) -> Tensor:
        parts = linear(f"{name}.c_attn", x).split(C, -1)
        q, k, v = (part.view(T, n_head, C // n_head).transpose(0, 1) for part in parts)  # (H, T, D) each
        scores = q @ k.transpose(-2, -1) / math.sqrt(C // n_head)
        later = torch.ones(T, T, dtype=torch.bool).triu(1)
        heads = scores.masked_fill(later, -math.inf).softmax(-1) @ v
        return linear(f"{name}.c_proj", heads.transpose(0, 1).reshape(T, C))

    def mlp(name: str, x: Tensor) -> Tensor:
        return linear(f"{name}.c_proj", F.gelu(linear(f"{name}.c_fc", x), approximate="tanh"))

    x = state["wte.weight"][ids] + state["wpe.weight"][:T]
    for i in range(sum(name.endswith("ln_1.weight") for name in state)):
        x = x + attention(f"h.{i}.attn", norm(f"h.{i}.ln_1", x))
        x = x + mlp(f"h.{i}.mlp", norm(f"h.{i}.ln_2", x))
    return norm("ln_f", x) @ state["wte.weight"].t()
