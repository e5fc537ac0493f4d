"""Plots of a run's metrics, and of the data's lengths."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from minigpt.run.lines import (
    DASHED,
    FEW_STEPS,
    add_legend,
    column,
    draw_held_out,
    draw_training,
    legend_entry,
    names_of,
    scale_losses,
    smoothed,
    smoothed_over,
    step_axis,
    training_name,
)  # fmt: skip
from minigpt.run.metrics import read_metrics
from minigpt.run.picture import COLORS, GRAY, MARKERS, check_picture, label, optional, picture

__all__ = ["Figure", "check_picture", "draw", "draw_lengths", "integer_bins", "optional", "smoothed"]

MOST_KINDS = 40
MOST_BINS = 50


def draw(runs: Sequence[Path], out: Path, log_y: bool | None = None) -> None:
    """Plot the losses over the steps and, if measured, exact match by kind beside them.

    The axis of the losses is logarithmic if `log_y` says so or, without it, if they span more than a factor of WIDE.
    """
    histories = [read_metrics(run / "metrics.jsonl") for run in runs]
    names = names_of(runs)
    shares = [_last_shares(events) for events in histories]
    kinds = {kind for found in shares for kind in found}
    beside = len(kinds) > 1 or (len(runs) > 1 and len(kinds) == 1)
    height = max(4.0, min(10.0, 0.8 + min(len(kinds), MOST_KINDS) * max(0.2, 0.11 * len(runs)))) if beside else 4.0
    with picture(out, 10.0 if beside else 6.8, height) as figure:
        axes = figure.subplots(1, 2, width_ratios=(8, 5)) if beside else [figure.subplots()]
        _draw_losses(axes[0], histories, names, log_y)
        if beside:
            _draw_shares(axes[1], shares, names, kinds)
        elif kinds:
            [share] = shares[0].values()
            axes[0].set_title(f"exact match on the test: {share:.1%}", loc="right", fontsize=9, color=GRAY, pad=16)


def _last_shares(events: list[dict]) -> dict[str, float]:
    """Exact match by kind, as last measured after a step."""
    found = [event["accuracy_by_kind"] for event in events if "accuracy_by_kind" in event and event["step"]]
    return found[-1] if found else {}


def _draw_losses(axis: Axes, histories: list[list[dict]], names: list[str], log_y: bool | None) -> None:
    shown: list[float] = []  # what the axis has to hold; of the unsmoothed losses it may cut a peak off
    over = 1
    for i, events in enumerate(histories):
        of_training, of_held_out = (COLORS[i % len(COLORS)],) * 2 if len(histories) > 1 else COLORS[:2]
        training = [event for event in events if event["split"] == "train"]
        over = smoothed_over(len(training))
        few = len(training) <= FEW_STEPS
        for pretraining in (True, False):  # two losses: a mean over both would be of neither
            rows = [event for event in training if bool(event.get("pretraining")) == pretraining]
            shown += [*draw_training(axis, *column(rows, "train", "loss"), over, of_training, few)]
        shown += draw_held_out(axis, *column(events, "valid", "loss"), of_held_out, MARKERS[i % len(MARKERS)])
    axis.set_ylabel("loss (nats per token)")
    last = step_axis(axis, histories)
    scale_losses(axis, shown, log_y)
    switches = _mark_stages(axis, histories, last)
    _name_lines(axis, names, over, switches)


def _mark_stages(axis: Axes, histories: list[list[dict]], last: int) -> set[int]:
    """A line after the last step that was trained on every token; the two stages are named above the axis.

    Returns these steps: several if the runs differ, which are then not named but drawn in the legend.
    """
    switches = set()
    for events in histories:
        stages = {bool(event.get("pretraining")): event["step"] for event in events if event["split"] == "train"}
        if len(stages) == 2:  # the last step of each
            switches.add(stages[True])
    for step in switches:
        axis.axvline(step + 0.5, color=GRAY, linestyle=":", linewidth=1.2, zorder=1)
    if len(switches) == 1 and last:
        [step] = switches
        for name, begin, end in (("every token", 0, step), ("responses only", step, last)):
            if end - begin > 0.17 * last:  # else it would reach beyond its stage
                axis.annotate(
                    name, ((begin + end) / 2, 1), (0, 3), ("data", "axes fraction"), "offset points", ha="center",
                    va="bottom", fontsize=9, color=GRAY,
                )  # fmt: skip
    return switches


def _name_lines(axis: Axes, names: list[str], over: int, switches: set[int]) -> None:
    training, entry = training_name(over), legend_entry
    if len(names) == 1:
        entries = [(training, entry(COLORS[0])), ("held-out", entry(COLORS[1], held_out=True))]
    else:
        entries = [(name, entry(COLORS[i % len(COLORS)], MARKERS[i % len(MARKERS)])) for i, name in enumerate(names)]
        entries += [("training", entry(GRAY)), ("held-out", entry(GRAY, "", held_out=True))]
    if len(switches) > 1:
        entries.append(("end of training on every token", Line2D([], [], color=GRAY, linestyle=":")))
    add_legend(axis, entries)


def _draw_shares(axis: Axes, shares: list[dict[str, float]], names: list[str], kinds: set[str]) -> None:
    """A bar for each run and kind of task, or for each run if there is one kind; the lowest if there are too many."""
    low_first = sorted(kinds, key=lambda kind: (np.mean([found[kind] for found in shares if kind in found]), kind))
    rows = low_first[:MOST_KINDS] if len(kinds) > MOST_KINDS else sorted(kinds)
    if len(rows) == 1:
        bars = [(i, 0.8, COLORS[i % len(COLORS)], found[rows[0]]) for i, found in enumerate(shares) if found]
        ticks = names
    else:
        height = 0.8 / len(shares)
        bars = [
            (row - 0.4 + height * (i + 0.5), height, COLORS[i % len(COLORS)], found[kind])
            for i, found in enumerate(shares)
            for row, kind in enumerate(rows)
            if kind in found
        ]
        ticks = [label(kind) for kind in rows]
    axis.barh(range(len(ticks)), 100, 0.8, color="#f0f0f0")  # what is missing: a share of 0 is a bar too
    for place, height, color, share in bars:
        axis.barh(place, 100 * share, height, color=color)
        if len(bars) <= 3 * MOST_KINDS:
            axis.text(102, place, f"{100 * share:.0f}", va="center", fontsize=8 if len(shares) <= 2 else 6)
    axis.set_yticks(range(len(ticks)), ticks)
    axis.tick_params("y", length=0)
    axis.set(xlim=(0, 100), ylim=(len(ticks) - 0.4, -0.6), xlabel="exact match on the test (%)")
    if len(kinds) > MOST_KINDS:
        axis.set_title(f"the lowest {MOST_KINDS} of {len(kinds):,} kinds", fontsize=9, color=GRAY)


def draw_lengths(prompt: Sequence[int], response: Sequence[int], rows: Sequence[int], t_max: int, out: Path) -> None:
    """Plot histograms of Q_i and A_i, and beside them of the full sequences with T_max."""
    with picture(out, 10.0, 4.0) as figure:
        texts, sequences = figure.subplots(1, 2)
        edges = _bins_in_view(texts, [*prompt, *response], "prompt and response tokens")
        for name, counts, color in (("prompt", prompt, COLORS[0]), ("response", response, COLORS[1])):
            heights, *_ = texts.hist(counts, edges, color=color, alpha=0.4, label=f"{name}, mean {np.mean(counts):.1f}")
            texts.stairs(heights, edges, color=color, linewidth=1.2)
        texts.set_ylabel("conversations")
        edges = _bins_in_view(sequences, rows, "tokens of the full sequence (with template)")
        sequences.hist(rows, edges, color=COLORS[2])
        begin, end = sequences.get_xlim()
        line = sequences.axvline(t_max, color="black", linestyle=DASHED, linewidth=1.3, label=f"T_max {t_max:,}")
        sequences.set_xlim(begin, end)
        longer = sum(n > t_max for n in rows)
        line.set_visible(begin < t_max < end)
        where = "" if t_max < end else ", which is beyond the right edge"
        note = f"{longer:,} of {len(rows):,} are longer than T_max" if longer else "all fit into T_max"
        sequences.set_title(note + where, loc="left", fontsize=9)
        for axis in (texts, sequences):
            axis.grid(axis="y")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
            axis.yaxis.set_major_locator(MaxNLocator(integer=True))
            axis.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2, ncols=2)  # above, clear of bars


def _bins_in_view(axis: Axes, counts: Sequence[int], name: str) -> np.ndarray:
    """Edges of the bins, which are all in view. The longest are left out, with a note, if they are few and far away."""
    most, usual = max(counts), int(np.quantile(counts, 0.995))
    edges = integer_bins([n for n in counts if n <= usual] if most > 3 * usual else counts)
    beyond = sum(n > edges[-1] for n in counts)
    axis.set_xlabel(f"{name}\n{beyond:,} longer, up to {most:,}, are not shown" if beyond else name)
    margin = max(0.03 * (edges[-1] - edges[0]), 5 - (edges[-1] - edges[0]) / 2)
    axis.set_xlim(max(0, edges[0] - margin), edges[-1] + margin)
    return edges


def integer_bins(counts: Sequence[int]) -> np.ndarray:
    """Edges of bins that each hold equally many integers: with unequal ones a smooth histogram looks like a comb."""
    low, high = min(counts), max(counts)
    width = -(-(high - low + 1) // MOST_BINS)
    return np.arange(low, high + width + 1, width) - 0.5
