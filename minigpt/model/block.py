"""One layer: attention, then MLP, each with a residual connection. Read with lesson 05."""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from minigpt.config import GPTConfig
from minigpt.model.attention import MultiHeadAttention
from minigpt.model.cache import LayerCache
from minigpt.model.layer_norm import LayerNorm
from minigpt.model.mlp import MLP


class Block(nn.Module):
    """x + Attn(LN(x)), then x + MLP(LN(x)): LayerNorm comes before each part (document D 2.1 does not say where).

    With `at`, the MLP runs at these N positions only, and the result is (N, C).
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.ln_1 = LayerNorm(config.n_embd, config.layer_norm_epsilon)
        self.attn = MultiHeadAttention(config.n_embd, config.n_head, config.dropout)
        self.ln_2 = LayerNorm(config.n_embd, config.layer_norm_epsilon)
        self.mlp = MLP(config.n_embd, config.dropout)

    def forward(
        self,
        x: Float[Tensor, "B T C"],
        cache: LayerCache | None = None,
        mask: Bool[Tensor, "#B 1 T S"] | None = None,
        at: Bool[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "*at C"]:
        x = x + self.attn(self.ln_1(x), cache, mask)  # eq 5.2
        x = x if at is None else x[at]
        return x + self.mlp(self.ln_2(x))  # eq 5.3
