"""The options of `python -m minigpt.prefer`."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import ClassVar, Literal

from minigpt.config import GPTConfig
from minigpt.errors import UserError
from minigpt.learn.trainer import Recipe
from minigpt.ranges import (
    AtOnce,
    BelowHalf,
    Beta,
    Count,
    CountOrZero,
    Epochs,
    LearningRate,
    Seed,
    Value,
    Weight,
    check_values,
)  # fmt: skip
from minigpt.run.device import Device, Math
from minigpt.run.options import Options, check_micro_batch

METHODS = {"dpo": "DPO", "reward": "a reward model", "rl": "reinforcement learning"}
# The options that only some methods have. Each is None if left out, and then has the default of its method.
OF_METHODS = {
    "beta": ("dpo", "rl"),
    "sft_weight": ("dpo",),
    "label_smoothing": ("dpo", "reward"),
    "reward": ("rl",),
    "group_size": ("rl",),
    "max_new_tokens": ("rl",),
    "unfinished": ("rl",),
}
DEFAULTS = {"beta": 0.1, "sft_weight": 1.0, "label_smoothing": 0.0, "group_size": 8}
BATCH_SIZE = {"dpo": 16, "reward": 16, "rl": 12}
STEPS = {"dpo": 150, "reward": 40, "rl": 80}  # on the built-in pairs
WARMUP = 10
# The peak learning rates of a small model, and of the official sizes.
LR = {"dpo": (5e-5, 5e-6), "reward": (1e-4, 1e-5), "rl": (5e-5, 1e-6)}


@dataclass
class PreferOptions:
    """Train a model on what people prefer: by DPO from pairs of answers, or by a reward model from pairs and
    reinforcement learning with it.

    Without options other than --init: DPO on the built-in pairs, which prefer an answer that ends with "!".
    """

    command: ClassVar[str] = "prefer"
    # What `train` has as options, and this command has not.
    keep_best: ClassVar[bool] = False
    patience: ClassVar[None] = None

    init: str | None = None
    """The model to start from, and the reference to stay near: a run of python -m minigpt.train, or a model's
    folder."""
    method: Literal["dpo", "reward", "rl"] = "dpo"
    """dpo learns from pairs; reward trains a reward model on pairs; rl learns from rewards of its own answers."""
    data: tuple[str, ...] = ("builtin",)
    """Files of pairs (prompt, chosen, rejected), hf:owner/name[:config][:split], or builtin; for rl pairs or
    conversations, of which the prompts are used."""
    valid: str | None = None
    """A file of held-out pairs, or for rl prompts; without one, a twentieth of the data is held out."""
    skip_bad: bool = False
    """Leave out unusable rows instead of stopping; they are listed, with the reasons, in the run's folder."""
    max_length: Count | None = None
    """T_max, the most tokens of a prompt and its answer; the model's context if left out."""
    beta: Beta | None = None
    """What a nat of divergence from the reference costs, 0.1 if left out (dpo, rl); 0 with rl: nothing holds it."""
    sft_weight: Weight | None = None
    """How much of the NLL a token of the chosen answers is added to DPO's loss, 1 if left out; 0 is DPO alone."""
    label_smoothing: BelowHalf | None = None
    """The share of the labels held to be the wrong way round, 0 if left out (dpo, reward)."""
    reward: str | None = None
    """What rl learns from: exact (1 for exactly the wanted answer), a run of --method reward, or FILE.py:NAME, a
    function (messages, answer, ended) that gives a number."""
    group_size: AtOnce | None = None
    """Answers drawn to each prompt in rl, at least 2; 8 if left out."""
    max_new_tokens: AtOnce | None = None
    """The most tokens of an answer drawn in rl; if left out, the longest wanted answer and its end."""
    unfinished: Value | None = None
    """What an answer that was cut off is worth in rl, instead of its reward; if left out, the lowest reward of a
    held-out answer with a learned reward, and with others what they say."""
    run: Path | None = None
    """The run's folder; a new one under runs/ if left out."""
    resume: bool = False
    """Continue the run in --run from its last checkpoint, with the options it was started with unless they are given
    again."""
    repeat: Path | None = None
    """Repeat the run in this folder in a new one: the same data, options and seed, so the same metrics."""
    checkpoint_every: Count = 500
    """Steps between checkpoints; one is written at the end in any case."""
    keep: Count = 2
    """How many of the last checkpoints to keep."""
    eval_every: Count | None = None
    """Steps between evaluations on held-out data; a quarter of the run if left out."""
    steps: Count | None = None
    """Optimizer steps."""
    epochs: Epochs | None = None
    """Passes over the data, instead of --steps; 1 if neither is given (the built-in data has its own number of
    steps)."""
    batch_size: AtOnce | None = None
    """Pairs in an optimizer step, 16 if left out, or prompts of rl, 12."""
    micro_batch_size: AtOnce | None = None
    """Pairs, or prompts with all of their answers, in memory at once; fewer need less memory and change nothing
    else."""
    lr: LearningRate | None = None
    """The peak learning rate; if left out 5e-5 (dpo, rl) or 1e-4 (reward) for a small model, and 5e-6, 1e-5 (reward)
    or 1e-6 (rl) for the official sizes, which was not measured."""
    warmup_steps: CountOrZero | None = None
    """Steps over which the learning rate rises to its peak; 10 if left out, in a short run a fifth of it."""
    seed: Seed = 0
    """Fixes the order of the data, what is held out, and the answers that are drawn."""
    device: Device = "auto"
    """Where to compute; auto takes a CUDA or Apple GPU if there is one."""
    math: Math = "auto"
    """explicit runs each formula as it is written out, fast runs torch's kernels; auto is explicit at size tiny and
    fast at the official sizes."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """The type of matrix products; auto takes bfloat16 on a CUDA GPU that has it. Weights and loss stay float32."""


AnyOptions = Options | PreferOptions  # of the commands that make a run


def check(options: PreferOptions) -> None:
    """UserError for options that make no sense alone or together, before anything is read."""
    check_values(options)
    method = options.method
    if options.init is None:
        raise UserError("--init is needed: a run of python -m minigpt.train, or any model's folder.")
    for name, methods in OF_METHODS.items():
        if getattr(options, name) is not None and method not in methods:
            flag = "--" + name.replace("_", "-")
            raise UserError(f"{flag} is for --method {' and '.join(methods)}; --method {method} does not use it.")
    if method == "rl" and options.reward is None:
        raise UserError("--method rl needs --reward: exact, a run of --method reward, or FILE.py:NAME.")
    if method == "dpo" and options.beta == 0:
        raise UserError("--beta is 0; it must be above 0 with --method dpo, whose reward is beta times a log-ratio.")
    if options.group_size == 1:
        raise UserError("--group-size is 1, and one answer has nothing to be compared with; give at least 2.")
    if options.steps and options.epochs:
        raise UserError("--steps and --epochs both set the number of steps; give one of them.")
    check_micro_batch(options.micro_batch_size, options.batch_size or BATCH_SIZE[method], "pairs or prompts")


def with_prefer_defaults(options: PreferOptions, rows: int, t_max: int, config: GPTConfig) -> PreferOptions:
    """The options with every default that depends on others filled in, for `rows` pairs or prompts to learn from.

    UserError for a warmup longer than the run.
    """
    method = options.method
    batch_size = options.batch_size or BATCH_SIZE[method]
    steps = options.steps
    if steps is None and options.epochs is None and options.data == ("builtin",):
        steps = STEPS[method]
    elif steps is None:
        steps = max(1, round((options.epochs or 1.0) * rows / batch_size))
    if (options.warmup_steps or 0) > steps - 1:
        raise UserError(
            f"--warmup-steps is {options.warmup_steps:,}, and the run has {steps:,} steps; fewer must be for the "
            "warmup."
        )
    own = {
        name: value for name, value in DEFAULTS.items() if method in OF_METHODS[name] and getattr(options, name) is None
    }
    return replace(
        options,
        **own,
        steps=steps,
        batch_size=batch_size,
        micro_batch_size=options.micro_batch_size or batch_size,
        lr=options.lr or LR[method][0 if config.is_small else 1],
        warmup_steps=min(WARMUP, steps // 5) if options.warmup_steps is None else options.warmup_steps,
        eval_every=options.eval_every or -(-steps // 4),
        max_length=t_max,
    )


def prefer_recipe(options: PreferOptions) -> Recipe:
    """The trainer's part of the options. Weights do not decay: being pulled to zero is not being held near the
    reference."""
    names = {field.name for field in fields(Recipe)} & {field.name for field in fields(PreferOptions)}
    return Recipe(**{name: getattr(options, name) for name in names}, weight_decay=0.0)
