"""`python -m minigpt.train` as torchrun starts it in tests: without pictures, and with a signal at a certain step.

The environment says which: SIGNAL is RANK:STEP:NUMBER, what the process RANK gets while it is about to take that step.
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
    rank, step, number = map(int, os.environ.get("SIGNAL", "-1:0:0").split(":"))
    train_step = Trainer.train_step

    def interrupted(trainer: Trainer):
        if (trainer.team.rank, trainer.step) == (rank, step - 1):
            signal.raise_signal(number)
        return train_step(trainer)

    Trainer.train_step = interrupted
    train.entry()


if __name__ == "__main__":
    main()
