"""`python -m minigpt.bench`: tokens a second, beside a peer in the same run. Read with lesson 10."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

import torch
from tqdm import trange

from minigpt import command
from minigpt.config import GPTConfig
from minigpt.device import Device, choose_device
from minigpt.errors import UserError
from minigpt.learn.batches import step_rows
from minigpt.learn.trainer import Recipe, Trainer
from minigpt.measure.cost import training_flops
from minigpt.measure.report import peak_memory_bytes
from minigpt.model.gpt import GPT
from minigpt.text.examples import Example, fit
from minigpt.text.records import BUILTIN, read_conversations
from minigpt.text.template import load_template
from minigpt.text.tokenizer import Tokenizer, load_tokenizer


@dataclass
class Options:
    """Time this project's training step; with --peer, the same rows through another implementation, in turn."""

    mode: Literal["sft", "train"] = "sft"
    """sft learns from the answers of conversations; train from every token of rows as long as the context."""
    size: Literal["tiny", "gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"] = "tiny"
    """The layers; the vocabulary is the tokenizer's."""
    peer: Literal["none", "transformers"] = "none"
    """transformers is its GPT2LMHeadModel on the rows padded to the longest, with torch.optim.AdamW."""
    data: tuple[str, ...] = ("builtin",)
    """JSON Lines files, or builtin."""
    tokenizer: str = "gpt2"
    """bytes, gpt2 or a folder."""
    batch_size: int = 16
    """Conversations an optimiser step."""
    micro_batch_size: int | None = None
    """Conversations held in memory at once, by this project; the batch size if left out."""
    steps: int = 5
    """Timed steps of each; two more warm up."""
    device: Device = "auto"
    """Where to compute; auto takes a CUDA GPU if there is one."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """What matrices are multiplied in, on both sides (autocast); weights and loss stay float32."""
    seed: int = 0
    """Fixes weights and rows."""


WARM_UP = 2


def main(options: Options) -> None:
    if min(options.batch_size, options.steps, options.micro_batch_size or 1) < 1:
        raise UserError("--batch-size, --micro-batch-size and --steps must be above 0.")
    device = choose_device(options.device)
    tokenizer = load_tokenizer(options.tokenizer)
    config = GPTConfig.named(options.size, vocab_size=len(tokenizer))
    examples = load_rows(options, tokenizer, config)
    torch.manual_seed(options.seed)
    model = GPT(config).to(device)
    recipe = Recipe(
        steps=options.steps + WARM_UP,
        batch_size=options.batch_size,
        micro_batch_size=options.micro_batch_size or options.batch_size,
        lr=1e-4,
        warmup_steps=1,
        seed=options.seed,
        dtype=options.dtype,
    )
    trainer = Trainer(model, examples, recipe)
    sides: dict[str, Callable[[], float]] = {"minigpt": lambda: trainer.train_step().loss}
    if options.peer == "transformers":
        sides["transformers"] = transformers_step(model, trainer)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    losses: dict[str, list[float]] = {name: [] for name in sides}
    for _ in trange(recipe.steps, unit="step", leave=False):
        for name, step in sides.items():  # in turn, so that what else the machine does falls on both
            start = time.perf_counter()
            losses[name].append(step())
            seconds[name].append(time.perf_counter() - start)
    timed = range(WARM_UP + 1, recipe.steps + 1)
    rows = [examples[i] for step in timed for i in step_rows(step, options.batch_size, len(examples), options.seed)]
    answered = sum(sum(row.supervised[1:]) for row in rows) / options.steps
    flops = sum(training_flops(config, len(row.ids) - 1) for row in rows) / options.steps
    peak = peak_flops(device, options.dtype)
    print(
        f"{options.mode}, {options.size} layers, {config.vocab_size:,} tokens, {config.parameter_count:,} parameters; "
        f"{device} ({torch.get_num_threads()} threads), {options.dtype}, torch {torch.__version__}\n"
        f"{options.batch_size} rows a step, {sum(len(row.ids) for row in rows) / len(rows):.0f} tokens a row, "
        f"{answered / options.batch_size:.0f} of them learned; medians of {options.steps} steps"
    )
    for name, taken in seconds.items():
        middle = median(taken[WARM_UP:])
        print(
            f"  {name:<13}{middle:9.3f} s a step {answered / middle:12,.0f} learned tokens a second   "
            f"{flops / middle / peak:5.1%} of the {peak / 1e9:,.0f} GFLOP/s of a large matrix product; "
            f"last loss {losses[name][-1]:.4f}"
        )
    if len(sides) == 2:
        ours, theirs = (median(taken[WARM_UP:]) for taken in seconds.values())
        print(f"  ratio {theirs / ours:.2f}")
    print(f"  {peak_memory_bytes(device) / 2**20:,.0f} MiB at the most, everything named above together")


def load_rows(options: Options, tokenizer: Tokenizer, config: GPTConfig) -> list[Example]:
    """The conversations to learn from, or for --mode train rows of random tokens."""
    if options.mode == "train":
        ids = torch.randint(len(tokenizer), (4 * options.batch_size, config.n_ctx)).tolist()
        return [Example(row, [True] * len(row), "random") for row in ids]
    paths = [BUILTIN / "train.jsonl" if name == "builtin" else Path(name) for name in options.data]
    return fit(read_conversations(paths), load_template("chatml", tokenizer), config.n_ctx).examples


def transformers_step(model: GPT, trainer: Trainer) -> Callable[[], float]:
    """The usual way: the same rows, padded to the longest, all logits, labels of -100 where nothing is learned."""
    try:
        from transformers import GPT2Config, GPT2LMHeadModel
    except ImportError:
        raise UserError("--peer transformers needs the package transformers: pip install transformers.") from None
    config, recipe = model.config, trainer.recipe
    peer = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=config.vocab_size, n_positions=config.n_ctx, n_embd=config.n_embd, n_layer=config.n_layer,
            n_head=config.n_head, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
            bos_token_id=config.bos_token_id, eos_token_id=config.bos_token_id,
        )
    ).to(model.device)  # fmt: skip
    peer.transformer.load_state_dict(model.state_dict())
    peer.train()
    decayed = [p for p in peer.parameters() if p.dim() >= 2 and p is not peer.transformer.wte.weight]
    decayed = [p for p in decayed if p is not peer.transformer.wpe.weight]
    others = [p for p in peer.parameters() if not any(p is d for d in decayed)]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.lr, betas=recipe.betas)
    taken = 0

    def step() -> float:
        nonlocal taken
        taken += 1
        picked = step_rows(taken, recipe.batch_size, len(trainer.examples), recipe.seed)
        rows = [trainer.examples[i] for i in picked]
        longest = max(len(row.ids) for row in rows)
        padding = [longest - len(row.ids) for row in rows]
        ids = torch.tensor([row.ids + [0] * n for row, n in zip(rows, padding, strict=True)])
        mask = torch.tensor([[1] * len(row.ids) + [0] * n for row, n in zip(rows, padding, strict=True)])
        labels = torch.tensor(
            [
                [i if learned else -100 for i, learned in zip(row.ids, row.supervised, strict=True)] + [-100] * n
                for row, n in zip(rows, padding, strict=True)
            ]
        )
        with torch.autocast(model.device.type, torch.bfloat16, enabled=recipe.dtype == "bfloat16"):
            output = peer(
                input_ids=ids.to(model.device), attention_mask=mask.to(model.device), labels=labels.to(model.device)
            )
        output.loss.backward()
        torch.nn.utils.clip_grad_norm_(peer.parameters(), recipe.clip)
        for group in optimizer.param_groups:
            group["lr"] = trainer.optimizer.param_groups[0]["lr"]
        optimizer.step()
        optimizer.zero_grad()
        return float(output.loss.detach())

    return step


def peak_flops(device: torch.device, dtype: str) -> float:
    """What this machine reaches in one large matrix product: the best of ten."""
    n = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(n, n, device=device, dtype=getattr(torch, dtype)) for _ in range(2))
    best = float("inf")
    for _ in range(10):
        start = time.perf_counter()
        product = a @ b
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
        del product
    return 2 * n**3 / best


if __name__ == "__main__":
    command.run(Options, main, "bench")
