"""Plots of a run's metrics, and of the data's lengths."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure  # not pyplot: importing this changes no notebook's backend

from minigpt.run.metrics import read_metrics

SMOOTHED_OVER = 20  # steps
MOST_BINS = 50


def smoothed(values: Sequence[float], over: int = SMOOTHED_OVER) -> np.ndarray:
    """The running mean of the last `over` values, or of all so far if there are fewer."""
    total = np.cumsum(np.concatenate([[0.0], np.asarray(values, dtype=float)]))
    end = np.arange(1, len(values) + 1)
    start = np.maximum(0, end - over)
    return (total[end] - total[start]) / (end - start)


def draw(runs: Sequence[Path], out: Path) -> None:
    """Plot the losses over the steps and, if measured, exact match by kind beside them."""
    histories = [(run.name, read_metrics(run / "metrics.jsonl")) for run in runs]
    measured = [(name, [e for e in events if "accuracy_by_kind" in e and e["step"]]) for name, events in histories]
    with_accuracy = any(events for _, events in measured)
    figure = Figure(figsize=(12 if with_accuracy else 7, 4.4), layout="constrained")
    axes = figure.subplots(1, 2 if with_accuracy else 1, squeeze=False)
    _draw_loss(axes[0, 0], histories)
    if with_accuracy:
        _draw_accuracy(axes[0, 1], measured)
    figure.savefig(out, dpi=110)


def _draw_loss(axis: Axes, histories: list[tuple[str, list[dict]]]) -> None:
    for i, (name, events) in enumerate(histories):
        prefix = f"{name}: " if len(histories) > 1 else ""
        steps, losses = _column(events, "train")
        if steps:
            axis.plot(steps, losses, color=f"C{i}", alpha=0.2, linewidth=0.8)
            axis.plot(steps, smoothed(losses), color=f"C{i}", label=f"{prefix}training, mean of {SMOOTHED_OVER} steps")
        steps, losses = _column(events, "valid")
        if steps:
            axis.plot(
                steps,
                losses,
                "o--",
                color=f"C{i}",
                markerfacecolor="white",
                linewidth=1,
                label=f"{prefix}held-out responses",
            )
        pretrained = [e["step"] for e in events if e.get("pretraining")]
        if pretrained:
            axis.axvline(pretrained[-1], color=f"C{i}", linestyle=":", linewidth=1)
            axis.annotate(
                "every token | responses only",
                (pretrained[-1], 0.98),
                xycoords=("data", "axes fraction"),
                ha="center",
                va="top",
                fontsize="small",
            )
    axis.set(xlabel="optimizer step", ylabel="loss (nats per token)")
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)
    if axis.lines:
        axis.legend(frameon=False)


def _column(events: list[dict], split: str) -> tuple[list[int], list[float]]:
    rows = [e for e in events if e["split"] == split]
    return [e["step"] for e in rows], [e["loss"] for e in rows]


def _draw_accuracy(axis: Axes, measured: list[tuple[str, list[dict]]]) -> None:
    kinds = sorted(
        {kind for _, events in measured for e in events[-1:] for kind in e["accuracy_by_kind"]}, reverse=True
    )
    height = 0.8 / len(measured)
    for i, (name, events) in enumerate(measured):
        if events:
            by_kind = events[-1]["accuracy_by_kind"]
            places = np.arange(len(kinds)) - 0.4 + height * (i + 0.5)
            axis.barh(places, [100 * by_kind.get(kind, 0) for kind in kinds], height, color=f"C{i}", label=name)
    axis.set_yticks(range(len(kinds)), kinds)
    axis.set(xlabel="exact match on the test split (%)", xlim=(0, 100))
    axis.grid(axis="x", alpha=0.3)
    if len(measured) > 1:
        axis.legend(frameon=False, loc="lower right")


def draw_lengths(prompt: Sequence[int], response: Sequence[int], rows: Sequence[int], t_max: int, out: Path) -> None:
    """Plot histograms of Q_i and A_i, and beside them of the full sequences with T_max."""
    figure = Figure(figsize=(12, 4.4), layout="constrained")
    texts, sequences = figure.subplots(1, 2)
    bins = integer_bins([*prompt, *response])
    for name, counts in (("prompt", prompt), ("response", response)):
        texts.hist(counts, bins, alpha=0.6, label=f"{name}, mean {np.mean(counts):.1f}")
    texts.set(xlabel="prompt and response tokens", ylabel="conversations")
    texts.legend(frameon=False)
    sequences.hist(rows, integer_bins(rows), color="C2")
    sequences.axvline(t_max, color="black", linestyle=":", label=f"T_max {t_max:,}")
    sequences.set(xlabel="tokens of the full sequence (with template)")
    sequences.legend(frameon=False)
    figure.savefig(out, dpi=110)


def integer_bins(counts: Sequence[int]) -> np.ndarray:
    """Edges of bins that each hold equally many integers: with unequal ones a smooth histogram looks like a comb."""
    low, high = min(counts), max(counts)
    width = -(-(high - low + 1) // MOST_BINS)
    return np.arange(low, high + width + 1, width) - 0.5
