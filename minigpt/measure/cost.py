"""What a model costs in bytes and operations. Read with lesson 10."""

from minigpt.config import GPTConfig
from minigpt.learn.loss import CHUNK_BYTES


def training_bytes(config: GPTConfig) -> int:
    """Weights, gradients and Adam's two moments, 4 bytes each: 16 bytes a parameter, before any activation.

    Document B 7.1's "6-12 GB" for 1.5 billion parameters are the weights with some activations; this makes it 25 GB.
    bfloat16 autocast, as used here, keeps all four in float32.
    """
    return 16 * config.parameter_count  # eq 10.1


def activation_bytes(config: GPTConfig, rows: int, T: int, supervised: int, explicit: bool) -> int:
    """What a micro-batch of `rows` rows of T tokens holds between its forward and its backward pass, in float32.

    Of each token, layer and channel torch's kernels keep 16 numbers: of attention its input, the norm's output, q, k, v
    and their mix, of the MLP its input, the norm's output and twice its width of 4. The explicit formulas keep 33, and
    the T weights of each head; the last layer's MLP keeps its share at the supervised tokens only. The logits are there
    three times while their gradient is made: those of a chunk beside the gradient of the embedding, or, explicitly,
    those of every supervised token.
    """
    tokens, V, C = rows * T, config.vocab_size, config.n_embd
    kept = (33 * C + config.n_head * T if explicit else 16 * C) * tokens * config.n_layer
    kept -= (21 if explicit else 9) * C * max(0, tokens - supervised)
    chunk = 3 * CHUNK_BYTES // 4 + V * C
    return 4 * (
        kept
        + (8 if explicit else 3) * tokens * C
        + (3 * supervised * V if explicit else min(3 * supervised * V + V * C, chunk))
    )


def forward_flops(config: GPTConfig, T: int) -> int:
    """Operations (a multiply-add is two) to read T tokens and score each: O(L T^2 C + L T C^2) (document B 8, which
    names the first term only).

    The matrix products take 24 C^2 a token and layer; attention's scores and sums 4 T C, of which the causal mask
    needs half; the head 2 C V.
    """
    C, L, V = config.n_embd, config.n_layer, config.vocab_size
    return T * (L * (24 * C * C + 2 * T * C) + 2 * C * V)  # eq 10.2


def training_flops(config: GPTConfig, T: int) -> int:
    """A backward pass costs two forward passes: one for the inputs' gradients, one for the weights'."""
    return 3 * forward_flops(config, T)


def generation_bytes(config: GPTConfig) -> int:
    """What has to be read from memory to draw one token for each of a few texts: every weight, 4 bytes each.

    Of the positions' table one row is read; `wte` is read whole, as the head.
    """
    return 4 * (config.parameter_count - config.n_ctx * config.n_embd)
