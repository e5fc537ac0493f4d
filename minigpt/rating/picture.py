"""The picture of a page's ratings: each criterion and model with its interval, and who was preferred how often."""

from pathlib import Path

from matplotlib.axes import Axes

from minigpt.rating.key import BEST, BOTH_BAD, CRITERIA, EQUAL, WORST
from minigpt.rating.summary import Summary
from minigpt.run.picture import COLORS, GRAY, MARKERS, label, picture

APART = 0.22  # between the models at one criterion


def draw_ratings(summary: Summary, out: Path) -> None:
    """Mean ratings, with the shares of the votes beside them if two models were compared."""
    two = len(summary.key.models) == 2
    with picture(out, 9.0 if two else 5.0, 3.8) as figure:
        axes = figure.subplots(1, 2, width_ratios=(5, 4)) if two else [figure.subplots()]
        draw_means(axes[0], summary)
        if two:
            draw_shares(axes[1], summary)


def draw_means(axes: Axes, summary: Summary) -> None:
    models = summary.key.models
    for model, name in enumerate(models):
        shown = [(i, found) for i, one in enumerate(CRITERIA) if (found := summary.ratings[model, one])]
        shift = (model - (len(models) - 1) / 2) * APART
        values = [found[0] for _, found in shown]
        ends = [[value - found[1] for value, (_, found) in zip(values, shown, strict=True)]]
        ends += [[found[2] - value for value, (_, found) in zip(values, shown, strict=True)]]
        places = [i + shift for i, _ in shown]
        color, marker = COLORS[model], MARKERS[model]
        axes.errorbar(places, values, ends, fmt=marker, color=color, capsize=4, label=label(name))
    axes.set_xticks(range(len(CRITERIA)), CRITERIA)
    axes.set_xlim(-0.6, len(CRITERIA) - 0.4)
    axes.set_ylim(WORST - 0.1, BEST + 0.1)
    axes.set_yticks(range(WORST, BEST + 1))
    axes.set_ylabel("mean rating, 95 % interval")
    axes.grid(axis="y")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(models))


def draw_shares(axes: Axes, summary: Summary) -> None:
    names = {0: label(summary.key.models[0]), 1: label(summary.key.models[1]), EQUAL: "equal", BOTH_BAD: "both bad"}
    colors = {0: COLORS[0], 1: COLORS[1], EQUAL: GRAY, BOTH_BAD: GRAY}
    for place, choice in enumerate(names):
        if found := summary.shares[choice]:
            value, low, high = found
            axes.barh(place, value, color=colors[choice], height=0.55)
            axes.errorbar(value, place, xerr=[[value - low], [high - value]], color="black", capsize=4)
    axes.set_yticks(range(len(names)), names.values())
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.set_xlabel("share of the votes, 95 % interval")
    axes.grid(axis="x")
