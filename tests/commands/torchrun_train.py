"""`python -m minigpt.train` as torchrun starts it in tests: without pictures, and with a signal at a certain step.

The environment says which: SIGNAL is RANK:STEP:NUMBER, what the process RANK gets while it is about to take that step,
or for the step "evaluation" within the first one after steps were taken.
"""

import os
import signal
from pathlib import Path

from minigpt import train
from minigpt.learn.trainer import Trainer
from minigpt.run import report, session


def draw(run: Path) -> None:
    (run / "loss.png").touch()


def main() -> None:
    report.draw_run = session.draw_run = draw
    rank, step, number = os.environ.get("SIGNAL", "-1:0:0").split(":")
    train_step, response_loss = Trainer.train_step, report.response_loss
    evaluations = []

    def interrupted(trainer: Trainer):
        if trainer.team.rank == int(rank) and str(trainer.step + 1) == step:
            signal.raise_signal(int(number))
        return train_step(trainer)

    def left(*given: object):
        evaluations.append(given)
        if step == "evaluation" and len(evaluations) == 2:
            signal.raise_signal(int(number))
        return response_loss(*given)

    Trainer.train_step, report.response_loss = interrupted, left
    train.entry()


if __name__ == "__main__":
    main()
