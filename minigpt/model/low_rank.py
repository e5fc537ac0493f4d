"""Low-rank adaptation: a small change to each map is learned, its weights stay. Read with lesson 16."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from minigpt.model.embedding import Embedding
from minigpt.model.gpt import GPT
from minigpt.model.linear import Linear
from minigpt.pretrained.adapter import Adapter

MAPS = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")  # of each block


class LowRankLinear(Linear):
    """y = x W + b + (alpha / r) (x A) B, with A (n_in, r) and B (r, n_out): Hu et al., "LoRA" (2021).

    W and b are those of `whole`, frozen. A is drawn from torch's global generator, uniform in ±1/sqrt(n_in), and B is
    0, so that the first y is that of W and b alone.
    """

    def __init__(self, whole: Linear, rank: int, alpha: float) -> None:
        nn.Module.__init__(self)
        (n_in, n_out), like = whole.weight.shape, dict(device=whole.weight.device, dtype=whole.weight.dtype)
        self.weight, self.bias = whole.weight.requires_grad_(False), whole.bias.requires_grad_(False)
        self.A = nn.Parameter(torch.empty(n_in, rank, **like).uniform_(-1, 1) / math.sqrt(n_in))
        self.B = nn.Parameter(torch.zeros(rank, n_out, **like))
        self.rank, self.alpha, self.scale = rank, alpha, alpha / rank
        self.explicit = whole.explicit

    def forward(self, x: Float[Tensor, "*batch n_in"]) -> Float[Tensor, "*batch n_out"]:
        # x A first: A B would be as large as W.
        return Linear.forward(self, x) + self.scale * (x @ self.A @ self.B)  # eq 16.1

    @torch.no_grad()
    def merged(self) -> Float[Tensor, "n_in n_out"]:
        """W + (alpha / r) A B, the product as PEFT forms it: its merge gives the same bytes."""
        return self.weight + (self.B.t() @ self.A.t()).t() * self.scale


class GrownEmbedding(Embedding):
    """E = [E_old; E_new; padding] of which E_new alone is learned: the rows of tokens that the model did not know.

    They all start from the same row, so while they are frozen no hidden state can tell one new token from another.
    The head is tied to the same E.
    """

    def __init__(self, E: Float[Tensor, "V C"], new_rows: int, padding: int = 0) -> None:
        nn.Module.__init__(self)
        self.first = len(E) - padding - new_rows
        old, new, rest = E.detach().split([self.first, new_rows, padding])
        self.old = nn.Parameter(torch.cat([old, rest]), requires_grad=False)
        self.new = nn.Parameter(new.clone())

    @property
    def weight(self) -> Float[Tensor, "V C"]:
        return torch.cat([self.old[: self.first], self.new, self.old[self.first :]])


def adapt(model: GPT, rank: int, alpha: float, new_rows: int = 0, padding: int = 0) -> GPT:
    """Freeze the model, in place, but for low-rank changes to the four maps of each block; at first it is the same.

    The last `new_rows` rows of the embedding before `padding` unused ones are learned too. Draws A from torch's global
    generator (seed it with torch.manual_seed); shapes alone on the device "meta".
    """
    model.requires_grad_(False)
    for block in model.h:
        for name in MAPS:
            block.set_submodule(name, LowRankLinear(block.get_submodule(name), rank, alpha))
    if new_rows:
        model.wte = GrownEmbedding(model.wte.weight, new_rows, padding)
    return model


def is_adapted(model: nn.Module) -> bool:
    """Whether a part of the model is a frozen one with something learned beside it."""
    return any(isinstance(module, LowRankLinear | GrownEmbedding) for module in model.modules())


@torch.no_grad()
def merge(model: nn.Module) -> nn.Module:
    """The plain GPT that computes the same, with W + (alpha / r) A B for W; its other tensors are the model's own.

    A model without adapters is returned itself.
    """
    if not is_adapted(model):
        return model
    with torch.device("meta"):  # shapes without memory: the tensors below become the parameters
        plain = GPT(model.config)
    tensors = {}
    for name in plain.state_dict():
        owner, _, own = name.rpartition(".")
        module = model.get_submodule(owner)
        is_changed = own == "weight" and isinstance(module, LowRankLinear)
        # Detached, as `assign` would set whether the model's own parameters need a gradient.
        tensors[name] = module.merged() if is_changed else getattr(module, own).detach()
    plain.load_state_dict(tensors, assign=True)
    return plain.explicit(model.is_explicit).train(model.training)


def adapter_of(model: GPT, base: str) -> Adapter:
    """What an adapted model has learned beside the weights of `base`, for `pretrained.adapter.write_peft`."""
    layers = {name: module for name, module in model.named_modules() if isinstance(module, LowRankLinear)}
    [(rank, alpha)] = {(layer.rank, layer.alpha) for layer in layers.values()}
    maps = {name: (layer.A.detach(), layer.B.detach()) for name, layer in layers.items()}
    if not isinstance(model.wte, GrownEmbedding):
        return Adapter(base, rank, alpha, maps)
    first, rows = model.wte.first, model.wte.new.detach()
    return Adapter(base, rank, alpha, maps, tuple(range(first, first + len(rows))), rows)


@torch.no_grad()
def put(adapter: Adapter, model: GPT) -> GPT:
    """Put an adapter into the plain model that it is for, in place; `merge` gives the plain one that computes the same.

    The model's vocabulary must have room for its tokens.
    """
    for name, (A, B) in adapter.maps.items():
        layer = LowRankLinear(model.get_submodule(name), adapter.rank, adapter.alpha)
        layer.A, layer.B = nn.Parameter(A), nn.Parameter(B)
        model.set_submodule(name, layer)
    if adapter.table is not None:
        model.wte.weight = nn.Parameter(adapter.table)
    if adapter.rows is not None:
        E = model.wte.weight.clone()  # the model's may be a file's pages
        E[list(adapter.tokens)] = adapter.rows
        model.wte.weight = nn.Parameter(E)
    return model
