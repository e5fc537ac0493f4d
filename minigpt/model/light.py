"""Lighter weights for a model that is only read: eight bits each, or bfloat16. Read with lesson 16."""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from minigpt.model.embedding import Embedding
from minigpt.model.gpt import GPT
from minigpt.model.linear import Linear
from minigpt.model.low_rank import MAPS, merge

Weights = Literal["float32", "bfloat16", "int8"]

LARGEST = 127  # of eight bits with a sign; -128 is left out, so that both signs reach equally far
BLOCK = 2**19  # weights that are widened at a time on a CPU, whose cache then holds them: twice as many took longer
HAS_KERNEL = torch.cpu._is_vnni_supported()  # whether torch's product of eight-bit integers is fast on this CPU


def rounded(
    W: Float[Tensor, "n_in n_out"], weights: Weights
) -> tuple[Int[Tensor, "n_out n_in"] | Float[Tensor, "n_out n_in"], Float[Tensor, " n_out"]]:
    """q and s with W = s q, to within s / 2: q is an integer from -127 to 127, and s its unit, one for each output.

    In bfloat16, q is W with 8 significant bits, and s is 1. An output's weights are next to each other in memory.
    """
    if weights == "bfloat16":
        return W.t().to(torch.bfloat16, copy=True).contiguous(), W.new_ones(W.shape[1])
    largest = W.abs().amax(0)
    s = torch.where(largest > 0, (largest / LARGEST).clamp(min=torch.finfo(W.dtype).tiny), 1.0)
    return torch.round(W / s).to(torch.int8).t().contiguous(), s


def light(
    x: Float[Tensor, "N n_in"],
    q: Int[Tensor, "n_out n_in"] | Float[Tensor, "n_out n_in"],
    s: Float[Tensor, " n_out"],
    b: Float[Tensor, " n_out"] | float = 0.0,
) -> Float[Tensor, "N n_out"]:
    """x W + b, (N, n_out), of rounded weights: the unit is multiplied once an output, not once a weight."""
    return (x @ q.t().to(x.dtype)) * s + b  # eq 16.5


def light_fast(
    x: Float[Tensor, "N n_in"],
    q: Int[Tensor, "n_out n_in"] | Float[Tensor, "n_out n_in"],
    s: Float[Tensor, " n_out"],
    b: Float[Tensor, " n_out"] | float = 0.0,
) -> Float[Tensor, "N n_out"]:
    """`light` without all of W in float32 in memory; equal to its own rounding: tests/model/test_light.py.

    On a GPU bfloat16 is multiplied in bfloat16, as usual there. Elsewhere the input keeps at least 16 bits.
    """
    if torch.compiler.is_compiling() and len(x) == 1:
        y = (q.to(x.dtype) * x).sum(-1).unsqueeze(0)  # one loop, which reads q once and widens it in registers
    elif q.dtype == torch.int8 and x.device.type == "cpu" and HAS_KERNEL:
        y = of_integers(x, q)
    elif q.dtype == torch.bfloat16 and x.device.type == "cuda":
        y = (x.to(q.dtype) @ q.t()).to(x.dtype)
    else:
        outputs = max(1, BLOCK // q.shape[1]) if x.device.type == "cpu" else len(q)
        y = torch.cat([x @ rows.t().to(x.dtype) for rows in q.split(outputs)], -1)
    return y * s + b  # eq 16.5, fast


def of_integers(x: Float[Tensor, "N n_in"], q: Int[Tensor, "n_out n_in"]) -> Float[Tensor, "N n_out"]:
    """x q^T by torch's exact product of integers: x is rounded to two of them, x = s (high + low / 254).

    A single one would lose as much of x as `rounded` does of W, and nearly all of its channels where one is hundreds of
    times the others, as in GPT-2. With two |error| <= s / 508.
    """
    s = x.abs().amax(-1, keepdim=True).clamp(min=1e-30) / LARGEST
    x = x / s
    high = torch.round(x)
    low = torch.round((x - high) * (2 * LARGEST))
    y = torch._int_mm(torch.cat([high, low]).to(torch.int8), q.t()).to(x.dtype)
    return torch.add(y[len(x) :], y[: len(x)], alpha=2 * LARGEST) * (s / (2 * LARGEST))


class LightLinear(Linear):
    """y = x W + b, with W rounded."""

    def __init__(self, linear: Linear, weights: Weights) -> None:
        nn.Module.__init__(self)
        self.q, self.s = as_parameters(*rounded(linear.weight, weights))
        self.bias = linear.bias
        self.explicit = linear.explicit

    def forward(self, x: Float[Tensor, "*batch n_in"]) -> Float[Tensor, "*batch n_out"]:
        form = light if self.explicit else light_fast
        return form(x.reshape(-1, x.shape[-1]), self.q, self.s, self.bias).view(*x.shape[:-1], len(self.q))


class LightEmbedding(Embedding):
    """The table E, rounded, each row with a unit: the row of an id is s q, and as the head it is a map to V outputs."""

    def __init__(self, embedding: Embedding, weights: Weights) -> None:
        nn.Module.__init__(self)
        self.q, self.s = as_parameters(*rounded(embedding.weight.t(), weights))

    def forward(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch C"]:
        q, s = (torch.index_select(tensor, 0, ids.flatten()) for tensor in (self.q, self.s))
        return (q.to(s.dtype) * s.unsqueeze(-1)).view(*ids.shape, -1)


class LightGPT(GPT):
    """A GPT whose maps and tied table are rounded; `lighten` makes it. It can be read, not trained, nor saved."""

    def logits(self, hidden: Float[Tensor, "*batch C"]) -> Float[Tensor, "*batch V"]:
        """As `GPT.logits`, from the table that the embedding is looked up in, which is there once."""
        form = light if self.is_explicit else light_fast
        rows = form(hidden.reshape(-1, hidden.shape[-1]), self.wte.q, self.wte.s)
        return rows.view(*hidden.shape[:-1], len(self.wte.q))

    def save_pretrained(self, folder: object) -> None:
        """ValueError: no other program reads the format."""
        raise ValueError("A model with rounded weights is not saved; save the model that it was made from.")


def as_parameters(*tensors: Tensor) -> list[nn.Parameter]:
    return [nn.Parameter(tensor, requires_grad=False) for tensor in tensors]


@torch.no_grad()
def lighten(model: GPT, weights: Weights) -> GPT:
    """The model with all maps of its blocks and the tied table rounded to `weights`; with "float32" it is `model`.

    Everything else (positions, LayerNorm, biases, the sums along the residual stream, keys and values) stays float32,
    and is shared with `model`, which does not change. Adapters are merged first.
    """
    if weights == "float32":
        return model
    model = merge(model)
    with torch.device("meta"):  # shapes without memory, as in `GPT.from_pretrained`
        lighter = LightGPT(model.config)
    lighter.load_state_dict(model.state_dict(), assign=True)
    lighter.explicit(model.is_explicit)
    lighter.wte = LightEmbedding(lighter.wte, weights)
    for block in lighter.h:
        for name in MAPS:
            block.set_submodule(name, LightLinear(block.get_submodule(name), weights))
    return lighter.requires_grad_(False).eval()
