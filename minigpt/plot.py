"""`python -m minigpt.plot RUN...`: plot the curves of one or more runs."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from minigpt import command
from minigpt.cli.arguments import POSITIONAL
from minigpt.errors import UserError
from minigpt.run.picture import check_picture
from minigpt.run.plots import draw, picture_of


@dataclass
class Options:
    """Plot the losses (and accuracies) of one or more runs in one picture, or what they learned from preferences."""

    runs: tuple[Path, ...] = field(metadata=POSITIONAL)
    """The runs' folders."""
    out: Path | None = None
    """The picture's file, .png or another format that matplotlib writes; if left out, loss.png in the first run's
    folder, or preference.png for runs of prefer."""
    log_y: Literal["auto", "always", "never"] = "auto"
    """Draw the losses on a logarithmic axis; auto does where they span more than a factor of 30."""


def main(options: Options) -> None:
    for run in options.runs:
        if not (run / "metrics.jsonl").is_file():
            raise UserError(f"{run} is not a run's folder: it has no metrics.jsonl.")
    out = options.out or picture_of(options.runs[0])
    check_picture(out)
    try:
        draw(options.runs, out, {"auto": None, "always": True, "never": False}[options.log_y])
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror or error}.") from None
    print(out)


def entry() -> None:
    """`python -m minigpt.plot` and `minigpt plot`."""
    command.run(Options, main, "plot")


if __name__ == "__main__":
    entry()
