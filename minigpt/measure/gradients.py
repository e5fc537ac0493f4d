"""How the gradient splits between instruction and response (document B 3.1, 5.1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from minigpt.learn.batches import collate
from minigpt.learn.trainer import supervised_token_nll
from minigpt.model.gpt import GPT
from minigpt.text.examples import Example

Reduction = Literal["sum", "mean over tokens", "mean over examples"]
REDUCTIONS: tuple[Reduction, ...] = get_args(Reduction)


@dataclass(frozen=True)
class GradientParts:
    """The norms of the whole gradient and of its two parts, and the cosine between the parts."""

    whole: float
    instruction: float
    response: float
    cosine: float

    @property
    def response_share(self) -> float:
        """|g_R| / (|g_Q| + |g_R|)."""
        return self.response / (self.instruction + self.response)


def gradient_parts(model: GPT, examples: Sequence[Example], reduction: Reduction) -> GradientParts:
    """The gradient of the loss over every token, split into instruction and response: g = g_Q + g_R.

    L = sum over rows i and tokens t of w_i NLL(x_it), with w_i = 1 for the sum, 1 / (all tokens) for the mean over
    tokens, and 1 / (rows T_i) for the mean over examples. R are the supervised tokens of `examples`, Q the others;
    masking the instruction, as training does, leaves g_R alone. Computed row by row, to save memory.
    """
    rows = [example for example in examples if len(example.ids) > 1]
    tokens = sum(len(example.ids) - 1 for example in rows)
    weights = {
        "sum": [1.0 for _ in rows],
        "mean over tokens": [1.0 / tokens for _ in rows],
        "mean over examples": [1.0 / (len(rows) * (len(example.ids) - 1)) for example in rows],
    }[reduction]
    parameters = list(model.parameters())
    parts = [torch.zeros(sum(p.numel() for p in parameters), device=model.device) for _ in range(2)]
    for example, weight in zip(rows, weights, strict=True):
        supervised = torch.tensor(example.supervised[1:], device=model.device)
        nll = supervised_token_nll(model, collate([example.supervise_all()], model.device))
        for part, chosen in zip(parts, (~supervised, supervised), strict=True):
            if chosen.any():
                gradients = torch.autograd.grad(weight * nll[chosen].sum(), parameters, retain_graph=True)
                part += flat(gradients)
    g_Q, g_R = parts
    norm_Q, norm_R = g_Q.norm().item(), g_R.norm().item()
    cosine = (g_Q @ g_R).item() / (norm_Q * norm_R) if norm_Q and norm_R else 0.0
    return GradientParts((g_Q + g_R).norm().item(), norm_Q, norm_R, cosine)  # eq 13.2


def flat(gradients: Sequence[Tensor]) -> Float[Tensor, " P"]:
    return torch.cat([gradient.flatten() for gradient in gradients])
