"""What evaluate prints and writes of its figures."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from minigpt.cli import layout
from minigpt.cli.layout import say
from minigpt.errors import UserError
from minigpt.measure.accuracy import wanted
from minigpt.measure.evaluation import Evaluation, Figure
from minigpt.measure.preferences import PreferenceEvaluation
from minigpt.run.evaluate_options import predictions_beside
from minigpt.run.metrics import json_values
from minigpt.text.pairs import Pair
from minigpt.text.records import Conversation

HEADINGS = {
    "perplexity": "perplexity",
    "loss": "loss",
    "bits_per_byte": "bits per byte",
    "accuracy": "exact match",
    "gsm8k_accuracy": "GSM8K right",
    "gsm8k_format": "GSM8K format",
}
# Of preferences: two figures have other names than in a run's metrics, as a model may be measured on both.
RENAMED = {"accuracy": "preference_accuracy", "loss": "preference_loss"}
PREFERENCES = {
    "preference_accuracy": "preference accuracy",
    "margin": "margin",
    "preference_loss": "loss of pairs",
    "chosen_logp": "log pi(chosen)",
    "rejected_logp": "log pi(rejected)",
    "chosen_reward": "reward of chosen",
    "rejected_reward": "reward of rejected",
    "reward": "reward of draws",
    "divergence": "divergence from the reference",
    "ended": "draws that ended",
    "exact_match": "exact match with chosen",
    "cheerful": 'cheerful: answers with "!"',
    "task": "task: right but for . and !",
}
# Nats, nats a token, rewards, bits: the other figures are shares.
UNITLESS = ("perplexity", "loss", "bits_per_byte", "preference_loss", "margin", "reward", "divergence")
UNITLESS += tuple(f"{side}_{score}" for side in ("chosen", "rejected") for score in ("logp", "reward"))


def table(sides: Mapping[str, Evaluation]) -> str:
    """A row a model."""
    figures = {name: side.figures for name, side in sides.items()}
    names = [n for n in HEADINGS if n != "loss" and any(n in found for found in figures.values())]
    rows = [["", *(HEADINGS[name] for name in names)]]
    for side, found in figures.items():
        rows.append([side, *(in_words(name, found[name]) if name in found else "" for name in names)])
    return layout.table(rows)


def preference_table(sides: Mapping[str, PreferenceEvaluation]) -> str:
    """A row a figure, as there are many."""
    figures = [renamed(side.figures) for side in sides.values()]
    rows = [["", *sides]]
    for name, heading in PREFERENCES.items():
        if any(name in found for found in figures):
            rows.append([heading, *(in_words(name, found[name]) if name in found else "" for found in figures)])
    return layout.table(rows)


def renamed(report: Mapping[str, object]) -> dict:
    """A report of preferences under names of its own: `RENAMED`."""
    named = {name + end: new + end for name, new in RENAMED.items() for end in ("", "_interval")}
    return {named.get(name, name): value for name, value in report.items()}


def in_words(name: str, figure: Figure) -> str:
    form = "{:,.4f} ({:,.4f} to {:,.4f})" if name in UNITLESS else "{:.1%} ({:.1%} to {:.1%})"
    return form.format(*figure)


def gap_in_words(name: str, gap: Figure) -> str:
    """A loss in nats per token, bits per byte; shares in percentage points."""
    heading = HEADINGS.get(name) or PREFERENCES[name]
    if name in UNITLESS:
        return "{} {:+.4f} ({:+.4f} to {:+.4f})".format(heading, *gap)
    return "{} {:+.1f} points ({:+.1f} to {:+.1f})".format(heading, *(100 * share for share in gap))


def write(
    path: Path,
    report: dict,
    rows: Sequence[Conversation],
    pairs: Sequence[Pair],
    sides: Mapping[str, Evaluation],
    preferences: Mapping[str, PreferenceEvaluation],
) -> None:
    """The figures, and beside them a line for each row, of conversations or of windows, and for each pair: what every
    side made of it."""
    beside = predictions_beside(path)
    about = [{"source": row.source, "kind": row.kind, "messages": row.asked, "wanted": wanted(row)} for row in rows]
    if not rows and sides:
        about = [{"window": i} for i in range(report["rows"])]
    asked = [
        {"source": p.source, "kind": p.kind, "messages": p.prompt, "chosen": p.chosen, "rejected": p.rejected}
        for p in pairs
    ]
    drawn = {name: [renamed(row) for row in side.row_by_row()] for name, side in preferences.items()}
    predictions = {name: side.row_by_row() for name, side in sides.items()}
    if not pairs:  # drawn are answers to the conversations
        for name, of_rows in drawn.items():
            before = predictions.get(name, [{}] * len(of_rows))
            predictions[name] = [one | more for one, more in zip(before, of_rows, strict=True)]
    lines = [
        row | {"predictions": {name: of_rows[i] for name, of_rows in found.items()}}
        for parts, found in ((about, predictions), (asked, drawn))
        for i, row in enumerate(parts)
    ]
    written = dict(encoding="utf-8", errors="backslashreplace")  # a file's name may hold bytes that are no character
    try:
        path.write_text(json.dumps(json_values(report), indent=2, ensure_ascii=False) + "\n", **written)
        text = "".join(json.dumps(json_values(line), ensure_ascii=False) + "\n" for line in lines)
        beside.write_text(text, **written)
    except OSError as error:
        raise UserError(f"{error.filename} cannot be written: {error.strerror}.") from None
    say(f"Figures in {path}, answers in {beside}.")
