"""The whole network: ids -> hidden -> logits. Read with lesson 06."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from minigpt.config import GPTConfig
from minigpt.model.attention import MultiHeadAttention
from minigpt.model.block import Block
from minigpt.model.cache import Cache
from minigpt.model.embedding import Embedding, embed
from minigpt.model.layer_norm import LayerNorm
from minigpt.model.linear import Linear, is_few
from minigpt.model.mlp import MLP
from minigpt.pretrained.folder import model_folder, read_config, read_tensors, write_model
from minigpt.pretrained.kinds import check_kind

INIT_STD = 0.02  # OpenAI's, for every weight; the projections back into the residual stream are divided by sqrt(2 L)
INIT_STD_POSITION = 0.01  # OpenAI's, for wpe (openai/gpt-2, src/model.py)
BLOCK = 192  # rows of the embedding at a time in the head of a few texts' generation on a CPU


class GPT(nn.Module):
    """P(x) = prod_t P(x_t | x_<t) (documents B 1 and D 4.1): logits at t score the token at t + 1.

    The attribute names are the official checkpoint's, so the state dict is the official file's, key by key. The head
    is `wte` itself (tied), not a parameter of its own.
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.recompute = False  # in training, keep each block's input alone and run the block again to go back
        self.wte = Embedding(config.vocab_size, config.n_embd)  # E
        self.wpe = Embedding(config.n_ctx, config.n_embd)  # P
        self.drop = nn.Dropout(config.dropout)
        self.h = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.ln_f = LayerNorm(config.n_embd, config.layer_norm_epsilon)
        self.explicit(config.is_small)
        if not self.wte.weight.is_meta:  # from_pretrained assigns the tensors
            self.initialize()

    @torch.no_grad()
    def initialize(self) -> None:
        """OpenAI's random initialization, from torch's global generator (seed it with torch.manual_seed)."""
        for name, parameter in self.named_parameters():
            if name == "wpe.weight":
                parameter.normal_(std=INIT_STD_POSITION)
            elif name.endswith("c_proj.weight"):
                parameter.normal_(std=INIT_STD / math.sqrt(2 * self.config.n_layer))
            elif parameter.dim() == 2:
                parameter.normal_(std=INIT_STD)

    def explicit(self, on: bool) -> "GPT":
        """Run the explicit form of every formula (as a new small model does), or torch's kernels; equal to rounding."""
        self.is_explicit = on
        for part in self.modules():
            if isinstance(part, Linear | LayerNorm | MultiHeadAttention | MLP):
                part.explicit = on
        return self

    def hidden(
        self, ids: Int[Tensor, "B T"], cache: Cache | None = None, at: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "*at C"]:
        """The final hidden state of each position, after ln_f. With a cache, `ids` are the new tokens only.

        With `at`, only of these N output positions, as rows (N, C): the last block's MLP skips the others.
        Raises ValueError for an empty row, more than n_ctx positions, or an id outside the vocabulary.
        """
        self.check(ids)
        if cache is None:
            positions, mask = torch.arange(ids.shape[1], device=ids.device).unsqueeze(0), None
        else:
            positions, mask = cache.append(ids.shape[1])
        x = self.drop(embed(self.wte, self.wpe, ids, positions))
        for block, layer in zip(self.h, cache.layers if cache else [None] * len(self.h), strict=True):
            run = partial(checkpoint, block, use_reentrant=False) if self.recompute and self.training else block
            x = run(x, layer, mask, at if block is self.h[-1] else None)
        return self.ln_f(x)

    def logits(self, hidden: Float[Tensor, "*batch C"]) -> Float[Tensor, "*batch V"]:
        """A score for each token of the vocabulary: how well the hidden vector matches its embedding."""
        E = self.wte.weight
        rows = hidden.reshape(-1, hidden.shape[-1])
        if self.is_explicit or not is_few(rows):
            return hidden @ E.t()  # eq 6.2
        if torch.compiler.is_compiling() and len(rows) == 1:
            return (E * rows).sum(-1).view(*hidden.shape[:-1], len(E))  # as in `linear_fast`
        end = len(E) // BLOCK * BLOCK  # the blocks up to here are shared by the cores, as in `linear_fast`
        scores = E[:end].unflatten(0, (-1, BLOCK)) @ rows.t().expand(end // BLOCK, -1, -1)  # eq 6.2, fast
        return torch.cat([scores.flatten(0, 1).t(), rows @ E[end:].t()], -1).view(*hidden.shape[:-1], len(E))

    def forward(
        self,
        ids: Int[Tensor, "B T"],
        cache: Cache | None = None,
        at: Bool[Tensor, "B T"] | None = None,
        head_loss: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> Float[Tensor, "*shape"]:
        """Logits (B, T, V), or with `at` (N, V). The only way into the model in training, generation and evaluation.

        `head_loss(hidden, E)` replaces the head: head and loss in one, without all logits in memory at once.
        """
        if head_loss is not None:
            return head_loss(self.hidden(ids, cache, at), self.wte.weight)
        return self.logits(self.hidden(ids, cache, at))  # eq 6.1

    @classmethod
    def from_pretrained(cls, name: str | Path) -> "GPT":
        """The model in `weights/<name>` (a size's name) or in any folder in Hugging Face's GPT-2 layout, in float32.

        UserError for a folder or file that is missing, broken, or does not contain exactly a GPT-2's tensors, and for a
        reward model.
        """
        folder = model_folder(name)
        check_kind(folder, reward=False)
        with torch.device("meta"):  # shapes without memory: the tensors of the file become the parameters
            model = cls(read_config(folder))
        model.load_state_dict(read_tensors(folder, model.state_dict()), assign=True)
        return model.eval()

    def save_pretrained(self, folder: str | Path) -> None:
        """config.json and model.safetensors, which transformers.GPT2LMHeadModel.from_pretrained loads too."""
        write_model(Path(folder), self.config, self.state_dict())

    def check(self, ids: Int[Tensor, "B T"]) -> None:
        """Raise a clear error for what torch would reject inside an index kernel."""
        if not isinstance(ids, Tensor) or ids.dim() != 2 or ids.is_floating_point():
            raise ValueError("GPT reads an integer tensor (B, T): torch.tensor([ids]). `generate` takes a plain list.")
        if (T := ids.shape[1]) == 0:
            raise ValueError("There is no token to read; give at least one (<|endoftext|> starts an empty text).")
        if self.config.n_ctx < T:
            raise ValueError(f"{T} tokens do not fit into this model's context of {self.config.n_ctx}.")
        # On a GPU the comparison would wait for all queued work; its index kernel checks the bounds itself.
        if ids.device.type == "cpu" and not torch.compiler.is_compiling():
            low, high, V = *ids.aminmax(), self.config.vocab_size
            if low < 0 or high >= V:
                raise ValueError(f"The id {int(low if low < 0 else high)} is outside the vocabulary of {V} tokens.")

    @property
    def device(self) -> torch.device:
        return self.wpe.weight.device


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Turn dropout off inside this context."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
