"""`python -m minigpt.bench`: measure tokens per second, also of transformers beside it."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from statistics import median
from typing import Literal

import torch
from tqdm import tqdm

from minigpt import command
from minigpt.cli.layout import say
from minigpt.config import GPTConfig
from minigpt.errors import UserError
from minigpt.learn.batches import step_rows, used_length
from minigpt.learn.trainer import Recipe, Trainer
from minigpt.measure.cost import generation_bytes, training_flops
from minigpt.measure.peer import Peer
from minigpt.model.gpt import GPT
from minigpt.ranges import AtOnce, Count, Seed, check_used
from minigpt.run.device import Device, Math, choose_device, place
from minigpt.run.memory import peak_memory_bytes
from minigpt.run.options import check_micro_batch
from minigpt.run.start import longest_row
from minigpt.sample.generation import generate_batch
from minigpt.sample.sampling import GREEDY
from minigpt.text.examples import Example, encode_within
from minigpt.text.records import data_names, read_conversations
from minigpt.text.template import load_template
from minigpt.text.tokenizer import Tokenizer, load_tokenizer


@dataclass
class Options:
    """Time training steps or generation; with --peer, also another implementation with the same weights, in turn."""

    mode: Literal["sft", "train", "generate"] = "sft"
    """sft trains on the responses of conversations, train on every token of random rows; generate continues random
    prompts greedily."""
    size: Literal["tiny", "gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"] | None = None
    """The layers; if left out, gpt2 for --mode generate, else tiny. The vocabulary is the tokenizer's, or GPT-2's for
    generate."""
    peer: Literal["none", "transformers"] = "none"
    """transformers is its GPT2LMHeadModel in a separate process, as its users run it: trained on the rows padded to
    the longest, with torch's fused AdamW, or generating with its `generate`."""
    data: tuple[str, ...] = ("builtin",)
    """Files, hf:owner/name[:config][:split], or builtin."""
    tokenizer: str = "gpt2"
    """bytes, gpt2 or a folder."""
    batch_size: AtOnce | None = None
    """Conversations per optimizer step, 16 if left out; or prompts per batch, 1 and then 8 if left out."""
    max_length: Count | None = None
    """T, the tokens of a row: exactly for --mode train, at most for sft; the model's context if left out."""
    micro_batch_size: AtOnce | None = None
    """Conversations in memory at once, on this side; the batch size if left out."""
    prompt_tokens: Count = 32
    """Tokens of each prompt."""
    new_tokens: Count = 256
    """Tokens to generate; the default is chat's longest answer."""
    steps: Count = 5
    """Timed steps, or generations, of each side; two more warm up."""
    device: Device = "auto"
    """Where to compute; auto takes a CUDA or Apple GPU if there is one."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """The type of matrix products in training, on both sides (autocast); weights and loss stay float32."""
    compile: bool = False
    """Let torch.compile fuse the operations, on both sides; pays on a GPU."""
    math: Math = "auto"
    """This side's formulas as written out, or torch's kernels; auto is explicit at size tiny."""
    seed: Seed = 0
    """Fixes the weights and the rows."""


WARM_UP = 2
# What has no effect in a mode.
UNUSED = {
    "sft": ("prompt_tokens", "new_tokens"),
    "train": ("data", "prompt_tokens", "new_tokens"),
    "generate": ("data", "tokenizer", "max_length", "micro_batch_size", "dtype"),
}
BATCH_SIZES = {"sft": (16,), "train": (16,), "generate": (1, 8)}


def main(options: Options) -> None:
    check_used(options, UNUSED[options.mode], f"with --mode {options.mode}")
    device = choose_device(options.device)
    torch.manual_seed(options.seed)
    for batch_size in BATCH_SIZES[options.mode] if options.batch_size is None else (options.batch_size,):
        if options.mode == "generate":
            bench_generation(options, batch_size, device)
        else:
            bench_training(options, batch_size, device)


def bench_training(options: Options, batch_size: int, device: torch.device) -> None:
    """Time whole optimizer steps on the same rows."""
    check_micro_batch(options.micro_batch_size, batch_size)
    size = options.size or "tiny"
    tokenizer = load_tokenizer(options.tokenizer)
    config = GPTConfig.named(size, vocab_size=len(tokenizer))
    longest_row(options.max_length, config.n_ctx)
    examples = load_rows(options, batch_size, tokenizer, config)
    model = place(GPT(config), device, options.math, options.compile)
    recipe = Recipe(
        steps=options.steps + WARM_UP,
        batch_size=batch_size,
        micro_batch_size=options.micro_batch_size or batch_size,
        lr=1e-4,
        warmup_steps=1,
        seed=options.seed,
        dtype=options.dtype,
    )
    trainer = Trainer(model, examples, recipe)
    peak = peak_flops(device, options.dtype)
    job = dict(weight_decay=recipe.weight_decay, betas=recipe.betas, clip=recipe.clip, dtype=recipe.dtype)
    with peer(options, model, "train", **job) as theirs:

        def ours() -> float:
            loss = trainer.train_step().loss
            if device.type == "cuda":
                torch.cuda.synchronize()
            return loss

        def their_step() -> tuple[float, float]:
            rows = trainer.rows()  # those of the step that our side has just taken
            lr = trainer.optimizer.param_groups[0]["lr"]
            return theirs(rows=[(row.ids, row.supervised) for row in rows], lr=lr)

        seconds, losses = in_turn(ours, their_step if theirs else None, options.steps)
    timed = range(WARM_UP + 1, recipe.steps + 1)
    rows = [examples[i] for step in timed for i in step_rows(step, batch_size, len(examples), options.seed)]
    supervised = sum(sum(row.supervised[1:]) for row in rows) / options.steps
    flops = sum(training_flops(config, used_length(row)) for row in rows) / options.steps
    print_header(options, size, config, device)
    say(
        f"{batch_size} rows per step, {sum(len(row.ids) for row in rows) / len(rows):.0f} tokens per row, "
        f"{supervised / batch_size:.0f} of them supervised; {options.dtype}; medians of {options.steps} steps; "
        f"{'explicit' if model.is_explicit else 'fast'} formulas"
    )
    peaks = {"minigpt": peak_memory_bytes(device), "transformers": theirs.peak if theirs else 0}
    for name, middle in seconds.items():
        say(
            f"  {name:<13}{middle:9.3f} s per step {supervised / middle:12,.0f} supervised tokens per second   "
            f"{flops / middle / peak:5.1%} of the {peak / 1e9:,.0f} GFLOP/s of a large matrix product   "
            f"peak memory {(peaks[name] or math.nan) / 2**20:,.0f} MiB   last loss {losses[name][-1]:.4f}"
        )
    print_ratio(seconds)


@contextmanager
def peer(options: Options, model: GPT, mode: str, **job: object) -> Iterator[Peer | None]:
    """Start and finally close the other side; None with --peer none."""
    if options.peer == "none":
        yield None
        return
    theirs = Peer(model, mode, compile=options.compile, **job)
    try:
        yield theirs
    finally:
        theirs.close()


def bench_generation(options: Options, batch_size: int, device: torch.device) -> None:
    """Time continuing the same prompts greedily, from the first token read to the last one generated."""
    size = options.size or "gpt2"
    config = GPTConfig.named(size)
    if options.prompt_tokens + options.new_tokens > config.n_ctx:
        raise UserError(f"--prompt-tokens and --new-tokens together exceed the context of {config.n_ctx} tokens.")
    model = place(GPT(config), device, options.math, options.compile).eval()
    prompts = torch.randint(config.vocab_size, (batch_size, options.prompt_tokens)).tolist()

    def ours() -> list[list[int]]:
        return generate_batch(model, prompts, options.new_tokens, GREEDY)

    with peer(options, model, "generate", prompts=prompts, new_tokens=options.new_tokens) as theirs:
        seconds, texts = in_turn(ours, theirs, options.steps)
    weights, bandwidth = generation_bytes(config), read_bandwidth(device)
    print_header(options, size, config, device)
    say(
        f"{batch_size} prompts of {options.prompt_tokens} tokens, {options.new_tokens} new ones each, greedy, float32; "
        f"medians of {options.steps}\n"
        f"  each decoding step reads {weights / 1e6:,.0f} MB of weights, and this machine reads memory at "
        f"{bandwidth / 1e9:,.1f} GB/s: at most {bandwidth / weights:,.1f} decoding steps per second"
    )
    for name, middle in seconds.items():
        decoding_steps = options.new_tokens / middle
        say(
            f"  {name:<13}{middle:9.3f} s {batch_size * decoding_steps:12,.1f} tokens per second   "
            f"{decoding_steps * weights / bandwidth:5.1%} of the memory bandwidth"
        )
    print_ratio(seconds)
    if options.peer != "none":
        pairs = zip(*(chain.from_iterable(text[-1]) for text in texts.values()), strict=True)
        same = sum(a == b for a, b in pairs) / (batch_size * options.new_tokens)
        print(f"  {same:.1%} of the new tokens are the same on both sides")


def in_turn(
    ours: Callable[[], object], theirs: Callable[[], tuple[float, object]] | None, times: int
) -> tuple[dict[str, float], dict[str, list]]:
    """Each side's median seconds and all its results. The sides alternate, so that other load on the machine affects
    both. The peer times itself, in its own process."""
    sides = {"minigpt": lambda: timed(ours)} | ({"transformers": theirs} if theirs else {})
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    results: dict[str, list] = {name: [] for name in sides}
    with tqdm(total=WARM_UP + times, leave=False) as bar:
        for _ in range(WARM_UP + times):
            for name, side in sides.items():
                taken, result = side()
                seconds[name].append(taken)
                results[name].append(result)
            bar.update()
    return {name: median(taken[WARM_UP:]) for name, taken in seconds.items()}, results


def timed(work: Callable[[], object]) -> tuple[float, object]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def print_header(options: Options, size: str, config: GPTConfig, device: torch.device) -> None:
    threads = f" ({torch.get_num_threads()} threads)" if device.type == "cpu" else f" ({torch.cuda.get_device_name()})"
    say(
        f"{options.mode}, size {size}, vocabulary of {config.vocab_size:,}, {config.parameter_count:,} parameters; "
        f"{device}{threads}, torch {torch.__version__}"
    )


def print_ratio(seconds: dict[str, float]) -> None:
    if len(seconds) == 2:
        ours, theirs = seconds.values()
        print(f"  ratio {theirs / ours:.2f}")


def load_rows(options: Options, batch_size: int, tokenizer: Tokenizer, config: GPTConfig) -> list[Example]:
    """The conversations to train on, or for --mode train rows of random tokens."""
    if options.mode == "train":
        ids = torch.randint(len(tokenizer), (4 * batch_size, options.max_length or config.n_ctx)).tolist()
        return [Example(row, [True] * len(row), "random") for row in ids]
    conversations = read_conversations(data_names(options.data, "train"))
    return encode_within(
        conversations, load_template("chatml", tokenizer), min(options.max_length or config.n_ctx, config.n_ctx)
    ).examples


def peak_flops(device: torch.device, dtype: str) -> float:
    """FLOP/s of one large matrix product on this machine: the best of ten."""
    n = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(n, n, device=device, dtype=getattr(torch, dtype)) for _ in range(2))
    return 2 * n**3 / best_time(lambda: a @ b, device)


def read_bandwidth(device: torch.device) -> float:
    """Bytes per second at which this machine sums 1 GiB of numbers, far more than its caches hold: the best of ten."""
    numbers = torch.ones(2**28, device=device)
    return 4 * len(numbers) / best_time(numbers.sum, device)


def best_time(work: Callable[[], object], device: torch.device) -> float:
    best = float("inf")
    for _ in range(10):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return best


def entry() -> None:
    """`python -m minigpt.bench` and `minigpt bench`."""
    command.run(Options, main, "bench")


if __name__ == "__main__":
    entry()
