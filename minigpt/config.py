"""A GPT-2's configuration, and the named sizes. Read with lesson 06."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GPTConfig:
    """The numbers that define a GPT-2's tensors; the field names are those of the official config.json.

    The defaults are GPT-2 small. `dropout` is the official resid_pdrop, embd_pdrop and attn_pdrop,
    which are one number in every published GPT-2; it applies in training only.
    """

    vocab_size: int = 50257  # V
    n_ctx: int = 1024  # the longest T; T_max in the documents
    n_embd: int = 768  # C; d_model
    n_head: int = 12  # H; h
    n_layer: int = 12  # L
    dropout: float = 0.0
    layer_norm_epsilon: float = 1e-5
    bos_token_id: int = 50256  # <|endoftext|>, where a text without a prompt begins
    n_padding_rows: int = 0  # rows at the end of the vocabulary that belong to no token and are never sampled
    eos_token_id: int | tuple[int, ...] | None = None  # what ends a text or an answer; None: bos_token_id does
    pad_token_id: int | None = None  # for other programs: padding is masked by position here

    def __post_init__(self) -> None:
        for name in ("vocab_size", "n_ctx", "n_embd", "n_head", "n_layer"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} is {value!r}; it must be a whole number of at least 1.")
        if self.n_embd % self.n_head:
            raise ValueError(
                f"n_embd is {self.n_embd} and n_head is {self.n_head}; the heads must share the channels evenly."
            )
        if not isinstance(self.n_padding_rows, int) or not 0 <= self.n_padding_rows < self.vocab_size:
            raise ValueError(
                f"n_padding_rows is {self.n_padding_rows!r}; it must be a whole number from 0 and below vocab_size."
            )
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout is {self.dropout!r}; it must be at least 0 and below 1.")
        if not self.layer_norm_epsilon > 0.0:
            raise ValueError(f"layer_norm_epsilon is {self.layer_norm_epsilon!r}; it must be above 0.")

    @classmethod
    def named(cls, name: str, **changes: int | float) -> "GPTConfig":
        """The size called `name`, with `changes` to single fields; ValueError for a name that is not in SIZES."""
        if name not in SIZES:
            raise ValueError(f"There is no size called {name!r}; the sizes are {', '.join(SIZES)}.")
        return cls(**{**SIZES[name], **changes})

    @property
    def tokens(self) -> int:
        """Number of tokens: the rows of the vocabulary in use."""
        return self.vocab_size - self.n_padding_rows

    @property
    def is_small(self) -> bool:
        """Narrower than the smallest official GPT-2: speed matters less here than running the explicit formulas."""
        return self.n_embd < SIZES["gpt2"]["n_embd"]

    @property
    def head_width(self) -> int:
        """D, the channels of one head; d_k in the documents. 64 in all four official sizes."""
        return self.n_embd // self.n_head

    @property
    def parameter_count(self) -> int:
        """Number of parameters: embeddings, L blocks and the last LayerNorm; the tied head adds none.

        A block has 4 C^2 in attention and 8 C^2 in the MLP, and 13 C of biases and LayerNorm gains.
        """
        V, C, L = self.vocab_size, self.n_embd, self.n_layer
        return V * C + self.n_ctx * C + L * (12 * C * C + 13 * C) + 2 * C  # eq 6.3


SIZES: dict[str, dict[str, int]] = {
    "gpt2": dict(n_embd=768, n_head=12, n_layer=12),
    "gpt2-medium": dict(n_embd=1024, n_head=16, n_layer=24),
    "gpt2-large": dict(n_embd=1280, n_head=20, n_layer=36),
    "gpt2-xl": dict(n_embd=1600, n_head=25, n_layer=48),
    # For a laptop: about a million parameters with byte tokens. Wide and shallow, because a few large matrix products
    # are faster on a CPU than many small ones; two layers are the fewest in which attention can build on attention.
    "tiny": dict(vocab_size=260, n_ctx=512, n_embd=192, n_head=4, n_layer=2, bos_token_id=256),
}
