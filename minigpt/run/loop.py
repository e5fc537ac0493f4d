"""The steps of a run, whatever it learns from."""

from tqdm import tqdm

from minigpt.run.best import Best
from minigpt.run.report import Report
from minigpt.run.session import Session


def take_steps(session: Session, report: Report, best: Best) -> None:
    """Take the steps that are left: train, write, evaluate, checkpoint. A signal ends the run after its step."""
    trainer, options = session.trainer, session.options
    with tqdm(total=options.steps, initial=trainer.step, unit="step") as bar:
        evaluate_if_due(report, best)  # an interrupted run, when resumed, may owe it
        while session.running and not best.is_over:
            report.step(trainer.train_step(), bar)
            evaluate_if_due(report, best)
            if trainer.step % options.checkpoint_every == 0 or trainer.step == options.steps or best.is_over:
                session.save()
    session.end()


def evaluate_if_due(report: Report, best: Best) -> None:
    """Evaluate after this step, and show the samples midway, unless that was done before the run was interrupted."""
    step = report.trainer.step
    if step and best.is_due(step) and step not in best.losses:
        best.consider(step, report.evaluate())
        tqdm.write(f"step {step}: {report.evaluated}")
    report.show_midway()
