"""Memory and operations of a model."""

from minigpt.config import GPTConfig
from minigpt.learn.loss import CHUNK_BYTES


def training_bytes(config: GPTConfig) -> int:
    """Weights, gradients and Adam's two moments, 4 bytes each: 16 bytes per parameter, without activations.

    Document B 7.1's "6-12 GB" for 1.5 billion parameters are the weights with some activations; this makes it 25 GB.
    bfloat16 autocast, as used here, keeps all four in float32.
    """
    return 16 * config.parameter_count  # eq 10.1


def activation_bytes(config: GPTConfig, rows: int, T: int, supervised: int, explicit: bool) -> int:
    """Bytes kept between the forward and backward pass of a micro-batch of `rows` rows of T tokens, in float32.

    Per token, layer and channel torch's kernels keep 16 numbers: in attention the input, the norm's output, q, k, v
    and the weighted sum; in the MLP the input, the norm's output and twice the hidden layer, 4 wide. The explicit
    formulas keep 33, and each head's T weights; the last layer's MLP keeps its part at the supervised tokens only.
    While their gradient is computed, the logits of one chunk exist three times, beside the embedding's gradient; in
    the explicit form those of every supervised token exist five times.
    """
    tokens, V, C = rows * T, config.vocab_size, config.n_embd
    kept = (33 * C + config.n_head * T if explicit else 16 * C) * tokens * config.n_layer
    kept -= (21 if explicit else 9) * C * max(0, tokens - supervised)
    chunk = 3 * CHUNK_BYTES // 4 + V * C
    return 4 * (
        kept
        + (8 if explicit else 3) * tokens * C
        + (5 * supervised * V if explicit else min(3 * supervised * V + V * C, chunk))
    )


def forward_flops(config: GPTConfig, T: int) -> int:
    """Operations (a multiply-add is two) of a forward pass over T tokens: O(L T^2 C + L T C^2) (document B 8, which
    names the first term only).

    Per token and layer, the matrix products take 24 C^2, attention's scores and sums 4 T C, of which the causal mask
    needs half; the head takes 2 C V per token.
    """
    C, L, V = config.n_embd, config.n_layer, config.vocab_size
    return T * (L * (24 * C * C + 2 * T * C) + 2 * C * V)  # eq 10.2


def training_flops(config: GPTConfig, T: int) -> int:
    """Operations of a forward and a backward pass, which costs two forward passes: gradients of inputs and weights."""
    return 3 * forward_flops(config, T)


def generation_bytes(config: GPTConfig) -> int:
    """Bytes read from memory in one decoding step of a few texts: every weight, 4 bytes each.

    Only one row of `wpe` is read; `wte` is read whole, as the head.
    """
    return 4 * (config.parameter_count - config.n_ctx * config.n_embd)
