"""Memory and operations of a model."""

from dataclasses import dataclass
from typing import Literal

from minigpt.config import GPTConfig
from minigpt.learn.loss import CHUNK_BYTES


def training_bytes(config: GPTConfig) -> int:
    """Weights, gradients and Adam's two moments, 4 bytes each: 16 bytes per parameter, without activations.

    Document B 7.1's "6-12 GB" for 1.5 billion parameters are the weights with some activations; this makes it 25 GB.
    bfloat16 autocast, as used here, keeps all four in float32.
    """
    return 16 * config.parameter_count  # eq 10.1


@dataclass(frozen=True)
class Step:
    """An optimizer step of one process, as far as its memory goes: the model, and the largest micro-batch, of `rows`
    rows of T tokens, of which `supervised` in all are supervised.

    `accumulating`: gradients, or the buffers in which processes exchange them, are there before the backward pass.
    `logits` says of how many supervised tokens they exist at once. `rank` is that of low-rank changes to frozen
    weights, beside which `new_rows` of the embedding are learned. Weights, gradients and moments are in `parts` parts.
    """

    config: GPTConfig
    rows: int
    T: int
    supervised: int
    explicit: bool
    accumulating: bool = False
    recompute: bool = False
    bfloat16: bool = False
    logits: Literal["few", "all", "none"] = "few"
    rank: int | None = None
    new_rows: int = 0
    parts: int = 1

    @property
    def learned(self) -> int:
        """P_l: every parameter, or those of the changes, r (n_in + n_out) for each map, and of the new rows."""
        C, L = self.config.n_embd, self.config.n_layer
        return self.config.parameter_count if self.rank is None else 16 * self.rank * C * L + self.new_rows * C

    @property
    def held(self) -> int:
        """Bytes of this process's part of the weights, and of gradients and moments of the learned ones."""
        P, P_l = self.config.parameter_count, self.learned
        P += 0 if self.rank is None else P_l - self.new_rows * self.config.n_embd
        return (4 * P + 12 * P_l) // self.parts  # eq 16.3

    @property
    def gathered(self) -> int:
        """Bytes of the weights that are put together from all parts at a time: the embeddings and two layers, and of
        frozen ones, which torch's engine was seen to keep until the end of the step, all."""
        C, L, P = self.config.n_embd, self.config.n_layer, self.config.parameter_count
        others = 0 if self.rank else max(0, L - 2) * (12 * C * C + 13 * C)
        return 4 * (P - others) if self.parts > 1 else 0

    @property
    def kept(self) -> int:
        """Bytes that the layers keep between the forward and the backward pass, in float32.

        The last layer's MLP and the norm after it run at the supervised tokens only. Recomputing keeps the input of
        each layer.
        """
        n, N, C, L = self.rows * self.T, self.supervised, self.config.n_embd, self.config.n_layer
        attention, mlp, norm = self._layer
        whole = n * (attention + mlp) * (L - 1) + n * attention + N * mlp
        whole -= n * norm if self.rank and not self.new_rows else 0  # nothing before the first layer is learned
        numbers = n * C * L if self.recompute else whole  # eq 16.4
        return 4 * (numbers + N * norm + (n * C if self.config.dropout else 0))

    @property
    def _layer(self) -> tuple[int, int, int]:
        """Numbers of 4 bytes that are kept for a token, of a layer's attention and of its MLP, each with the norm
        before it, and of a norm alone.

        By torch's kernels a norm and a map keep what they read, attention keeps q, k, v and the weighted sum, GELU its
        input. Explicit formulas keep intermediate results too, and each head's T weights. Under bfloat16 autocast
        all but the stream takes half. Dropout keeps its masks, and on a CPU torch's attention then keeps tables of
        weights as the explicit one does, of which there are three.
        """
        C, tables = self.config.n_embd, self.config.n_head * self.T
        if self.explicit:
            norm = 2 * C if self.rank else 3 * C  # a frozen gain needs no normalized vector
            attention, mlp = norm + 5 * C + tables, norm + 21 * C
        else:
            norm = C
            attention, mlp = (7 * C // 2, 11 * C // 2) if self.bfloat16 else (6 * C, 10 * C)
        if self.config.dropout:
            attention, mlp = attention + C + 2 * tables + (0 if self.explicit else tables + 2 * C), mlp + C
        return attention, mlp, norm

    @property
    def activations(self) -> int:
        """Bytes at the moment of the loss, beside what is held: `kept`, and the more of the logits with the embedding's
        gradient, and of what the backward pass through the last layer, or through one that is recomputed, needs."""
        return self.kept + 4 * max(self._head, self._backward) + self._casts

    @property
    def _embedding(self) -> int:
        """Numbers of the gradient that the embedding has from the head: all, also where only new rows are learned, or
        none."""
        learned = self.logits != "none" and (self.rank is None or self.new_rows)
        return self.config.vocab_size * self.config.n_embd if learned else 0

    @property
    def _head(self) -> int:
        """A chunk's logits exist twice, beside the gradients of the hidden vectors and the embedding (which, where it
        has new rows, is put together); all logits three times, and five times in the explicit form."""
        V, C, N = self.config.vocab_size, self.config.n_embd, self.supervised
        if self.logits == "none":
            return 0
        if self.explicit or self.logits == "all":
            return (5 if self.explicit else 3) * N * V
        some = min(N, max(1, CHUNK_BYTES // (4 * V)))
        E = self._embedding * (2 if self.rank else 1)
        if self.bfloat16:  # the table, and its gradient's terms, in the lower precision and widened again
            return E + 2 * N * C + (V * C + max(5 * some * V, 3 * (some * V + (V * C if E else 0)))) // 2
        return E + 2 * N * C + 2 * some * V

    @property
    def _backward(self) -> int:
        """Numbers beside `kept` while the backward pass is in the last layer, or in one that is run again."""
        C, L, n = self.config.n_embd, self.config.n_layer, self.rows * self.T
        attention, mlp, _ = self._layer
        weights = 0 if self.rank else 4 * C * C if self.accumulating else 12 * C * C  # gradients of the last layer's
        last = self._through(self.supervised)
        if not self.recompute:
            return self._embedding + last - n * attention - self.supervised * mlp + weights
        return self._embedding + max(last, self._through(n) - n * C if L > 1 else 0) - n * C + weights

    def _through(self, positions: int) -> int:
        """The most numbers, beside other layers', while the backward pass is in a layer whose MLP had so many
        positions: first in the MLP, then in the attention."""
        C, n = self.config.n_embd, self.rows * self.T
        attention, mlp, _ = self._layer
        passing = (8 if self.explicit or (self.rank and self.recompute) else 5) * C
        tables = self.config.n_head * self.T * (2 if self.explicit else 1 if self.config.dropout else 0)
        return n * attention + max(positions * (mlp + passing), n * (tables + (2 if tables else 6) * C))

    @property
    def peak(self) -> int:
        """Bytes of tensors at the peak of the step: at the loss; at the end of the backward pass, where the tied
        table's two gradients meet, or in the first layer; or in the explicit form's update of the largest tensor."""
        C, E, held = self.config.n_embd, self._embedding, self.held + self.gathered
        gradients = 0 if self.accumulating else 4 * self.learned // self.parts
        loss = held - gradients + self.activations
        # Of parts, the whole gradient and a copy of it to be sent meet, and its part with the earlier one.
        meeting = E + self.accumulating * E // self.parts + (E if self.parts > 1 else 0)
        end = held + 4 * max(meeting, self._through(self.rows * self.T)) + self._casts
        update = held + (0 if self.rank or not self.explicit else 16 * max(E, 4 * C * C))
        return max(loss, end, update)

    @property
    def evaluation(self) -> int:
        """Bytes while as many held-out rows are read: no gradients, but all logits, and a copy of the layers' weights
        with the changes merged in, or of all weights that are in parts."""
        config, n, tables = self.config, self.rows * self.T, self.config.n_head * self.T
        C, P = config.n_embd, config.parameter_count
        layer = max(19 * C, 7 * C + 2 * tables) if self.explicit else 11 * C
        logits = (5 if self.bfloat16 else 4) * self.supervised * config.vocab_size // 2
        copy = P if self.parts > 1 else 12 * C * C * config.n_layer if self.rank else 0
        return self.held - 4 * self.learned // self.parts + 4 * (copy + max(n * layer, logits))

    @property
    def _casts(self) -> int:
        """Bytes of the layers' weights in the lower precision, which autocast keeps during a step."""
        C = self.config.n_embd
        return 2 * (12 * C * C + 13 * C) * self.config.n_layer if self.bfloat16 else 0


def activation_bytes(
    config: GPTConfig, rows: int, T: int, supervised: int, explicit: bool, recompute: bool = False
) -> int:
    """A of (10.1): bytes of a micro-batch of `rows` rows of T tokens when its loss is computed, in float32."""
    return Step(config, rows, T, supervised, explicit, recompute=recompute).activations


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
