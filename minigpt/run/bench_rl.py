"""`bench --mode rl`: how a step of reinforcement learning divides into its parts."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from statistics import mean, median

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import trange

from minigpt.cli.layout import say
from minigpt.config import GPTConfig
from minigpt.errors import UserError
from minigpt.learn.trainer import Recipe
from minigpt.measure.speed import WARM_UP, timed, wait
from minigpt.model.gpt import GPT
from minigpt.preference import rl_trainer
from minigpt.preference.policy import Draw
from minigpt.preference.rewards import Prompt
from minigpt.preference.rl_trainer import RLTrainer
from minigpt.preference.rows import encode_prompts
from minigpt.run.bench_options import Options
from minigpt.run.bench_sides import print_header
from minigpt.run.device import place
from minigpt.run.options import check_micro_batch
from minigpt.run.prefer_options import DEFAULTS, LR
from minigpt.run.start import longest_row
from minigpt.text.pairs import as_conversations, read_either
from minigpt.text.records import pair_names
from minigpt.text.template import Template, load_template
from minigpt.text.tokenizer import Tokenizer, load_tokenizer

# The parts of a step, and what each belongs to. What gradients are asked for is learned from.
PARTS = {
    "answers": "drawing",
    "rewards": "scoring",
    "policy, without gradients": "scoring",
    "reference": "scoring",
    "policy, with gradients": "learning",
    "backward, and the rest": "learning",
    "clipping and AdamW": "learning",
}


def bench_rl(options: Options, batch_size: int, device: torch.device) -> None:
    """Time whole steps, and the parts of each."""
    check_micro_batch(options.micro_batch_size, batch_size, "prompts")
    size = options.size or "tiny"
    tokenizer = load_tokenizer(options.tokenizer)
    config = GPTConfig.named(size, vocab_size=len(tokenizer))
    template = load_template("chatml", tokenizer)
    prompts, most = prompts_of(options, template, longest_row(options.max_length, config.n_ctx))
    model = place(GPT(config), device, options.math, options.compile)
    recipe = Recipe(
        steps=options.steps + WARM_UP,
        batch_size=batch_size,
        micro_batch_size=options.micro_batch_size or batch_size,
        lr=LR["rl"][0 if config.is_small else 1],
        warmup_steps=1,
        weight_decay=0.0,
        seed=options.seed,
        dtype=options.dtype,
    )
    beta, K = DEFAULTS["beta"], DEFAULTS["group_size"]
    reference = place(deepcopy(model), device, options.math)
    trainer = RLTrainer(model, prompts, recipe, Even(tokenizer), reference, beta, template.end, K, most)
    steps = []
    for _ in trange(recipe.steps, leave=False):
        with parts_timed(trainer) as seconds:
            whole, report = timed(trainer.train_step, device)
        seconds["backward, and the rest"] = whole - sum(seconds.values())
        steps.append((whole, seconds, report))
    steps = steps[WARM_UP:]
    middle = median(whole for whole, _, _ in steps)
    drawn = mean(report.supervised_tokens for _, _, report in steps)
    print_header(options, size, config, device)
    say(
        f"{batch_size} prompts of {mean(len(prompt.ids) for prompt in prompts):.0f} tokens, {K} answers to each of at "
        f"most {most} tokens, drawn from random weights: {drawn / batch_size / K:.1f} on average; {options.dtype}; "
        f"medians of {options.steps} steps; {'explicit' if model.is_explicit else 'fast'} formulas\n"
        f"  a step   {middle:9.3f} s   {batch_size * K / middle:,.1f} answers per second, {drawn / middle:,.0f} drawn "
        "tokens per second"
    )
    for part, kind in PARTS.items():
        seconds = median(seconds[part] for _, seconds, _ in steps)
        print(f"  {kind:<9}{seconds:9.3f} s {seconds / middle:6.1%}  {part}")


def prompts_of(options: Options, template: Template, t_max: int) -> tuple[list[Prompt], int]:
    """The prompts of --data, with room for answers, and the most tokens of an answer."""
    conversations = as_conversations(read_either(pair_names(options.data, "train")))
    most = options.new_tokens or max(len(template.tokenizer.encode(row.answer)) for row in conversations) + 1
    if most >= t_max:
        raise UserError(f"--new-tokens is {most:,}; no prompt fits with it into {t_max:,} tokens.")
    encoded = encode_prompts(conversations, template, t_max - most)
    pairs = zip(encoded.prompts, encoded.conversations, strict=True)
    return [Prompt(ids, row.asked, row.answer, row.source, row.kind) for ids, row in pairs], most


class Even:
    """A rule as a user may write one, of which random weights do not always have the same: 1 for an answer with an even
    number of characters."""

    is_learned = False

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    def __call__(self, prompts: Sequence[Prompt], draws: Sequence[Draw]) -> Float[Tensor, " N"]:
        texts = [self.tokenizer.decode(draw.answer[: len(draw.answer) - draw.ended]) for draw in draws]
        return torch.tensor([float(len(text) % 2 == 0) for text in texts])


@contextmanager
def parts_timed(trainer: RLTrainer) -> Iterator[dict[str, float]]:
    """Seconds of each part of the trainer's steps inside this context. Nothing else is computed: the functions that a
    step calls are called through a clock."""
    device, seconds = trainer.model.device, defaultdict(float)

    def clocked(work: Callable, part: Callable[..., str]) -> Callable:
        def call(*arguments: object) -> object:
            wait(device)
            start = time.perf_counter()
            result = work(*arguments)
            wait(device)
            seconds[part(*arguments)] += time.perf_counter() - start
            return result

        return call

    def likelihood(model: GPT, *_: object) -> str:
        if model is trainer.reference:
            return "reference"
        return "policy, with gradients" if torch.is_grad_enabled() else "policy, without gradients"

    parts = [
        (rl_trainer, "draw_answers", lambda *_: "answers"),
        (rl_trainer, "log_likelihood", likelihood),
        (trainer, "reward", lambda *_: "rewards"),
        (trainer, "update", lambda *_: "clipping and AdamW"),
    ]
    kept = [(owner, name, getattr(owner, name)) for owner, name, _ in parts]
    for (owner, name, part), (_, _, work) in zip(parts, kept, strict=True):
        setattr(owner, name, clocked(work, part))
    try:
        yield seconds
    finally:
        for owner, name, work in kept:
            setattr(owner, name, work)
