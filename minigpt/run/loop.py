"""The steps of a run, whatever it learns from."""

from tqdm import tqdm

from minigpt.run.best import Best, is_due
from minigpt.run.report import Report
from minigpt.run.session import Session


def take_steps(session: Session, report: Report | None, best: Best | None) -> None:
    """Take the steps that are left: train, write, evaluate, checkpoint. A signal ends the run after its step.

    `report` and `best` are the first process's; the others have None.
    """
    trainer, options = session.trainer, session.options

    def look(report: Report) -> bool:
        best.keep_initial(report.model)
        evaluate_if_due(report, best)
        return best.is_over

    with tqdm(total=options.steps, initial=trainer.step, unit="step") as bar:
        is_over = session.look(report, look)  # an interrupted run, when resumed, may owe an evaluation
        while session.running and not is_over:
            done = trainer.train_step()
            if report:
                report.step(done, bar)
            if is_due(trainer.step, options) or trainer.step == options.steps // 2:
                is_over = session.look(report, look)
            if trainer.step % options.checkpoint_every == 0 or trainer.step == options.steps or is_over:
                session.save()
    session.end()


def evaluate_if_due(report: Report, best: Best) -> None:
    """Evaluate after this step, and show the samples midway, unless that was done before the run was interrupted."""
    step = report.trainer.step
    if step and is_due(step, best.options) and step not in best.losses:
        best.consider(step, report.evaluate(), report.model)
        tqdm.write(f"step {step}: {report.evaluated}")
    report.show_midway()
