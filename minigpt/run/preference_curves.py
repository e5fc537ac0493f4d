"""Plots of runs that learn from pairs, by dpo or a reward model: over the steps. Read with lesson 15."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from minigpt.run.lines import (
    FEW_STEPS,
    add_legend,
    column,
    draw_held_out,
    draw_training,
    legend_entry,
    names_of,
    scale_losses,
    smoothed_over,
    step_axis,
    training_name,
)  # fmt: skip
from minigpt.run.metrics import read_metrics
from minigpt.run.picture import COLORS, GRAY, MARKERS, picture

ABOVE = dict(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, ncols=2)  # clear of the lines
SIDES = {"chosen": (COLORS[2], MARKERS[1]), "rejected": (COLORS[3], MARKERS[2])}
JUDGED = {"cheerful": ("cheerful answers", COLORS[2], MARKERS[1]), "task": ("task right", COLORS[3], MARKERS[2])}
LETTER = 0.08  # inches of a letter in a legend, about
UNITS = {"logp": "log-likelihood (nats an answer)", "reward": "reward"}


def draw_pairs(runs: Sequence[Path], out: Path, log_y: bool | None = None) -> None:
    """Plot the loss with the line log 2, the share of pairs in the right order with the line 1/2, and beside them the
    log-likelihoods (or rewards) of the chosen and of the rejected answers, which runs of both methods do not share.

    One run also shows how many held-out answers are cheerful and right, if that was measured. `log_y` as in
    `scale_losses`.
    """
    histories, names = [read_metrics(run / "metrics.jsonl") for run in runs], names_of(runs)
    kinds = [kind for kind in UNITS if any(f"chosen_{kind}" in event for events in histories for event in events)]
    panels = 3 if len(kinds) == 1 else 2
    with picture(out, 4.35 * panels, 4.0 if len(runs) == 1 else 4.4) as figure:
        axes = [*figure.subplots(1, panels)]
        shown = [math.log(2), *draw_over_steps(axes[0], histories, "loss")]
        scale_losses(axes[0], shown, log_y)
        axes[0].set_ylabel("loss (nats a pair)")
        draw_level(axes[0], math.log(2), "log 2")
        draw_over_steps(axes[1], histories, "accuracy")
        draw_level(axes[1], 0.5, "1/2")
        share_axis(axes[1], "pairs in the right order (share)")
        if panels == 3:
            axes[2].set_ylabel(UNITS[kinds[0]])
            (_draw_sides if len(runs) == 1 else _compare_sides)(axes[2], histories, kinds[0])
        if len(runs) == 1:
            _name_alone(axes, histories[0])
        else:
            lines = [("training", legend_entry(GRAY)), ("held-out", legend_entry(GRAY, "", held_out=True))]
            legend_below(figure, [*run_entries(names), *lines])


def draw_over_steps(axis: Axes, histories: Sequence[list[dict]], name: str, held_out: str = "") -> list[float]:
    """A figure of each run, in training and on held-out rows, where it may have another name; returns what the axis has
    to hold."""
    shown: list[float] = []
    for i, events in enumerate(histories):
        color, marker = COLORS[i % len(COLORS)], MARKERS[i % len(MARKERS)]
        steps, values = column(events, "train", name)
        shown += [*draw_training(axis, steps, values, smoothed_over(len(steps)), color, len(steps) <= FEW_STEPS)]
        other = COLORS[1] if len(histories) == 1 else color
        shown += draw_held_out(axis, *column(events, "valid", held_out or name), other, marker)
    step_axis(axis, histories)
    return shown


def over_of(events: list[dict]) -> int:
    return smoothed_over(len(column(events, "train", "loss")[0]))


def run_entries(names: Sequence[str]) -> list[tuple[str, Line2D]]:
    """The legend of several runs, a color and a marker each."""
    return [(name, legend_entry(COLORS[i % len(COLORS)], MARKERS[i % len(MARKERS)])) for i, name in enumerate(names)]


def legend_below(figure: Figure, entries: Sequence[tuple[str, Line2D]]) -> None:
    """The legend of the whole figure, in as many columns as fit."""
    widest = 0.7 + LETTER * max(len(name) for name, _ in entries)
    columns = max(1, min(len(entries), int(figure.get_figwidth() / widest)))
    add_legend(figure, entries, loc="outside lower center", ncols=columns)


def draw_level(axis: Axes, level: float, name: str) -> None:
    """A line across the panel, named beside it, where no curve can cross the name."""
    axis.axhline(level, color=GRAY, linestyle=":", linewidth=1.2, zorder=1)
    axis.annotate(
        name, (1, level), (3, 0), ("axes fraction", "data"), "offset points", va="center", fontsize=9, color=GRAY
    )  # fmt: skip


def share_axis(axis: Axes, name: str) -> None:
    axis.set_ylim(-0.03, 1.03)
    axis.set_ylabel(name)


def _name_alone(axes: Sequence[Axes], events: list[dict]) -> None:
    """The legends of a single run, and the answers that were judged."""
    lines = [(training_name(over_of(events)), legend_entry(COLORS[0]))]
    lines += [("held-out", legend_entry(COLORS[1], held_out=True))]
    add_legend(axes[0], lines, **ABOVE)
    judged = [name for name in JUDGED if column(events, "valid", name)[0]]
    for name in judged:
        _, color, marker = JUDGED[name]
        draw_held_out(axes[1], *column(events, "valid", name), color, marker)
    if judged:
        axes[1].set_ylabel("share")
        lines = [(f"pairs in order, {name.split(',')[0]}", line) for name, line in lines]
        styles = [JUDGED[name] for name in judged]
        lines += [(text, legend_entry(color, marker, held_out=True)) for text, color, marker in styles]
        add_legend(axes[1], lines, **ABOVE)


def _draw_sides(axis: Axes, histories: Sequence[list[dict]], kind: str) -> None:
    [events] = histories
    for side, (color, marker) in SIDES.items():
        steps, values = column(events, "train", f"{side}_{kind}")
        draw_training(axis, steps, values, smoothed_over(len(steps)), color, len(steps) <= FEW_STEPS)
        draw_held_out(axis, *column(events, "valid", f"{side}_{kind}"), color, marker)
    add_legend(axis, [(side, legend_entry(*style, held_out=True)) for side, style in SIDES.items()], **ABOVE)
    step_axis(axis, histories)
    if kind == "logp" and (note := fall(*column(events, "valid", "chosen_logp"))):
        axis.set_xlabel(f"{axis.get_xlabel()}\n{note}")


def fall(steps: Sequence[int], chosen: Sequence[float]) -> str:
    """That the chosen answers themselves fell, if they did: DPO asks for a difference only."""
    known = [(value, step) for step, value in zip(steps, chosen, strict=True) if np.isfinite(value)]
    if not known:
        return ""
    (most, step), last = max(known, key=lambda pair: pair[0]), known[-1][0]
    if f"{most:.2f}" == f"{last:.2f}":
        return ""
    return f"chosen fell: {most:.2f} at step {step:,}, {last:.2f} at the end"


def _compare_sides(axis: Axes, histories: Sequence[list[dict]], kind: str) -> None:
    """Chosen and rejected of several runs, on held-out pairs or, without those, in training."""
    for i, events in enumerate(histories):
        color, marker = COLORS[i % len(COLORS)], MARKERS[i % len(MARKERS)]
        split = "valid" if column(events, "valid", f"chosen_{kind}")[0] else "train"
        axis.plot(*column(events, split, f"chosen_{kind}"), color=color, marker=marker, markersize=5.5, linewidth=1.6)
        draw_held_out(axis, *column(events, split, f"rejected_{kind}"), color, marker)
    entries = [("chosen", legend_entry(GRAY, MARKERS[0])), ("rejected", legend_entry(GRAY, held_out=True))]
    add_legend(axis, entries, **ABOVE)
    step_axis(axis, histories)
