"""`python -m minigpt.train`: data -> tokenizer -> GPT-2 -> loss -> Adam -> parameters (documents A 5, D 5).

`main` is that drawing, read from top to bottom. Lessons 09 and 13 read it.
"""

import signal
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Literal

import torch
from tqdm import tqdm

from minigpt import __version__, command
from minigpt.data import Data, check_rows, load_data, told_of_rows, write_bad_rows
from minigpt.device import Device, Math, choose_device
from minigpt.errors import UserError
from minigpt.learn.checkpoint import checkpoints, load_checkpoint, save_checkpoint
from minigpt.learn.trainer import NotFinite, Recipe, Trainer
from minigpt.measure.memory import check_memory, out_of_memory
from minigpt.measure.report import Report
from minigpt.model.gpt import GPT
from minigpt.pretrained import weights_sha256
from minigpt.runs import Changes, Lock, as_arguments, new_folder, read_options, write_options
from minigpt.start import start
from minigpt.text.examples import Fitting, fit
from minigpt.text.template import Template, load_template
from minigpt.text.tokenizer import Tokenizer

DEFAULT_STEPS = 1250  # of the default job: what two CPU cores do in about two minutes
DEFAULT_EPOCHS = 3.0
DEFAULT_LR = {"tiny": 3e-3, "other": 3e-4, "fine-tuning": 5e-5}
POSITIVE = (
    "batch_size", "micro_batch_size", "steps", "epochs", "eval_every", "checkpoint_every", "max_length", "lr",
    "accuracy_rows", "keep",
)  # fmt: skip


@dataclass
class Options:
    """Teach a GPT-2 to follow instructions. With no option: `tiny`, from random weights, on the built-in data."""

    init: str = "scratch"
    """Where the weights start: scratch (random), or a model's folder or official size to go on from."""
    size: Literal["tiny", "gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"] = "tiny"
    """The shape of a model from scratch."""
    data: tuple[str, ...] = ("builtin",)
    """Files to learn from (JSON Lines or an array, gzipped or not), hf:owner/name[:config][:split], or builtin."""
    skip_bad: bool = False
    """Go on without the rows that cannot be learned from; they are listed, with the reasons, in the run's folder."""
    valid: str | None = None
    """A file of held-out conversations; without one, a twentieth of the data is held out."""
    template: str = "chatml"
    """How a conversation is laid out: chatml, documents or alpaca."""
    tokenizer: str | None = None
    """bytes, gpt2 or a folder; if left out, that of --init, else bytes for tiny and gpt2 for the official sizes."""
    run: Path | None = None
    """The run's folder; a new one under runs/ if left out."""
    resume: bool = False
    """Go on with the run in --run from its last checkpoint, with the options it was started with, where they are not
    given anew."""
    repeat: Path | None = None
    """Do again, in a new folder, what the run in this folder did: the same data, options and seed, the same losses."""
    checkpoint_every: int = 500
    """Steps between checkpoints; one is written at the end in any case."""
    keep: int = 2
    """How many of the last checkpoints stay; the one before the last is there should the last be spoilt."""
    eval_every: int | None = None
    """Steps between evaluations on held-out data; a fifth of the run if left out."""
    steps: int | None = None
    """Optimiser steps."""
    epochs: float | None = None
    """Passes over the data, in place of --steps; 3 if neither is given (the default job knows its own steps)."""
    batch_size: int = 16
    """Conversations an optimiser step."""
    micro_batch_size: int | None = None
    """Conversations held in memory at once; fewer need less of it and change nothing else."""
    lr: float | None = None
    """The peak learning rate; 3e-3 from scratch at size tiny, 3e-4 at the others, 5e-5 when fine-tuning."""
    warmup_steps: int = 100
    """Steps over which the learning rate rises to its peak."""
    weight_decay: float = 0.1
    """How strongly matrices are pulled to zero."""
    max_length: int | None = None
    """T_max, the tokens of a conversation; the model's context if left out."""
    supervise: Literal["response", "all"] = "response"
    """Learn from the assistants' answers only, or from every token."""
    pretrain_steps: int | None = None
    """Steps at the start that learn from every token all the same; from scratch two fifths if left out, else none."""
    seed: int = 0
    """Fixes the random weights, the order of the data and what is held out."""
    device: Device = "auto"
    """Where to compute; auto takes a CUDA or Apple GPU if there is one."""
    math: Math = "auto"
    """explicit runs each formula as it is written out, fast runs torch's kernels; auto is explicit at size tiny and
    fast at the official sizes."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """What matrices are multiplied in; auto takes bfloat16 on a GPU that has it. Weights and loss stay float32."""
    compile: bool = False
    """Let torch.compile fuse the model's operations; pays on a GPU and in long runs."""
    accuracy_rows: int | None = None
    """Held-out conversations to answer for the accuracy; all of the built-in test, 50 of other data if left out."""


def saved(options: Options) -> list[str]:
    """The options that the run to be resumed or repeated was started with, as arguments."""
    if options.resume and options.run is None:
        raise UserError("--resume needs --run, the folder of the run to go on with.")
    if options.resume and options.repeat:
        raise UserError("--resume goes on with a run and --repeat begins it again; give one of them.")
    folder = options.run if options.resume else options.repeat
    return as_arguments(Options, read_options(folder)) if folder else []


def main(options: Options) -> None:
    earlier = read_options(folder) if (folder := options.run if options.resume else options.repeat) else None
    check(options)
    changes = Changes.between(earlier, asdict(options), repeating=not options.resume) if folder else None
    options = placed(options)
    with ExitStack() as stack:
        if options.resume:
            stack.enter_context(Lock(options.run))
        data = load_data(options.data, options.valid, options.skip_bad, options.seed, options.accuracy_rows)
        tokenizer, model = start(options.init, options.size, options.tokenizer, options.seed)
        model.to(options.device).use_math(options.math)
        if options.compile:
            for block in model.h:
                block.compile(dynamic=True)
        template = load_template(options.template, tokenizer)
        t_max = min(options.max_length or model.config.n_ctx, model.config.n_ctx)
        bad = data.bad if options.skip_bad else None
        train = fit(data.train, template, t_max, options.supervise, bad)
        valid = fit(data.valid, template, t_max, bad=bad)
        test = fit(data.test, template, t_max, bad=[] if options.skip_bad else None)  # nearly always among `valid`
        check_rows(options.data, options.valid, train, valid, test)
        data = replace(data, train=train.conversations, valid=valid.conversations, test=test.conversations)
        options = decided(options, len(train.examples), t_max, tokenizer)
        recipe = Recipe(
            steps=options.steps,
            batch_size=options.batch_size,
            micro_batch_size=options.micro_batch_size,
            lr=options.lr,
            warmup_steps=options.warmup_steps,
            pretrain_steps=options.pretrain_steps,
            weight_decay=options.weight_decay,
            seed=options.seed,
            dtype=options.dtype,
        )
        trainer = Trainer(model, train.examples, recipe)
        check_memory(trainer)
        story = asdict(options) | {
            "version": __version__,
            "torch": torch.__version__,
            "sha256": data.files,
            "init_sha256": {} if options.init == "scratch" else weights_sha256(options.init),
        }
        if changes:
            changes.check_files(story)
        if options.resume:
            go_on(options, trainer, changes, story)
        else:
            options = replace(options, run=new_folder(options.run, f"{stem(options.data[0])}-{options.size}"))
            stack.enter_context(Lock(options.run))
            write_options(options.run, story | {"run": options.run})
            write_bad_rows(options.run / "bad_rows.jsonl", data.bad)
            if changes and changes.found:
                print(changes.in_words(0))
        introduce(options, data, model, template, train)
        report = Report(options.run, trainer, template, valid.examples, test.conversations)
        try:
            learn(options, trainer, report)
        except (RuntimeError, MemoryError) as error:
            raise out_of_memory(error, trainer) from None


def stem(name: str) -> str:
    """What a run is called after its data: train of some/train.jsonl.gz, gsm8k-main of hf:openai/gsm8k:main."""
    return name.split("/")[-1].split(".")[0].replace(":", "-")


def go_on(options: Options, trainer: Trainer, changes: Changes, story: dict) -> None:
    """Put the trainer where the run was; UserError if there is nothing left to do."""
    run = options.run
    if checkpoints(run / "checkpoint"):
        load_checkpoint(run / "checkpoint", trainer)
    if trainer.step > options.steps:
        raise UserError(f"{run} has already taken {trainer.step} steps; --steps {options.steps} lies behind it.")
    if trainer.step == options.steps and (run / "result.json").exists():
        raise UserError(f"{run} is finished: it took its {options.steps} steps. --steps with more goes on with it.")
    (run / "result.json").unlink(missing_ok=True)
    if changes.found:
        write_options(run, changes.recorded(story, trainer.step))
        print(changes.in_words(trainer.step))


def learn(options: Options, trainer: Trainer, report: Report) -> None:
    """The steps, with a look at how it goes before, midway and after; ends early, and can be resumed, on a signal."""
    start = time.perf_counter()
    again = f"python -m minigpt.train --resume --run {options.run}"
    with Interruption() as interruption:
        before = report.first_look()
        with tqdm(total=options.steps, initial=trainer.step, unit="step") as bar:
            while trainer.step < options.steps and not interruption.signal:
                step_start = time.perf_counter()
                try:
                    done = trainer.train_step()
                except NotFinite as error:
                    report.draw()
                    kept = [path.name for path in checkpoints(options.run / "checkpoint")]
                    raise UserError(
                        f"{error}\nCheckpoints: {', '.join(kept) or 'none yet'}. A lower rate may get past it: "
                        f"{again} --lr {options.lr / 3:.1g}; it goes on from the last, so remove one that is spoilt."
                    ) from None
                seconds = time.perf_counter() - step_start
                report.step(done, seconds)
                bar.set_postfix(loss=f"{done.loss:.3f}", tok_s=f"{done.tokens / seconds:,.0f}", refresh=False)
                bar.update()
                if trainer.step % options.eval_every == 0 and trainer.step < options.steps:
                    tqdm.write(f"step {trainer.step}: held-out loss {report.evaluate():.3f}")
                if trainer.step == options.steps // 2:
                    report.show_samples(f"Midway, after {trainer.step} steps")
                if trainer.step % options.checkpoint_every == 0 or trainer.step == options.steps:
                    save_checkpoint(options.run / "checkpoint", trainer, options.keep)
        if interruption.signal:
            save_checkpoint(options.run / "checkpoint", trainer, options.keep)
            report.draw()
            print(f"Stopped after step {trainer.step}. To go on: {again}")
            raise SystemExit(128 + interruption.signal)
    report.finish(before, time.perf_counter() - start)


class Interruption:
    """Ctrl-C and SIGTERM let the step in hand end; `signal` says which came. A second one ends at once."""

    def __enter__(self) -> "Interruption":
        self.signal = 0
        self._before = {number: signal.signal(number, self._take) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def check(options: Options) -> None:
    """UserError for numbers that make no sense, before anything is read."""
    for name in POSITIVE:
        value = getattr(options, name)
        if value is not None and not value > 0:
            raise UserError(f"--{name.replace('_', '-')} is {value}; it must be above 0.")
    if options.steps and options.epochs:
        raise UserError("--steps and --epochs say the same thing; give one of them.")


def placed(options: Options) -> Options:
    """The device and the number format, chosen where they were left to us; UserError for a GPU that is not there."""
    # Numbers below 1e-38 count as zero: a CPU is many times slower at them, and no sum here can tell.
    torch.set_flush_denormal(True)
    device = choose_device(options.device).type
    dtype = options.dtype
    if dtype == "auto":
        dtype = "bfloat16" if device == "cuda" and torch.cuda.is_bf16_supported() else "float32"
    return replace(options, device=device, dtype=dtype)


def decided(options: Options, rows: int, t_max: int, tokenizer: Tokenizer) -> Options:
    """The options with every default that depends on others filled in."""
    steps = options.steps
    if steps is None and options.epochs is None and options.data == ("builtin",):
        steps = DEFAULT_STEPS
    elif steps is None:
        steps = max(1, round((options.epochs or DEFAULT_EPOCHS) * rows / options.batch_size))
    scratch = options.init == "scratch"
    pretrain_steps = options.pretrain_steps
    if pretrain_steps is None:
        pretrain_steps = 2 * steps // 5 if scratch and options.supervise == "response" else 0
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


def introduce(options: Options, data: Data, model: GPT, template: Template, fitted: Fitting) -> None:
    """The first lines: what is about to happen, and where it is kept."""
    config = model.config
    supervised = sum(sum(row.supervised) for row in fitted.examples)
    read = sum(len(row.ids) for row in fitted.examples)
    weights = "random weights" if options.init == "scratch" else f"the weights of {options.init}"
    threads = (
        f" ({torch.get_num_threads()} threads)"
        if options.device == "cpu"
        else f" ({torch.cuda.get_device_name()})"
        if options.device == "cuda"
        else ""
    )
    pretraining = f", the first {options.pretrain_steps:,} from every token" if options.pretrain_steps else ""
    print(
        f"minigpt {__version__}: teaching a GPT-2 to answer.\n"
        f"model   {config.parameter_count:,} parameters from {weights}: {config.n_layer} layers, "
        f"{config.n_head} heads, {config.n_embd} channels, context {config.n_ctx}\n"
        f"data    {', '.join(options.data)}: {len(fitted.examples):,} conversations to learn from, "
        f"{len(data.valid):,} held out; template {template.name}\n"
        + told_of_rows(data)
        + f"tokens  {template.tokenizer.name}, vocabulary of {config.vocab_size:,}; "
        f"{read - supervised:,} prompt tokens, {supervised:,} supervised; {fitted}\n"
        f"steps   {options.steps:,} of {options.batch_size} conversations{pretraining}, learning rate {options.lr:g}, "
        f"seed {options.seed}\n"
        f"device  {options.device}{threads}, {options.dtype}\n"
        f"math    {'explicit, each formula as it is written out' if model.is_explicit else 'fast, by torch kernels'}\n"
        f"run     {options.run}"
    )


if __name__ == "__main__":
    command.run(Options, main, "train", saved)
