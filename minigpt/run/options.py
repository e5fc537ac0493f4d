"""The options of `python -m minigpt.train`."""

import math
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Literal

import torch

from minigpt.errors import UserError
from minigpt.learn.trainer import Recipe
from minigpt.run.device import Device, Math, choose_device
from minigpt.run.folder import NOT_COMPARED, read_options
from minigpt.text.tokenizer import Tokenizer

DEFAULT_STEPS = 1250  # of the default job: under three minutes on two CPU cores
DEFAULT_EPOCHS = 3.0
DEFAULT_LR = {"tiny": 3e-3, "other": 3e-4, "fine-tuning": 5e-5}
SHAPE = ("n_layer", "n_head", "n_embd", "n_ctx")  # of a model from scratch, each instead of what --size says
POSITIVE = (
    "batch_size", "micro_batch_size", "steps", "epochs", "eval_every", "checkpoint_every", "max_length", "lr",
    "accuracy_rows", "keep", "patience", "n_layer", "n_head", "n_embd", "n_ctx", "clip",
)  # fmt: skip


@dataclass
class Options:
    """Train a GPT-2 to follow instructions. Without options: `tiny`, from random weights, on the built-in data."""

    init: str = "scratch"
    """Initial weights: scratch (random), a model's folder, or an official size to fine-tune."""
    size: Literal["tiny", "gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"] = "tiny"
    """The shape of a model from scratch."""
    n_layer: int | None = None
    """Layers of a model from scratch, instead of those of --size."""
    n_head: int | None = None
    """Attention heads in each layer, instead of those of --size."""
    n_embd: int | None = None
    """Channels, a multiple of --n-head, instead of those of --size."""
    n_ctx: int | None = None
    """Context, the most tokens that the model can read, instead of that of --size."""
    dropout: float | None = None
    """Share of activations set to 0 during training; if left out 0 from scratch, with --init what the model says."""
    data: tuple[str, ...] = ("builtin",)
    """Files to train on (JSON Lines or an array, gzipped or not), hf:owner/name[:config][:split], or builtin."""
    skip_bad: bool = False
    """Leave out unusable rows instead of stopping; they are listed, with the reasons, in the run's folder."""
    valid: str | None = None
    """A file of held-out conversations; without one, a twentieth of the data is held out."""
    template: str = "chatml"
    """How a conversation is laid out: chatml, documents or alpaca."""
    tokenizer: str | None = None
    """bytes, gpt2 or a folder; if left out, that of --init, else bytes for tiny and gpt2 for the official sizes."""
    run: Path | None = None
    """The run's folder; a new one under runs/ if left out."""
    resume: bool = False
    """Continue the run in --run from its last checkpoint, with the options it was started with unless they are given
    again."""
    repeat: Path | None = None
    """Repeat the run in this folder in a new one: the same data, options and seed, so the same losses."""
    checkpoint_every: int = 500
    """Steps between checkpoints; one is written at the end in any case."""
    keep: int = 2
    """How many of the last checkpoints to keep; the one before the last is a spare in case the last is corrupted."""
    eval_every: int | None = None
    """Steps between evaluations on held-out data; a fifth of the run if left out."""
    keep_best: bool = False
    """Also keep the weights with the lowest held-out loss, in best/ in the run's folder; model/ holds the last ones."""
    patience: int | None = None
    """Stop after this many evaluations in a row without a lower held-out loss; if left out, take every step."""
    steps: int | None = None
    """Optimizer steps."""
    epochs: float | None = None
    """Passes over the data, instead of --steps; 3 if neither is given (the default job has its own number of steps)."""
    batch_size: int = 16
    """Conversations in an optimizer step."""
    micro_batch_size: int | None = None
    """Conversations in memory at once; fewer need less memory and change nothing else."""
    lr: float | None = None
    """The peak learning rate; 3e-3 from scratch at size tiny, 3e-4 at the others, 5e-5 when fine-tuning."""
    min_lr: float = 0.0
    """The learning rate toward which the schedule falls at the end."""
    warmup_steps: int = 100
    """Steps over which the learning rate rises to its peak."""
    weight_decay: float = 0.1
    """How strongly matrices are pulled toward zero."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Adam's decay rates of the first and the second moment."""
    clip: float = 1.0
    """The largest norm of a step's gradient; a longer one is scaled down to it."""
    max_length: int | None = None
    """T_max, the most tokens of a conversation; the model's context if left out."""
    supervise: Literal["response", "all"] = "response"
    """Train on the assistant's responses only, or on every token."""
    pretrain_steps: int | None = None
    """Steps at the start that train on every token in any case; two fifths from scratch if left out, else none."""
    seed: int = 0
    """Fixes the random weights, the order of the data and what is held out."""
    device: Device = "auto"
    """Where to compute; auto takes a CUDA or Apple GPU if there is one."""
    math: Math = "auto"
    """explicit runs each formula as it is written out, fast runs torch's kernels; auto is explicit at size tiny and
    fast at the official sizes."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """The type of matrix products; auto takes bfloat16 on a CUDA GPU that has it. Weights and loss stay float32."""
    compile: bool = False
    """Let torch.compile fuse the model's operations; pays on a GPU and in long runs."""
    accuracy_rows: int | None = None
    """Held-out conversations to answer for the accuracy; if left out, all of the built-in test or 50 of other data."""


def saved_options(options: Options) -> list[str]:
    """The options that the run to be resumed or repeated was started with, as command-line arguments."""
    if options.resume and options.run is None:
        raise UserError("--resume needs --run, the folder of the run to continue.")
    if options.resume and options.repeat:
        raise UserError("--resume continues a run and --repeat starts it again; give one of them.")
    folder = options.run if options.resume else options.repeat
    return as_arguments(Options, read_options(folder)) if folder else []


def as_arguments(options: type, values: dict) -> list[str]:
    """options.json's values as a command line gives them, to be read and checked like one."""
    arguments = []
    for field in fields(options):
        if field.name in NOT_COMPARED or values.get(field.name) is None:
            continue
        name, value = field.name.replace("_", "-"), values[field.name]
        if isinstance(value, bool):
            arguments.append(f"--{name}" if value else f"--no-{name}")
        elif isinstance(value, list) and not all(isinstance(one, str) for one in value):
            arguments += [f"--{name}", *map(str, value)]
        else:  # each bound to its option, in case it begins with a dash
            arguments += [f"--{name}={one}" for one in (value if isinstance(value, list) else [value])]
    return arguments


def check(options: Options) -> None:
    """UserError for numbers that make no sense, before anything is read."""
    for name in POSITIVE:
        value = getattr(options, name)
        if value is not None and not value > 0:
            raise UserError(f"--{name.replace('_', '-')} is {value}; it must be above 0.")
    if options.init != "scratch" and (given := [name for name in SHAPE if getattr(options, name) is not None]):
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise UserError(
            f"{names}: the shape of {options.init} is fixed; it can be chosen for a model from scratch only."
        )
    if options.dropout is not None and not 0 <= options.dropout < 1:
        raise UserError(f"--dropout is {options.dropout}; it must be at least 0 and below 1.")
    if not all(0 <= beta < 1 for beta in options.betas):
        raise UserError(f"--betas is {options.betas}; both must be at least 0 and below 1.")
    if not 0 <= options.min_lr < math.inf:
        raise UserError(f"--min-lr is {options.min_lr}; it must be 0 or more.")
    if options.steps and options.epochs:
        raise UserError("--steps and --epochs both set the number of steps; give one of them.")


def with_device(options: Options) -> Options:
    """The options with device and type of matrix products filled in; UserError if not available here."""
    device = choose_device(options.device).type
    dtype = options.dtype
    if dtype == "auto":
        dtype = "bfloat16" if device == "cuda" and torch.cuda.is_bf16_supported() else "float32"
    elif dtype == "bfloat16" and device == "mps":
        raise UserError("--dtype bfloat16 is not available on an Apple GPU here; leave --dtype out for float32.")
    return replace(options, device=device, dtype=dtype)


def with_defaults(options: Options, rows: int, t_max: int, tokenizer: Tokenizer, plain: bool = False) -> Options:
    """The options with every default that depends on others filled in."""
    steps = options.steps
    if steps is None and options.epochs is None and options.data == ("builtin",):
        steps = DEFAULT_STEPS
    elif steps is None:
        steps = max(1, round((options.epochs or DEFAULT_EPOCHS) * rows / options.batch_size))
    scratch = options.init == "scratch"
    pretrain_steps = options.pretrain_steps
    if pretrain_steps is None:
        pretrain_steps = 2 * steps // 5 if scratch and options.supervise == "response" and not plain else 0
    kind = "fine-tuning" if not scratch else "tiny" if options.size == "tiny" else "other"
    return replace(
        options,
        steps=steps,
        epochs=None,
        lr=options.lr or DEFAULT_LR[kind],
        warmup_steps=min(options.warmup_steps, steps // 5),
        micro_batch_size=min(options.micro_batch_size or options.batch_size, options.batch_size),
        eval_every=options.eval_every or max(1, steps // 5),
        max_length=t_max,
        tokenizer=options.tokenizer or (tokenizer.name if scratch else options.init),
        pretrain_steps=min(pretrain_steps, steps),
    )


def recipe(options: Options) -> Recipe:
    """The trainer's part of the options."""
    names = {field.name for field in fields(Recipe)}
    return Recipe(**{name: value for name, value in asdict(options).items() if name in names})
