"""`python -m minigpt.prefer --init RUN`: learn from preferences: DPO, a reward model, reinforcement learning.

Documents B 6, A 9 and D 9. Read with lesson 15.
"""

from minigpt import __version__, command
from minigpt.cli.layout import say
from minigpt.model.gpt import GPT
from minigpt.preference.reward import RewardModel
from minigpt.run.best import Best, write_model
from minigpt.run.defaults import with_device
from minigpt.run.folder import run_name
from minigpt.run.loop import take_steps
from minigpt.run.memory import memory_line
from minigpt.run.options import saved_options
from minigpt.run.prefer_options import METHODS, check
from minigpt.run.prefer_options import PreferOptions as Options
from minigpt.run.preference_report import PreferenceReport
from minigpt.run.preference_tasks import Task, task_of
from minigpt.run.session import Session
from minigpt.run.start import load_model


def main(options: Options) -> None:
    check(options)
    with Session(options) as session:
        options = with_device(options)
        model, template = load_model(options.init, None, options.device, options.math)
        template.check(model.config.tokens)
        if options.method == "reward":
            model = RewardModel(model)
        task = task_of(options, model, template)
        options, trainer = task.options, task.trainer
        session.start(options, trainer, task.data, run_name(options.data[0], options.method))
        write_model(session.folder / "model", model, template)
        say(f"{summary(options, model, task)}\n{memory_line(trainer)}\nrun     {session.folder}")
        report = PreferenceReport(session.folder, trainer, task.measures, task.samples, session.stopwatch)
        report.before_training()
        best = Best(session.folder, options, template)
        take_steps(session, report, best)
        write_model(session.folder / "model", model, template)
        report.after_training()


def summary(options: Options, model: GPT | RewardModel, task: Task) -> str:
    config = model.config
    return (
        f"minigpt {__version__}: {METHODS[options.method]}.\n"
        f"model   {config.parameter_count:,} parameters from {options.init}: {config.n_layer} layers, "
        f"{config.n_head} heads, {config.n_embd} channels, context {config.n_ctx}\n"
        f"{task.words}"
        f"steps   {options.steps:,} of {options.batch_size} {'prompts' if options.method == 'rl' else 'pairs'}, "
        f"learning rate {options.lr:g}, seed {options.seed}\n"
        f"device  {options.device}, {options.dtype}"
    )


def entry() -> None:
    """`python -m minigpt.prefer` and `minigpt prefer`."""
    command.run(Options, main, "prefer", saved_options, goes_on=True)


if __name__ == "__main__":
    entry()
