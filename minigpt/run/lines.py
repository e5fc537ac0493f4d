"""The lines of one or more runs over their steps, as every picture draws them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from minigpt.run.picture import MARKERS, label

SMOOTHED_OVER = 20  # steps, or a twentieth of the run if that is less
FEW_STEPS = 40  # are drawn as points too
WIDE = 30  # times the smallest loss: from here on their axis is logarithmic
DASHED = (0, (4, 2))
HOLLOW = dict(markersize=5.5, markerfacecolor="white", markeredgewidth=1.3)
Column = tuple[list[int], list[float]]


def smoothed(values: Sequence[float], over: int = SMOOTHED_OVER) -> np.ndarray:
    """The running mean of the last `over` values, or of all so far if there are fewer; NaN is left out."""
    known = np.isfinite(np.asarray(values, dtype=float))
    total = np.cumsum([0.0, *np.where(known, values, 0.0)]) if len(values) else np.zeros(1)
    number = np.cumsum([0, *known])
    end = np.arange(1, len(values) + 1)
    start = np.maximum(0, end - over)
    with np.errstate(invalid="ignore"):
        return (total[end] - total[start]) / (number[end] - number[start])


def smoothed_over(steps: int) -> int:
    """How many steps of a run of so many are smoothed over."""
    return max(1, min(SMOOTHED_OVER, steps // 20))


def column(events: Iterable[dict], split: str, name: str) -> Column:
    """The steps and values of a figure, of the events that have it."""
    rows = [event for event in events if event["split"] == split and name in event]
    return [event["step"] for event in rows], [event[name] for event in rows]


def names_of(runs: Sequence[Path]) -> list[str]:
    """The names of the folders, as a picture shows them; their paths if two have one name."""
    names = [run.resolve().name for run in runs]
    return [label(name) for name in (names if len({*names}) == len(names) else map(str, runs))]


def draw_training(
    axis: Axes, steps: Sequence[int], values: Sequence[float], over: int, color: str, few: bool
) -> np.ndarray:
    """Values of each step, faint, and their running mean, which is returned."""
    if over > 1:
        axis.plot(steps, values, color=color, alpha=0.25, linewidth=0.6)
    means = smoothed(values, over)
    axis.plot(steps, means, color=color, linewidth=1.6, marker="." if few else "", markersize=6)
    return means


def draw_held_out(axis: Axes, steps: Sequence[int], values: list[float], color: str, marker: str) -> list[float]:
    """Values that were measured now and then; they are returned."""
    axis.plot(steps, values, color=color, linestyle=DASHED, linewidth=1.3, marker=marker, zorder=3, **HOLLOW)
    return values


def step_axis(axis: Axes, histories: Sequence[list[dict]]) -> int:
    """The steps of all these runs below the axis; returns the last."""
    last = max((event["step"] for events in histories for event in events), default=0)
    axis.set_xlabel("optimizer step")
    axis.set_xlim(-0.02 * max(last, 1), 1.02 * max(last, 1))
    axis.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=(1, 2, 5, 10)))
    axis.grid()
    return last


def scale_losses(axis: Axes, losses: Sequence[float], log_y: bool | None) -> None:
    """A logarithmic axis if `log_y` says so or, without it, if the losses span more than a factor of WIDE."""
    losses = [loss for loss in losses if np.isfinite(loss)]
    low, high = min(losses, default=0.0), max(losses, default=1.0)
    if low > 0 and (high > WIDE * low if log_y is None else log_y):
        axis.set_yscale("log", nonpositive="mask")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda loss, _: f"{loss:g}"))  # the usual one draws markup
        axis.yaxis.set_minor_locator(NullLocator())
        axis.set_ylim(low / 1.25, high * 1.25)
    else:
        bottom = 0.0 if low < high / 2 else low - 0.1 * (high - low or high)
        axis.set_ylim(min(bottom, low), high + 0.08 * (high - bottom or 1.0))


def training_name(over: int) -> str:
    return f"training, mean of {over} steps" if over > 1 else "training"


def legend_entry(color: str, marker: str | None = None, held_out: bool = False) -> Line2D:
    """The line that stands for others in a legend, as `draw_training` and `draw_held_out` draw them."""
    if held_out:
        marker = MARKERS[0] if marker is None else marker
        return Line2D([], [], color=color, linewidth=1.3, linestyle=DASHED, marker=marker, **HOLLOW)
    return Line2D([], [], color=color, linewidth=1.6, marker=marker or "", markersize=5.5)


def add_legend(place: Axes | Figure, entries: Sequence[tuple[str, Line2D]], **where: object) -> Legend:
    """A legend with any names: matplotlib leaves out those that begin with an underscore, so they are set later."""
    legend = place.legend([line for _, line in entries], [str(i) for i in range(len(entries))], **where)
    for entry, (name, _) in zip(legend.get_texts(), entries, strict=True):
        entry.set_text(name)
    return legend
