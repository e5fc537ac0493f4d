"""Our model and transformers' with the same random weights."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel

from minigpt import GPT, GPTConfig


class Pair(NamedTuple):
    ours: GPT
    theirs: GPT2LMHeadModel


def reference_config(config: GPTConfig) -> GPT2Config:
    """The same shape as transformers names it; its attention as equations, so that the two share no kernel."""
    return GPT2Config(
        vocab_size=config.vocab_size, n_positions=config.n_ctx, n_embd=config.n_embd, n_head=config.n_head,
        n_layer=config.n_layer, layer_norm_epsilon=config.layer_norm_epsilon, bos_token_id=config.bos_token_id,
        eos_token_id=config.bos_token_id, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, attn_implementation="eager",
    )  # fmt: skip


def make_pair(config: GPTConfig, noise: float) -> Pair:
    """Two models with equal weights of their own; `noise` moves biases and gains off 0 and 1, so that each matters."""
    torch.manual_seed(0)
    ours = GPT(config).eval()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=noise)
    with torch.device("meta"):
        theirs = GPT2LMHeadModel(reference_config(config)).eval()
    weights = {f"transformer.{name}": tensor.clone() for name, tensor in ours.state_dict().items()}
    theirs.load_state_dict(weights | {"lm_head.weight": weights["transformer.wte.weight"]}, assign=True)
    theirs.tie_weights()
    return Pair(ours, theirs)


def random_ids(config: GPTConfig, B: int, T: int, seed: int = 1) -> Tensor:
    return torch.randint(config.vocab_size, (B, T), generator=torch.Generator().manual_seed(seed))


def next_token_loss(logits: Tensor, ids: Tensor) -> Tensor:
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


def largest_difference(ours: Tensor, theirs: Tensor) -> float:
    return (ours - theirs).abs().max().item()
