"""Lesson 06's grader: what is asked for, on which numbers, and the hint for each typical mistake."""

from collections.abc import Callable
from functools import cache

import torch

from lessons.harness.grade import Exercise
from lessons.tiny import IDS, paper_model
from minigpt import GPT, GPTConfig


class State(dict):
    """A state dict that can be compared."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, State) and self.keys() == other.keys() and all(
            torch.equal(self[name], other[name]) for name in self
        )  # fmt: skip


class Model(GPT):
    """A GPT-2 that can be compared: equal if its tensors are."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and State(self.state_dict()) == State(other.state_dict())

    __hash__ = GPT.__hash__


@cache
def random_model(dtype: torch.dtype = torch.float64, noise: float = 0.5, **changes: int) -> Model:
    """Every bias and gain away from 0 and 1, so that each of them matters."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Model(GPTConfig.named("tiny", **changes)).to(dtype).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += noise * torch.randn_like(parameter)
    return model


def count_cases() -> list[tuple]:
    sizes = [GPTConfig.named(name) for name in ("gpt2", "gpt2-large")]
    return [(paper_model().config,), *((size,) for size in sizes), (GPTConfig.named("tiny", n_padding_rows=4),)]


@cache
def logits_cases() -> list[tuple]:
    model = random_model(vocab_size=7, n_ctx=7, n_embd=4, n_head=2, n_layer=1, bos_token_id=0)
    draw = torch.Generator().manual_seed(0)
    return [(model, torch.randn(*shape, 4, dtype=torch.float64, generator=draw)) for shape in ((3,), (2, 5))]


def learns_through_E(mine: Callable) -> str | None:
    """One storage: the head's gradient has to arrive in the embedding."""
    model, hidden = logits_cases()[0]
    answer = mine(model, hidden)
    slope = torch.autograd.grad(answer.sum(), model.wte.weight, allow_unused=True)[0] if answer.requires_grad else None
    if slope is not None and torch.allclose(slope, hidden.sum(0).expand_as(slope)):
        return None
    return "logits is right, but E does not learn through it: use self.wte.weight itself, not a copy of it."


@cache
def log_probability_cases() -> list[tuple]:
    text = [*IDS, 3]
    paper = paper_model().double()(torch.tensor([text]))[0].detach()
    draw = torch.Generator().manual_seed(0)
    wide, ids = torch.randn(6, 9, dtype=torch.float64, generator=draw), torch.tensor([2, 7, 0, 8, 3, 5])
    return [(paper, torch.tensor(text), 1), (wide, ids, 3), (wide, ids, 5)]


@cache
def gpt_cases() -> list[tuple]:
    """The paper model; then one with so many layers that the order of their names as text is not theirs."""
    shape = dict(vocab_size=9, n_ctx=8, n_embd=8, n_head=4, n_layer=11, bos_token_id=0)
    states = [State(model.state_dict()) for model in (paper_model().double(), random_model(**shape))]
    return [(states[0], torch.tensor(IDS), 2), (states[1], torch.tensor([3, 1, 4, 1, 5, 8]), 4)]


def compare_with_the_model(mine: Callable) -> str | None:
    """GPT itself, in float32, on every token of its vocabulary."""
    model = random_model(torch.float32, 0.05, n_embd=48)
    ids = torch.randperm(260, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        off = (mine(dict(model.state_dict()), ids, 4) - model(ids[None])[0]).abs().max().item()
    return None if off <= 1e-5 else f"gpt is right on small models; on one of 48 channels a logit is off by {off:.1e}."


EXERCISES = [
    Exercise("parameter_count", "turtle", 10, count_cases, {
        "head_counted": "You counted the head. It is the embedding itself, so it adds nothing.",
        "no_positions": "The table of positions is missing: n_ctx rows of C numbers are learned too.",
        "one_layer": "You counted one block; there are n_layer of them.",
        "ln_f_forgotten": "The last LayerNorm, ln_f, is missing: a gain and a bias of C numbers each.",
        "map_biases_forgotten": "The four maps of a block have biases: 3 C + C in attention, 4 C + C in the MLP.",
        "norms_forgotten": "The two LayerNorms of a block are missing: 4 C numbers.",
        "norm_biases_forgotten": "A LayerNorm has a bias beside its gain: 2 C numbers.",
        "output_map_forgotten": "Attention has four square maps, not three: W_O and its bias are missing.",
        "one_mlp_map": "The MLP has two maps: C to 4 C, and back again.",
        "once_per_head": "You counted attention once for each head. The heads share the C columns: how many there are "
        "changes nothing.",
        "mask_counted": "You counted the causal mask. Nothing of it is learned; it is the same for every GPT-2.",
        "padding_left_out": "You counted only the rows that are tokens. Padding rows are learned numbers as well: use "
        "vocab_size.",
    }, places=("minigpt.config.GPTConfig.parameter_count.fget",)),
    Exercise("logits", "turtle", 5, logits_cases, {
        "probabilities": "You gave probabilities. Logits are the scores before the softmax.",
        "log_probabilities": "You gave logarithms of probabilities. Logits are the scores before the softmax.",
        "divided": "You divided by sqrt(C). That belongs to attention; GPT-2's head takes the products as they are.",
        "normalized_again": "You applied ln_f, but `hidden` comes from it already.",
        "positions_taken": "You compared with the table of positions, wpe. The head is the table of tokens, wte.",
        "last_only": "You scored the last position only. Every position predicts its next token.",
    }, places=("minigpt.model.gpt.GPT.logits",), judge=learns_through_E),
    Exercise("log_probability", "dog", 15, log_probability_cases, {
        "not_shifted": "You read the logits at t for the token at t. A position predicts the *next* token: the token "
        "at t is scored by the logits at t - 1.",
        "question_counted": "You counted the question's tokens too; they are given, so only the answer has factors.",
        "first_left_out": "The answer's first token is missing. It is scored at the last position of the question.",
        "last_left_out": "The answer's last token is missing. It is scored at the position before it.",
        "mean": "You took the mean; the logarithm of a product is the sum.",
        "no_logarithm": "You gave the probability; its logarithm is asked for.",
        "no_softmax": "You added the logits as they are. Scores become probabilities by a softmax first.",
        "base_2": "You took logarithms to the base 2; here they are natural.",
        "negative": "Your sign is turned around: the logarithm of a probability is at most 0.",
        "over_positions": "Your softmax runs over the positions. At each position the V tokens share 1: that is the "
        "last axis.",
    }),
    Exercise("gpt", "lion", 30, gpt_cases, {
        "no_positions": "The positions are missing: x begins as E[ids] + P[0], ..., P[T - 1].",
        "no_mask": "Your positions see what comes after them; mask the scores before the softmax.",
        "unscaled": "The scores of attention have to be divided by sqrt(D), D = C / n_head.",
        "key_first": "You took the first C columns of c_attn as keys; they are the queries, then come the keys.",
        "heads_not_transposed": "Put the heads side by side again before c_proj: from (H, T, D) back to (T, H, D), "
        "then (T, C).",
        "heads_reshaped": "You reshaped (T, C) to (H, T, D) in one go, which mixes positions: first (T, H, D), then "
        "swap.",
        "output_map_transposed": "attn.c_proj.weight is transposed. It is square, so nothing complains: GPT-2 stores "
        "(in, out), torch.nn.Linear (out, in).",
        "attention_residual_forgotten": "Attention's result is added to x; yours takes its place.",
        "mlp_residual_forgotten": "The MLP's result is added to x; yours takes its place.",
        "side_by_side": "Your MLP reads x as it was before attention. It comes after: it reads the sum.",
        "norms_after": "Your LayerNorms stand after the sums. GPT-2 normalizes what a part reads, never x itself.",
        "norms_forgotten": "The LayerNorms inside the blocks are missing.",
        "ln_f_forgotten": "ln_f is missing: the head reads normalized vectors.",
        "no_epsilon": "LayerNorm adds epsilon, 1e-5, to the variance, inside the root.",
        "sample_variance": "LayerNorm divides the sum of squares by C, not by C - 1 (torch's var has correction=1).",
        "exact_gelu": "That is the exact GELU. GPT-2 was trained with the tanh form: approximate='tanh'.",
        "relu": "GPT-2's MLP has a GELU, not a ReLU.",
        "first_layer_only": "You ran the first block only.",
        "sorted_as_text": "Your layers come in the order of their names as text, where h.10 stands before h.2.",
    }, judge=compare_with_the_model),
]  # fmt: skip
