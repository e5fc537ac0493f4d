"""Plots of runs of rl: what their reward costs, against the curve of the optimum. Read with lesson 15."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from minigpt.errors import UserError
from minigpt.measure.frontier import ENOUGH, Point
from minigpt.reading import read_object
from minigpt.run.lines import DASHED, HOLLOW, add_legend, column, draw_held_out, legend_entry, names_of, training_name
from minigpt.run.metrics import number_of, read_metrics
from minigpt.run.picture import COLORS, GRAY, MARKERS, picture
from minigpt.run.preference_curves import ABOVE, draw_over_steps, legend_below, over_of, run_entries, share_axis

KL = "KL(pi, ref) (nats an answer)"
FAR = 5  # times the end of the curve: from here on the axis of the divergence is one of square roots
ANSWERS = {"task": ("task right", COLORS[3], MARKERS[2]), "exact_match": ("exact match", COLORS[2], MARKERS[1])}
OPTIMUM = "#000000"


@dataclass(frozen=True)
class Frontier:
    """What frontier.json says: the optima, and the one of the run's own beta."""

    points: tuple[Point, ...]
    draws: int
    beta: float
    here: tuple[float, float] | None  # divergence, reward

    @property
    def known(self) -> int:
        """How many points come from enough draws to be trusted."""
        return sum(point.effective_draws >= ENOUGH for point in self.points)


def read_frontier(folder: Path) -> Frontier | None:
    """The curve of the optimum of a run, None if it has none; UserError for a file that does not hold one."""
    path = folder / "frontier.json"
    if not path.exists():
        return None
    values = read_object(path)
    try:
        names = ("beta", "reward", "divergence", "effective_draws")
        points = tuple(Point(*(number_of(entry[name]) for name in names)) for entry in values["curve"])
        here = values.get("here")
        here = here and (number_of(here["divergence"]), number_of(here["reward"]))
        return Frontier(points, int(values["rewards"]["draws"]), number_of(values["beta"]), here or None)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        raise UserError(f"{path} does not hold the curve of the optimum.") from None


def draw_policy(run: Path, out: Path) -> None:
    """Plot a run's reward, right answers and divergence over the steps, and its frontier beside them."""
    events, frontier = read_metrics(run / "metrics.jsonl"), read_frontier(run)
    judged = [name for name in ANSWERS if column(events, "valid", name)[0]]
    rows = ["reward", "answers", "divergence"] if judged else ["reward", "divergence"]
    with picture(out, 11.0, 6.0 if judged else 4.6) as figure:
        axes = figure.subplot_mosaic([[row, "frontier"] for row in rows], width_ratios=(6, 7))
        draw_over_steps(axes["reward"], [events], "reward")
        axes["reward"].set_ylabel("reward")
        draw_over_steps(axes["divergence"], [events], "kl", "divergence")
        axes["divergence"].set_ylabel("KL(pi, ref)\n(nats an answer)")
        if judged:
            _draw_answers(axes["answers"], events, judged)
        for row in rows[:-1]:
            axes[row].set_xlabel("")
            axes[row].tick_params("x", labelbottom=False)
            axes[row].sharex(axes[rows[-1]])
        lines = [(training_name(over_of(events)), legend_entry(COLORS[0]))]
        add_legend(axes["reward"], [*lines, ("held-out", legend_entry(COLORS[1], held_out=True))], **ABOVE)
        entries = _draw_frontiers(axes["frontier"], [events], [frontier])
        figure.get_layout_engine().set(w_pad=0.1)
        figure.align_ylabels([axes[row] for row in rows])
        name = "this run"
        add_legend(axes["frontier"], [(name, legend_entry(COLORS[0], MARKERS[0])), *entries], **ABOVE)


def draw_frontiers(runs: Sequence[Path], out: Path) -> None:
    """Plot the held-out reward of several runs against their divergence, and beside it the share of right answers over
    the same axis. The curve of the optimum is that of the first run that has one, and each that differs from it."""
    histories, names = [read_metrics(run / "metrics.jsonl") for run in runs], names_of(runs)
    judged = [name for name in ANSWERS if any(column(events, "valid", name)[0] for events in histories)][:1]
    with picture(out, 11.0 if judged else 6.8, 5.0) as figure:
        axes = figure.subplots(1, 2, sharex=True) if judged else [figure.subplots()]
        curves = _draw_frontiers(axes[0], histories, [read_frontier(run) for run in runs])
        for name in judged:
            _draw_against_divergence(axes[1], histories, name)
            share_axis(axes[1], f"{ANSWERS[name][0]} (share, greedy)")
            axes[1].set_xlabel(axes[0].get_xlabel())
            axes[1].grid()
        legend_below(figure, [*run_entries(names), *curves])


def _draw_answers(axis: Axes, events: list[dict], judged: Sequence[str]) -> None:
    draw_over_steps(axis, [events], "")
    for name in judged:
        _, color, marker = ANSWERS[name]
        draw_held_out(axis, *column(events, "valid", name), color, marker)
    share_axis(axis, "share, greedy")
    entries = [(text, legend_entry(color, marker, True)) for text, color, marker in (ANSWERS[name] for name in judged)]
    add_legend(axis, entries, **ABOVE)


def _draw_frontiers(axis: Axes, histories: Sequence[list[dict]], frontiers: Sequence[Frontier | None]) -> list:
    """Runs and optima on one axis; returns the optima's entries for the legend."""
    _draw_against_divergence(axis, histories, "reward")
    curves: dict[tuple[Point, ...], int] = {}
    for i, frontier in enumerate(frontiers):
        if frontier and frontier.points:
            curves.setdefault(frontier.points, i)
    entries = []
    for i in curves.values():
        color = OPTIMUM if len(curves) == 1 else COLORS[i % len(COLORS)]
        _draw_optimum(axis, frontiers[i], color)
    if curves:
        draws = max(frontiers[i].draws for i in curves.values())
        color = OPTIMUM if len(curves) == 1 else GRAY
        shown = "optimum" if len(curves) == 1 else "optimum for the run of its color"
        entries = [(f"{shown}, as far as {draws} draws show", Line2D([], [], color=color, linewidth=1.6))]
    if any(frontiers[i].known < len(points) for points, i in curves.items()):
        entries += [(f"fewer than {ENOUGH} carry weight", Line2D([], [], color=color, linestyle=DASHED))]
    if len(histories) == 1 and frontiers[0] and frontiers[0].here:
        axis.plot(*frontiers[0].here, color=OPTIMUM, marker="*", linestyle="", zorder=4, **HOLLOW | {"markersize": 12})
        star = Line2D([], [], color=OPTIMUM, marker="*", linestyle="", **HOLLOW | {"markersize": 10})
        entries += [(f"optimum at beta {frontiers[0].beta:g}", star)]
    _scale_divergence(axis, histories, [point.divergence for points in curves for point in points])
    axis.set_ylabel("held-out reward (mean of a draw to each prompt)")
    axis.margins(y=0.09)
    axis.grid()
    if len(histories) == 1:
        _name_ends(axis, histories[0])
    return entries


def _draw_against_divergence(axis: Axes, histories: Sequence[list[dict]], name: str) -> None:
    """A figure of each run's evaluations, joined in their order; the last one is filled."""
    for i, events in enumerate(histories):
        color, marker = COLORS[i % len(COLORS)], MARKERS[i % len(MARKERS)]
        rows = [event for event in events if event["split"] == "valid" and name in event and "divergence" in event]
        x, y = [event["divergence"] for event in rows], [event[name] for event in rows]
        axis.plot(x, y, color=color, linewidth=1.6, marker=marker, zorder=3, **HOLLOW)
        axis.plot(x[-1:], y[-1:], color=color, marker=marker, markersize=6.5, linestyle="", zorder=3)


def _draw_optimum(axis: Axes, frontier: Frontier, color: str) -> None:
    """Solid while the draws can tell, dashed beyond."""
    x, y = [point.divergence for point in frontier.points], [point.reward for point in frontier.points]
    known = frontier.known
    axis.plot(x[:known], y[:known], color=color, linewidth=1.6)
    if known < len(x):
        axis.plot(x[max(0, known - 1) :], y[max(0, known - 1) :], color=color, linewidth=1.6, linestyle=DASHED)


def _scale_divergence(axis: Axes, histories: Sequence[list[dict]], optima: Sequence[float]) -> None:
    reached = [value for events in histories for value in column(events, "valid", "divergence")[1]]
    last, end = (max([0.0, *(value for value in found if np.isfinite(value))]) for found in (reached, optima))
    last = max(last, end) or 1.0
    axis.set_xlabel(KL)
    if end and last > FAR * end:
        axis.set_xscale("function", functions=(lambda x: np.sign(x) * np.sqrt(np.abs(x)), lambda x: x * np.abs(x)))
        axis.set_xlabel(f"{KL}, square-root scale")
        axis.set_xlim(-0.002 * last, 1.15 * last)
        ticks = [float(f"{digit}e{power}") for power in range(-300, 300) for digit in (1, 2, 5)]
        axis.set_xticks([0.0, *(tick for tick in ticks if last / 100 <= tick <= 1.15 * last)])
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    else:
        axis.set_xlim(-0.04 * last, 1.12 * last)


def _name_ends(axis: Axes, events: list[dict]) -> None:
    """The first and the last step, where the run's own line is not."""
    rows = [event for event in events if event["split"] == "valid" and "divergence" in event]
    rows = [event for event in rows if np.isfinite(event["divergence"]) and np.isfinite(event.get("reward", np.nan))]
    for event, below in zip(rows[:1] + rows[1:][-1:], (-12, -4), strict=False):
        turned = event is rows[-1] and len(rows) > 1 and rows[-2]["divergence"] > event["divergence"]
        text = axis.annotate(
            f"step {event['step']:,}", (event["divergence"], event["reward"]), (-7 if turned else 7, below),
            textcoords="offset points", ha="right" if turned else "left", fontsize=9, color=COLORS[0], zorder=5,
        )  # fmt: skip
        text.set_path_effects([withStroke(linewidth=3, foreground="white")])
