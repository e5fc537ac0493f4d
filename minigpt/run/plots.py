"""Which picture runs have, and under which name."""

from collections.abc import Sequence
from pathlib import Path

from minigpt.errors import UserError
from minigpt.run import curves
from minigpt.run.folder import read_options
from minigpt.run.frontier_curves import draw_frontiers, draw_policy
from minigpt.run.picture import optional
from minigpt.run.preference_curves import draw_pairs

SHOWN = {"train": "losses", "dpo": "pairs", "reward": "pairs", "rl": "policies"}  # what the runs of a kind share


def kind_of(run: Path) -> str:
    """How a run learns from preferences, dpo, reward or rl; train for every other. UserError for malformed options."""
    options = read_options(run) if (run / "options.json").exists() else {}
    if options.get("command") != "prefer":
        return "train"
    if options.get("method") not in ("dpo", "reward", "rl"):
        raise UserError(f"{run / 'options.json'} does not hold a run's options: malformed method.")
    return options["method"]


def picture_of(run: Path) -> Path:
    """The file of a run's own picture."""
    return run / ("loss.png" if kind_of(run) == "train" else "preference.png")


def draw(runs: Sequence[Path], out: Path, log_y: bool | None = None) -> None:
    """Plot one or more runs: their losses, or what they learned from preferences.

    UserError for runs that share no axis (those of train, of rl, and of dpo or reward), and for a choice of the losses'
    axis where no losses are shown.
    """
    kinds = [kind_of(run) for run in runs]
    for run, kind in zip(runs, kinds, strict=True):
        if SHOWN[kind] != SHOWN[kinds[0]]:
            raise UserError(
                f"{runs[0]} is a run of {_named(kinds[0])}, {run} of {_named(kind)}: their figures share no axis. "
                "Plot them separately."
            )
    match SHOWN[kinds[0]]:
        case "losses":
            curves.draw(runs, out, log_y)
        case "pairs":
            draw_pairs(runs, out, log_y)
        case "policies" if log_y is not None:
            raise UserError("--log-y has no effect on runs of prefer --method rl: their picture has no loss.")
        case "policies" if len(runs) == 1:
            draw_policy(runs[0], out)
        case _:
            draw_frontiers(runs, out)


def _named(kind: str) -> str:
    return kind if kind == "train" else f"prefer --method {kind}"


def draw_run(run: Path) -> None:
    """Plot a run's own picture, in its folder; a warning if that fails."""
    with optional(run / "loss.png"):
        out = picture_of(run)
        with optional(out):
            draw([run], out)
