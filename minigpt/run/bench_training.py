"""`bench --mode sft` and `--mode train`: whole optimizer steps."""

import math

import torch

from minigpt.cli.layout import say
from minigpt.config import GPTConfig
from minigpt.learn.batches import step_rows, used_length
from minigpt.learn.trainer import Recipe, Trainer
from minigpt.measure.cost import training_flops
from minigpt.measure.speed import WARM_UP, in_turn, peak_flops, timed
from minigpt.model.gpt import GPT
from minigpt.run.bench_options import Options
from minigpt.run.bench_sides import peer, print_header, print_ratio
from minigpt.run.device import place
from minigpt.run.memory import peak_memory_bytes
from minigpt.run.options import check_micro_batch
from minigpt.run.start import longest_row
from minigpt.text.examples import Example, encode_within
from minigpt.text.records import data_names, read_conversations
from minigpt.text.template import load_template
from minigpt.text.tokenizer import Tokenizer, load_tokenizer


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

        def their_step() -> tuple[float, float]:
            rows = trainer.rows()  # those of the step that our side has just taken
            lr = trainer.optimizer.param_groups[0]["lr"]
            return theirs(rows=[(row.ids, row.supervised) for row in rows], lr=lr)

        sides = {"minigpt": lambda: timed(lambda: trainer.train_step().loss, device)}
        seconds, losses = in_turn(sides | ({options.peer: their_step} if theirs else {}), options.steps)
    steps = range(WARM_UP + 1, recipe.steps + 1)
    rows = [examples[i] for step in steps for i in step_rows(step, batch_size, len(examples), options.seed)]
    supervised = sum(sum(row.supervised[1:]) for row in rows) / options.steps
    flops = sum(training_flops(config, used_length(row)) for row in rows) / options.steps
    print_header(options, size, config, device)
    say(
        f"{batch_size} rows per step, {sum(len(row.ids) for row in rows) / len(rows):.0f} tokens per row, "
        f"{supervised / batch_size:.0f} of them supervised; {options.dtype}; medians of {options.steps} steps; "
        f"{'explicit' if model.is_explicit else 'fast'} formulas"
    )
    peaks = {"minigpt": peak_memory_bytes(device), options.peer: theirs.peak if theirs else 0}
    for name, middle in seconds.items():
        say(
            f"  {name:<13}{middle:9.3f} s per step {supervised / middle:12,.0f} supervised tokens per second   "
            f"{flops / middle / peak:5.1%} of the {peak / 1e9:,.0f} GFLOP/s of a large matrix product   "
            f"peak memory {(peaks[name] or math.nan) / 2**20:,.0f} MiB   last loss {losses[name][-1]:.4f}"
        )
    print_ratio(seconds)


def load_rows(options: Options, batch_size: int, tokenizer: Tokenizer, config: GPTConfig) -> list[Example]:
    """The conversations to train on, or for --mode train rows of random tokens."""
    if options.mode == "train":
        ids = torch.randint(len(tokenizer), (4 * batch_size, options.max_length or config.n_ctx)).tolist()
        return [Example(row, [True] * len(row), "random") for row in ids]
    conversations = read_conversations(data_names(options.data, "train"))
    return encode_within(
        conversations, load_template("chatml", tokenizer), min(options.max_length or config.n_ctx, config.n_ctx)
    ).examples
