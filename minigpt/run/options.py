"""The options of `python -m minigpt.train`."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import ClassVar, Literal

from minigpt.cli.processes import processes
from minigpt.errors import UserError
from minigpt.learn.trainer import Recipe
from minigpt.ranges import (
    Alpha,
    AtOnce,
    BelowOne,
    Clip,
    Count,
    CountOrZero,
    Epochs,
    Layers,
    LearningRate,
    LeastLearningRate,
    Rank,
    Seed,
    WeightDecay,
    check_used,
    check_values,
)  # fmt: skip
from minigpt.run.device import Device, Math
from minigpt.run.folder import NOT_COMPARED, read_options
from minigpt.text.pairs import Side

DEFAULT_SIZE, DEFAULT_TEMPLATE = "tiny", "chatml"
SHAPE = ("n_layer", "n_head", "n_embd", "n_ctx")  # of a model from scratch, each instead of what --size says


@dataclass
class Options:
    """Train a GPT-2 to follow instructions, or on plain text. Without options: `tiny`, from random weights, on the
    built-in conversations."""

    command: ClassVar[str] = "train"

    init: str = "scratch"
    """Initial weights: scratch (random), a model's folder, or an official size to fine-tune."""
    size: Literal["tiny", "gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"] | None = None
    """The shape of a model from scratch; tiny if left out."""
    n_layer: Layers | None = None
    """Layers of a model from scratch, instead of those of --size."""
    n_head: AtOnce | None = None
    """Attention heads in each layer, instead of those of --size."""
    n_embd: AtOnce | None = None
    """Channels, a multiple of --n-head, instead of those of --size."""
    n_ctx: AtOnce | None = None
    """Context, the most tokens that the model can read, instead of that of --size."""
    dropout: BelowOne | None = None
    """Share of activations set to 0 during training; if left out 0 from scratch, with --init what the model says."""
    data: tuple[str, ...] = ("builtin",)
    """What to train on: files of conversations (JSON, CSV, Parquet) or of plain text (.txt, or rows with "text"),
    pairs of answers, folders of text, hf:owner/name[:config][:split], builtin or builtin-pairs."""
    side: Side | None = None
    """Of pairs the answers to learn from: the chosen ones (if left out), or both alike."""
    skip_bad: bool = False
    """Leave out unusable rows instead of stopping; they are listed, with the reasons, in the run's folder."""
    valid: str | None = None
    """A file of held-out conversations or text; without one, a twentieth of the data is held out."""
    template: str | None = None
    """How a conversation is laid out: chatml, documents or alpaca; if left out, as --init was trained, else chatml."""
    tokenizer: str | None = None
    """bytes, gpt2 or a folder; if left out, that of --init, else bytes for tiny and gpt2 for the official sizes."""
    run: Path | None = None
    """The run's folder; a new one under runs/ if left out."""
    resume: bool = False
    """Continue the run in --run from its last checkpoint, with the options it was started with unless they are given
    again."""
    repeat: Path | None = None
    """Repeat the run in this folder in a new one: the same data, options and seed, so the same losses."""
    checkpoint_every: Count = 500
    """Steps between checkpoints; one is written at the end in any case."""
    keep: Count = 2
    """How many of the last checkpoints to keep; the one before the last is a spare in case the last is corrupted."""
    eval_every: Count | None = None
    """Steps between evaluations on held-out data; a fifth of the run if left out."""
    keep_best: bool = False
    """Also keep the weights with the lowest held-out loss, in best/ in the run's folder; model/ holds the last ones."""
    patience: Count | None = None
    """Stop after this many evaluations in a row without a lower held-out loss; if left out, take every step."""
    log: Literal["tensorboard", "wandb"] | None = None
    """Also write the metrics for TensorBoard, into the run's folder, or for Weights & Biases; pip install
    "minigpt[log]"."""
    steps: Count | None = None
    """Optimizer steps."""
    epochs: Epochs | None = None
    """Passes over the data, instead of --steps; 3 if neither is given (the default job has its own number of steps)."""
    batch_size: AtOnce = 16
    """Conversations, or rows of T_max tokens of plain text, in an optimizer step."""
    lora_rank: Rank | None = None
    """Learn a change of this rank to each matrix of --init (LoRA), and leave its weights as they are: far less memory.
    The change is kept in adapter/, the model with it in model/."""
    lora_alpha: Alpha | None = None
    """The change's scale is this divided by the rank; twice the rank if left out."""
    micro_batch_size: AtOnce | None = None
    """Rows in memory at once; fewer need less memory and change nothing else."""
    lr: LearningRate | None = None
    """The peak learning rate; 3e-3 from scratch at size tiny, 3e-4 at the others, 5e-5 when fine-tuning, with
    --lora-rank 5e-4."""
    min_lr: LeastLearningRate = 0.0
    """The learning rate toward which the schedule falls at the end."""
    warmup_steps: CountOrZero | None = None
    """Steps over which the learning rate rises to its peak; 100 if left out, in a short run a fifth of it."""
    weight_decay: WeightDecay = 0.1
    """How strongly matrices are pulled toward zero."""
    betas: tuple[BelowOne, BelowOne] = (0.9, 0.99)
    """Adam's decay rates of the first and the second moment."""
    clip: Clip = 1.0
    """The largest norm of a step's gradient; a longer one is scaled down to it."""
    max_length: Count | None = None
    """T_max, the most tokens of a conversation, and of a row of plain text; the model's context if left out."""
    supervise: Literal["response", "all"] = "response"
    """Train on the assistant's responses only, or on every token."""
    pretrain_steps: CountOrZero | None = None
    """Steps at the start that train on every token in any case; two fifths from scratch if left out, else none."""
    seed: Seed = 0
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
    recompute: bool = False
    """Keep the input of each layer alone and compute the rest again in the backward pass: less memory, a third more
    work, the same result."""
    shard: bool = False
    """Under torchrun, spread weights, gradients and moments over the processes, instead of a copy in each."""
    accuracy_rows: Count | None = None
    """Held-out conversations to answer for the accuracy; if left out, all of the built-in test or 50 of other data."""


def saved_options(options: object) -> list[str]:
    """The options that the run to be resumed or repeated was started with, as command-line arguments; of any command
    that makes runs.

    What was derived then is derived again. Of --steps and --epochs the one given now counts.
    """
    if options.resume and options.run is None:
        raise UserError("--resume needs --run, the folder of the run to continue.")
    if options.resume and options.repeat:
        raise UserError("--resume continues a run and --repeat starts it again; give one of them.")
    folder = options.run if options.resume else options.repeat
    if not folder:
        return []
    values = read_options(folder)
    if (command := values.get("command", "train")) != options.command:
        raise UserError(f"{folder} is a run of python -m minigpt.{command}; continue or repeat it with that command.")
    if missing := [name for name in ("data", "init", "seed", "steps") if values.get(name) is None]:
        raise UserError(f"{folder / 'options.json'} does not hold a run's options: {missing[0]} is missing.")
    left_out = set(values.get("derived", ()))
    if "derived" not in values and values.get("init") != "scratch":  # earlier versions wrote these as if given
        left_out |= {"size"} | ({"tokenizer"} if values.get("tokenizer") == values.get("init") else set())
    if options.steps is not None:
        left_out.add("epochs")
    if options.epochs is not None:
        left_out.add("steps")
    return as_arguments(type(options), {name: value for name, value in values.items() if name not in left_out})


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
    """UserError for options that make no sense alone or together, before anything is read."""
    check_values(options)
    if options.steps and options.epochs:
        raise UserError("--steps and --epochs both set the number of steps; give one of them.")
    check_micro_batch(options.micro_batch_size, options.batch_size)
    check_processes(options, processes())
    if options.lora_alpha is not None and options.lora_rank is None:
        raise UserError("--lora-alpha scales what --lora-rank learns; give both.")
    if options.lora_rank is not None and options.init == "scratch":
        raise UserError("--lora-rank learns a small change to weights that are there; give them with --init.")
    if options.supervise == "all" and options.pretrain_steps:
        check_used(options, ["pretrain_steps"], "with --supervise all, which trains on every token throughout")


def check_processes(options: Options, size: int) -> None:
    """UserError for a batch that this many processes cannot share evenly, and for --shard in one alone."""
    if options.shard and size == 1:
        raise UserError(
            "--shard spreads a model over several processes; start them with torchrun --nproc-per-node N -m "
            "minigpt.train." + " --no-shard continues it in one." * options.resume
        )
    if left := options.batch_size % size:
        below, above = options.batch_size - left, options.batch_size - left + size
        raise UserError(
            f"--batch-size {options.batch_size} cannot be shared evenly by {size} processes; "
            + (f"{below} and {above} can." if below else f"{above} can.")
        )


def check_micro_batch(micro_batch_size: int | None, batch_size: int, rows: str = "conversations") -> None:
    """UserError if more rows were asked for at once than a step has."""
    if micro_batch_size is not None and micro_batch_size > batch_size:
        raise UserError(f"--micro-batch-size is {micro_batch_size:,}, and a step has {batch_size:,} {rows}.")


def alpha_of(options: Options) -> float | None:
    """--lora-alpha, twice the rank if left out; None without adapters."""
    return options.lora_alpha or (options.lora_rank and 2.0 * options.lora_rank)


def recipe(options: Options) -> Recipe:
    """The trainer's part of the options."""
    names = {field.name for field in fields(Recipe)}
    return Recipe(**{name: value for name, value in asdict(options).items() if name in names})
