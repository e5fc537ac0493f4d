"""The events of metrics.jsonl for TensorBoard (--log tensorboard) or Weights & Biases (--log wandb) as well."""

import importlib.util
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from minigpt.errors import UserError
from minigpt.reading import read_object

INSTALL = {"tensorboard": 'pip install "minigpt[log]"', "wandb": "pip install wandb"}


def check_log(name: str | None) -> None:
    """UserError if --log needs a package that is not installed."""
    found = name and importlib.util.find_spec(name)
    if name and not (found and found.origin):  # a folder of that name, as wandb leaves one, is not the package
        raise UserError(f"--log {name} needs the package {name}: {INSTALL[name]}.")


def open_log(name: str, folder: Path) -> Callable[[dict], object]:
    """What writes an event of the run in `folder`. A resumed run is written again from its first event on, so that no
    step is there twice or missing, whatever the interruption was. UserError if the package does not start."""
    try:
        return {"tensorboard": to_tensorboard, "wandb": to_wandb}[name](folder)
    except Exception as error:
        raise UserError(f"--log {name} does not start: {type(error).__name__}: {error}") from None


def to_tensorboard(folder: Path) -> Callable[[dict], object]:
    """Event files in RUN/tensorboard."""
    from torch.utils.tensorboard import SummaryWriter

    for former in (folder / "tensorboard").glob("events.out.tfevents.*"):
        former.unlink()
    # For a TensorBoard that has read the former file: nothing of it counts.
    writer = SummaryWriter(str(folder / "tensorboard"), purge_step=0)

    def write(event: dict) -> None:
        for tag, value in scalars(event):
            writer.add_scalar(tag, value, event["step"])
        writer.flush()

    return write


def to_wandb(folder: Path) -> Callable[[dict], object]:
    """A run of the project minigpt, its files in RUN/wandb; wandb's own settings, such as WANDB_MODE=offline, apply."""
    import wandb

    wandb.finish()  # an earlier run of this process
    wandb.finish()  # an earlier run of this process
    run: Any = wandb.init(
        project="minigpt", name=folder.resolve().name, dir=str(folder), config=read_object(folder / "options.json"),
        settings=wandb.Settings(console="off"),
    )  # fmt: skip
    run.define_metric("*", step_metric="step")
    return lambda event: run.log({"step": event["step"], **dict(scalars(event))})


def scalars(event: dict, prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of an event by name, such as train/loss or test/accuracy_by_kind/capital."""
    prefix = prefix or event["split"]
    for name, value in event.items():
        if isinstance(value, dict):
            yield from scalars(value, f"{prefix}/{name}")
        elif name != "step" and isinstance(value, int | float | None):
            yield f"{prefix}/{name}", math.nan if value is None else float(value)
