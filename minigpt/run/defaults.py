"""What follows from the options that were given, from the data and from the machine."""

from dataclasses import asdict, replace

import torch

from minigpt.errors import UserError
from minigpt.run.device import choose_device
from minigpt.run.options import DEFAULT_SIZE, DEFAULT_TEMPLATE, Options, alpha_of
from minigpt.run.prefer_options import AnyOptions
from minigpt.text.tokenizer import Tokenizer

DEFAULT_STEPS = 1250  # of the default job: under three minutes on two CPU cores
DEFAULT_EPOCHS = 3.0
DEFAULT_WARMUP = 100
DEFAULT_LR = {"tiny": 3e-3, "other": 3e-4, "fine-tuning": 5e-5, "adapters": 5e-4}


def with_device(options: AnyOptions) -> AnyOptions:
    """The options with device and type of matrix products filled in; UserError if not available here."""
    device = choose_device(options.device).type
    dtype = options.dtype
    if dtype == "auto":
        dtype = "bfloat16" if device == "cuda" and torch.cuda.is_bf16_supported() else "float32"
    elif dtype == "bfloat16" and device == "mps":
        raise UserError("--dtype bfloat16 is not available on an Apple GPU here; leave --dtype out for float32.")
    return replace(options, device=device, dtype=dtype)


def with_defaults(
    options: Options, rows: int, t_max: int, tokenizer: Tokenizer, template: str | None = DEFAULT_TEMPLATE
) -> Options:
    """The options with every default that depends on others filled in.

    `rows` is how many there are to train on; `template` is None for plain text. UserError for a number of steps that
    the run does not have.
    """
    steps = options.steps
    if steps is None and options.epochs is None and options.data == ("builtin",):
        steps = DEFAULT_STEPS
    elif steps is None:
        steps = max(1, round((options.epochs or DEFAULT_EPOCHS) * rows / options.batch_size))
    scratch = options.init == "scratch"
    pretrain_steps = options.pretrain_steps
    if pretrain_steps is None:
        pretrain_steps = 2 * steps // 5 if scratch and options.supervise == "response" and template else 0
    for name in ("warmup_steps", "pretrain_steps"):
        if (given := getattr(options, name) or 0) > steps - (name == "warmup_steps"):
            raise UserError(
                f"--{name.replace('_', '-')} is {given:,}, and the run has {steps:,} steps; "
                + ("fewer must be for the warmup." if name == "warmup_steps" else "no more can be on every token.")
            )
    size = options.size or (DEFAULT_SIZE if scratch else None)
    of_init = "adapters" if options.lora_rank else "fine-tuning"
    kind = of_init if not scratch else "tiny" if size == "tiny" else "other"
    lr = options.lr or DEFAULT_LR[kind]
    if options.min_lr > lr:
        raise UserError(f"--min-lr is {options.min_lr:g}, above the peak learning rate of {lr:g} (--lr).")
    return replace(
        options,
        size=size,
        template=template and (options.template or template),
        steps=steps,
        lr=lr,
        warmup_steps=min(DEFAULT_WARMUP, steps // 5) if options.warmup_steps is None else options.warmup_steps,
        lora_alpha=alpha_of(options),
        micro_batch_size=options.micro_batch_size or options.batch_size,
        eval_every=options.eval_every or max(1, steps // 5),
        max_length=t_max,
        tokenizer=options.tokenizer or (tokenizer.name if scratch else options.init),
        pretrain_steps=pretrain_steps,
    )


def derived(given: AnyOptions, resolved: AnyOptions) -> list[str]:
    """The options that were left out and have a value now; a resumed run derives them again."""
    left_out = [name for name, value in asdict(given).items() if value is None or value == "auto"]
    return [name for name in left_out if getattr(resolved, name) != getattr(given, name) and name != "run"]
