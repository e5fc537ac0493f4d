"""`python -m minigpt.train`: train a model: data -> tokenizer -> GPT-2 -> loss -> Adam -> parameters.

That is the diagram of documents A 5 and D 5; `main` is it, read from top to bottom.
"""

from dataclasses import replace

import torch

from minigpt import __version__, command
from minigpt.cli.layout import say
from minigpt.learn.parallel import Team, join
from minigpt.learn.trainer import Trainer
from minigpt.model.gpt import GPT
from minigpt.pretrained.folder import write_config
from minigpt.run.adapter import write_adapter
from minigpt.run.best import Best, write_model
from minigpt.run.defaults import with_defaults, with_device
from minigpt.run.device import choose_device, place
from minigpt.run.folder import run_name
from minigpt.run.log import check_log, open_log
from minigpt.run.loop import take_steps
from minigpt.run.memory import memory_line
from minigpt.run.options import Options, check, recipe, saved_options
from minigpt.run.report import Report
from minigpt.run.samples import samples_of
from minigpt.run.session import Session
from minigpt.run.start import adapter_in_words, initial_model, initial_template, longest_row, notes
from minigpt.text.corpus import PlainText
from minigpt.text.examples import Splits
from minigpt.text.splits import Data, load_data
from minigpt.text.template import save_template


def main(options: Options) -> None:
    check(options)
    check_log(options.log)
    team = join(choose_device(options.device).type)
    with Session(options, team) as session:
        options = with_device(options)
        data = team.in_turn(lambda: read(options))
        options = replace(options, side=data.side)
        tokenizer, model = team.in_turn(lambda: initial_model(options))
        place(model, options.device, options.math, options.compile)
        model.recompute = options.recompute
        template = initial_template(options, tokenizer, plain=isinstance(data, PlainText))
        t_max = longest_row(options.max_length, model.config.n_ctx)
        splits = team.in_turn(lambda: data.encode(template, t_max, options.supervise))
        options = with_defaults(options, len(splits.train), t_max, tokenizer, template.name)
        trainer = Trainer(model, splits.train, recipe(options), team, options.shard)
        session.start(options, trainer, data, run_name(options.data[0], model_name(options)))
        say(f"{summary(options, model, splits, team)}\n{memory_line(trainer)}\nrun     {session.folder}")
        report = best = None
        if team.leads:
            write_config(session.folder / "model", model.config)  # so that the last checkpoint can be used as a model
            save_template(session.folder / "model", template)
            report = Report(session.folder, trainer, splits.valid, samples_of(splits, template), session.stopwatch)
            if options.log:
                report.metrics.observe(open_log(options.log, session.folder))
        session.look(report, Report.before_training)
        if team.leads:
            best = Best(session.folder, options, template)
        take_steps(session, report, best)  # rows -> GPT-2 -> loss -> gradients -> Adam -> parameters

        def finish(report: Report) -> None:
            write_model(session.folder / "model", report.model, template)
            if options.lora_rank:
                write_adapter(session.folder / "adapter", report.trained, options.init, template)
            report.after_training()
            best.after_training(trainer.step)

        session.look(report, finish)


def read(options: Options) -> Data | PlainText:
    """The data of a run."""
    return load_data(options.data, options.valid, options.skip_bad, options.seed, options.accuracy_rows, options.side)


def model_name(options: Options) -> str:
    return options.size if options.init == "scratch" else options.init


def summary(options: Options, model: GPT, splits: Splits, team: Team) -> str:
    """The first lines: the model, the data and the settings of a run."""
    config = model.config
    weights = "random weights" if options.init == "scratch" else f"the weights of {options.init}"
    device = {
        "cpu": f"cpu ({torch.get_num_threads()} threads)",
        "cuda": f"cuda ({torch.cuda.get_device_name()})" if options.device == "cuda" else "",
    }.get(options.device, options.device)
    pretraining = f", the first {options.pretrain_steps:,} on every token" if options.pretrain_steps else ""
    shared = f"; {team.size} processes{', the model in parts' * options.shard}" if team.size > 1 else ""
    return (
        f"minigpt {__version__}: training a GPT-2 {'to follow instructions' if splits.test else 'on plain text'}.\n"
        f"model   {config.parameter_count:,} parameters from {weights}: {config.n_layer} layers, "
        f"{config.n_head} heads, {config.n_embd} channels, context {config.n_ctx}\n"
        f"{splits.words}\n"
        + notes(options, len(splits.test))
        + adapter_in_words(options, model)
        + f"steps   {options.steps:,} of {options.batch_size} {'conversations' if splits.test else 'rows'}"
        f"{pretraining}, learning rate {options.lr:g}, seed {options.seed}\n"
        f"device  {device}, {options.dtype}{shared}\n"
        f"math    {'explicit, each formula as it is written out' if model.is_explicit else 'fast, by torch kernels'}"
    )


def entry() -> None:
    """`python -m minigpt.train` and `minigpt train`."""
    command.run(Options, main, "train", saved_options, goes_on=True)


if __name__ == "__main__":
    entry()
