"""`bench --mode dpo`: whole optimizer steps on pairs, the reference worked out before them."""

import math

import torch

from minigpt.cli.layout import say
from minigpt.config import GPTConfig
from minigpt.learn.batches import step_rows
from minigpt.learn.schedule import warmup_then_decay
from minigpt.learn.trainer import Recipe
from minigpt.measure.speed import WARM_UP, in_turn, timed
from minigpt.model.gpt import GPT
from minigpt.preference.pair_trainers import DPOTrainer, PairRows, sides
from minigpt.preference.rows import encode_pairs
from minigpt.run.bench_options import Options
from minigpt.run.bench_sides import peer, print_header, print_ratio
from minigpt.run.device import place
from minigpt.run.memory import peak_memory_bytes
from minigpt.run.options import check_micro_batch
from minigpt.run.prefer_options import DEFAULTS, LR
from minigpt.run.preference_tasks import pair_rows
from minigpt.run.start import longest_row
from minigpt.text.pairs import read_pairs
from minigpt.text.records import pair_names
from minigpt.text.template import load_template
from minigpt.text.tokenizer import load_tokenizer

SHOWN = 4  # losses, of the first steps and of the last


def bench_dpo(options: Options, batch_size: int, device: torch.device) -> None:
    """Time steps of 15.4 alone, without the NLL beside it."""
    check_micro_batch(options.micro_batch_size, batch_size, "pairs")
    size = options.size or "tiny"
    tokenizer = load_tokenizer(options.tokenizer)
    config = GPTConfig.named(size, vocab_size=len(tokenizer))
    t_max = longest_row(options.max_length, config.n_ctx)
    encoded = encode_pairs(read_pairs(pair_names(options.data, "train")), load_template("chatml", tokenizer), t_max)
    pairs = pair_rows(encoded)
    model = place(GPT(config), device, options.math, options.compile)
    recipe = Recipe(
        steps=options.steps + WARM_UP,
        batch_size=batch_size,
        micro_batch_size=options.micro_batch_size or batch_size,
        lr=LR["dpo"][0 if config.is_small else 1],
        warmup_steps=1,
        weight_decay=0.0,
        seed=options.seed,
        dtype=options.dtype,
    )
    trainer = DPOTrainer(model, pairs, recipe, DEFAULTS["beta"])
    with peer(options, model, "dpo", **job_of(trainer)) as theirs:
        before, _ = timed(trainer.read_reference, device)
        ours = {"minigpt": lambda: timed(lambda: trainer.train_step().loss, device)}
        seconds, losses = in_turn(ours | ({options.peer: theirs} if theirs else {}), options.steps)
    learned = pairs_of(trainer)[WARM_UP * batch_size :]
    each, tokens = sides(learned), trainer.tokens(learned) / options.steps
    supervised = sum(sum(row.supervised) for row in each) / len(each)
    print_header(options, size, config, device)
    say(
        f"{batch_size} pairs per step, {sum(len(row.ids) for row in each) / len(each):.0f} tokens per row, "
        f"{supervised:.0f} of them supervised; {options.dtype}; medians of {options.steps} steps; "
        f"{'explicit' if model.is_explicit else 'fast'} formulas\n"
        f"  minigpt's reference, once, before the steps: {before:.3f} s for {len(trainer.reference):,} pairs"
    )
    peaks = {"minigpt": peak_memory_bytes(device), options.peer: theirs.peak if theirs else 0}
    for name, middle in seconds.items():
        say(
            f"  {name:<13}{middle:9.3f} s per step {batch_size / middle:10,.1f} pairs per second "
            f"{tokens / middle:10,.0f} tokens per second   peak memory {(peaks[name] or math.nan) / 2**20:,.0f} MiB   "
            f"losses {shown(losses[name])}"
        )
    print_ratio(seconds)
    if theirs:
        apart = max(abs(a - b) for a, b in zip(*losses.values(), strict=True))
        print(f"  largest difference between two losses of a step: {apart:.1e}")


def job_of(trainer: DPOTrainer) -> dict[str, object]:
    """What another program must know to take the same steps."""
    recipe = trainer.recipe
    steps = range(1, recipe.steps + 1)
    return dict(
        rows=[ids(pair) for pair in pairs_of(trainer)],
        lrs=[warmup_then_decay(step, recipe.lr, recipe.warmup_steps, recipe.steps, recipe.min_lr) for step in steps],
        batch_size=recipe.batch_size,
        beta=trainer.beta,
        lr=recipe.lr,
        weight_decay=recipe.weight_decay,
        betas=recipe.betas,
        clip=recipe.clip,
        dtype=recipe.dtype,
    )


def pairs_of(trainer: DPOTrainer) -> list[PairRows]:
    """The pairs of all steps, in their order."""
    pairs, recipe = trainer.examples, trainer.recipe
    steps = range(1, recipe.steps + 1)
    return [pairs[i] for step in steps for i in step_rows(step, recipe.batch_size, len(pairs), recipe.seed)]


def ids(pair: PairRows) -> tuple[list[int], list[int], list[int]]:
    """The ids of the prompt, the chosen answer and the rejected one."""
    start = pair.chosen.supervised.index(True)
    return pair.chosen.ids[:start], pair.chosen.ids[start:], pair.rejected.ids[start:]


def shown(losses: list[float]) -> str:
    """The first ones and the last."""
    words = [f"{loss:.6f}" for loss in losses]
    return " ".join(words if len(words) <= SHOWN + 1 else [*words[:SHOWN], "...", words[-1]])
