"""The options of `python -m minigpt.bench`."""

from dataclasses import dataclass
from typing import Literal

from minigpt.errors import UserError
from minigpt.model.light import Weights
from minigpt.ranges import AtOnce, Count, Seed, check_used
from minigpt.run.device import Device, Math

DEFAULT_NEW_TOKENS = 256  # chat's longest answer
# What has no effect in a mode.
UNUSED = {
    "sft": ("prompt_tokens", "new_tokens", "weights"),
    "train": ("data", "prompt_tokens", "new_tokens", "weights"),
    "generate": ("data", "tokenizer", "max_length", "micro_batch_size", "dtype"),
    "dpo": ("prompt_tokens", "new_tokens", "weights"),
    "rl": ("prompt_tokens", "weights"),
}
PEERS = {"sft": "transformers", "train": "transformers", "generate": "transformers", "dpo": "trl", "rl": "none"}
BATCH_SIZES = {"sft": (16,), "train": (16,), "generate": (1, 8), "dpo": (16,), "rl": (12,)}


@dataclass
class Options:
    """Time training steps or generation; with --peer, also another implementation with the same weights, in turn."""

    mode: Literal["sft", "train", "generate", "dpo", "rl"] = "sft"
    """sft trains on the responses of conversations, train on every token of random rows; generate continues random
    prompts greedily; dpo learns from pairs; rl draws 8 answers to each prompt and learns from their rewards, and the
    parts of its step are timed."""
    size: Literal["tiny", "gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"] | None = None
    """The layers; if left out, gpt2 for --mode generate, else tiny. The vocabulary is the tokenizer's, or GPT-2's for
    generate."""
    peer: Literal["none", "transformers", "trl"] = "none"
    """transformers is its GPT2LMHeadModel in a separate process, as its users run it: trained on the rows padded to
    the longest, with torch's fused AdamW, or generating with its `generate`. trl, for --mode dpo, is its DPOTrainer,
    likewise, with its own reference model in every step."""
    data: tuple[str, ...] = ("builtin",)
    """Files, hf:owner/name[:config][:split], or builtin; of conversations, for dpo of pairs, for rl of either, of which
    the prompts are used; builtin is then the built-in pairs."""
    tokenizer: str = "gpt2"
    """bytes, gpt2 or a folder."""
    batch_size: AtOnce | None = None
    """Conversations or pairs per optimizer step, 16 if left out; prompts of rl, 12; or prompts per batch, 1 and then 8
    if left out."""
    max_length: Count | None = None
    """T, the tokens of a row: exactly for --mode train, at most for the others; the model's context if left out."""
    micro_batch_size: AtOnce | None = None
    """Conversations, pairs or prompts in memory at once, on this side; the batch size if left out."""
    prompt_tokens: Count = 32
    """Tokens of each prompt."""
    new_tokens: Count | None = None
    """Tokens to generate, 256 if left out, chat's longest answer; of rl the most of an answer, if left out the longest
    chosen answer and its end."""
    steps: Count = 5
    """Timed steps, or generations, of each side; two more warm up."""
    device: Device = "auto"
    """Where to compute; auto takes a CUDA or Apple GPU if there is one."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """The type of matrix products in training, on both sides (autocast); weights and loss stay float32."""
    compile: bool = False
    """Let torch.compile fuse the operations, on both sides; pays on a GPU. Of generate, this side's work on each token
    of a single text; pays on a CPU too."""
    weights: Weights = "float32"
    """For generate, this side's weights: bfloat16 and int8 round them to a half and a quarter of the memory."""
    math: Math = "auto"
    """This side's formulas as written out, or torch's kernels; auto is explicit at size tiny."""
    seed: Seed = 0
    """Fixes the weights and the rows."""


def check(options: Options) -> None:
    """UserError for options that make no sense in this mode."""
    mode, peer = options.mode, options.peer
    check_used(options, UNUSED[mode], f"with --mode {mode}")
    if peer not in ("none", PEERS[mode]):
        *others, last = (name for name, other in PEERS.items() if other == peer)
        words = f"{', '.join(others)} and {last}" if others else last
        raise UserError(f"--peer {peer} is for --mode {words}; leave it out with --mode {mode}.")
