"""The report of a page's ratings, in Markdown."""

import math
from collections import Counter
from collections.abc import Sequence

from minigpt.measure.evaluation import Figure
from minigpt.rating.key import BEST, BOTH_BAD, CRITERIA, EQUAL, REFERENCE, WORST, Item
from minigpt.rating.summary import CHOICES, Summary
from minigpt.run.samples import as_code
from minigpt.text.printing import shortened

DISPUTED = 5  # items shown
LONGEST = 600  # characters of a text
NONE = "-"


def report(summary: Summary) -> str:
    """What was rated and by how many; preferences, ratings, agreement; the items in dispute, and the remarks."""
    parts = [
        heading(summary),
        *([preferences(summary)] if len(summary.key.models) == 2 else []),
        criteria(summary),
        how_far_they_agree(summary),
        disputes(summary),
        remarks(summary),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def heading(summary: Summary) -> str:
    key, judged = summary.key, summary.judged
    name = " and ".join(map(named, key.models))
    each = f"{judged[0]}" if len(set(judged)) == 1 else f"{min(judged)} to {max(judged)}"
    many = f"{len(judged)} raters, each of whom" if len(judged) > 1 else "One rater, who"
    text = f"# Ratings of {name}\n\n{many} judged {each} of {len(key.items)} items."
    if key.equal:
        text += f" Conversations that nobody was shown, as both answers are the same: {key.equal}."
    text += " In parentheses are 95% intervals."
    if any(low == high for _, low, high in summary.figures):
        text += " One that is a point comes from judgments that are all the same, and says nothing of others."
    return text


def preferences(summary: Summary) -> str:
    """Shares of the votes, the score, the sign test, and how many items a lead like this needs."""
    first, second = map(named, summary.key.models)
    if summary.score is None:
        return "## Which answer is better\n\nNobody chose."
    labels = {0: first, 1: second, EQUAL: "equal", BOTH_BAD: "both bad"}
    rows = [["votes for", "share"], *([label, percent(summary.shares[one])] for one, label in labels.items())]
    wins, losses = summary.won
    counts = Counter(summary.majorities.values())
    neither = sum(counts.values()) - counts[None] - wins - losses
    lines = [
        f"The score of {first}, its share with half of the votes for neither, is {percent(summary.score)}; one half is "
        "a draw. Each item counts once, however many voted on it.",
        f"By the majority of each item's raters {first} has {wins}, {second} {losses}, and {neither} went to neither: "
        f"the sign test's p is {summary.p:.2g}.",
        lead(summary.score[0], summary.needed),
    ]
    left, of = summary.on_the_left
    if of:
        lines.append(f"Of the votes for one answer, {left} of {of} were for the one on the left.")
    return "## Which answer is better\n\n" + table(rows) + "\n\n" + "\n".join(f"- {line}" for line in lines)


def lead(score: float, needed: int | None) -> str:
    if needed:
        return f"To see a lead of this size in 80 of 100 studies takes about {needed:,} items, with as many raters."
    if math.isclose(score, 0.5):
        return "There is no lead of either."
    return "How many items it takes to see a lead of this size cannot be known from one."


def criteria(summary: Summary) -> str:
    models = summary.key.models
    rows = [["", *map(named, models)]]
    if len(models) == 2:
        rows[0] += ["first minus second", "items to see it"]
    for name in CRITERIA:
        row = [name, *(number(summary.ratings[model, name]) for model in range(len(models)))]
        if len(models) == 2:
            gap, needed = summary.differences[name]
            row += [number(gap, "+"), f"{needed:,}" if needed else NONE]
        rows.append(row)
    text = f"## Ratings from {WORST} to {BEST}\n\n{table(rows)}"
    if len(models) == 2:
        text += (
            "\n\nThe difference is taken where a rater rated both answers. The last column is about how many items it "
        )
        text += "takes to see it in 80 of 100 studies, with as many raters."
    if len(summary.raters) > 1:
        cancels = "; in the difference that cancels" * (len(models) == 2)
        text += "\n\nWhere the same few people rate everything, and some are severe throughout, a model's own interval "
        text += f"is too narrow{cancels}."
    return text


def how_far_they_agree(summary: Summary) -> str:
    text = "## How far the raters agree\n\n"
    if len(summary.raters) == 1:
        return text + "That cannot be known from one rater."
    rows = [["", "alpha"]]
    rows += [[name, NONE if alpha is None else f"{alpha:z.2f}"] for name, alpha in summary.agreement.items()]
    text += f"{table(rows)}\n\nKrippendorff's alpha: 1 if all agree, 0 if no more than by chance, below 0 if less."
    if None in summary.agreement.values():
        text += f" {NONE}: not known, as no answer was judged by two raters, or all that were got the same."
    return text


def disputes(summary: Summary) -> str:
    parts = [disputed(summary, item) for item in summary.most_disputed(DISPUTED)]
    return "\n\n".join(["## Where they disagree most", *parts]) if parts else ""


def disputed(summary: Summary, item: Item) -> str:
    said = summary.judgments(item)
    votes = Counter(one.preference for one in said if one.preference in CHOICES)
    lines = [f"### {code(item.source)}", ""]
    lines += [f"- {message['role']}: {code(message['content'])}" for message in item.messages]
    for model, name in enumerate(summary.key.models):
        given = []
        for criterion in CRITERIA:
            if numbers := [one.ratings[model, criterion] for one in said if (model, criterion) in one.ratings]:
                given.append(f"{criterion} {' '.join(map(str, numbers))}")
        chosen = [f"{votes[model]} of {votes.total()} votes"] * (len(summary.key.models) == 2)
        lines.append(f"- **{named(name)}** ({'; '.join(chosen + given)}): {code(item.answers[model])}")
    return "\n".join(lines)


def remarks(summary: Summary) -> str:
    lines = [
        f"- {code(item.source)}: {code(one.remark)}"
        for item in summary.key.items
        for one in summary.judgments(item)
        if one.remark.strip()
    ]
    return "\n".join(["## Remarks", "", *lines]) if lines else ""


def named(model: str) -> str:
    return "the reference" if model == REFERENCE else code(model)


def code(text: str) -> str:
    return as_code(shortened(text, LONGEST))


def percent(figure: Figure | None) -> str:
    return NONE if figure is None else "{:.1%} ({:.1%} to {:.1%})".format(*figure)


def number(figure: Figure | None, sign: str = "") -> str:
    return NONE if figure is None else "{:{s}z.2f} ({:{s}z.2f} to {:{s}z.2f})".format(*figure, s=sign)


def table(rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown whose columns are aligned, so that it can also be read as it is."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    lines = [" | ".join(map(str.ljust, row, widths)) for row in cells]
    lines.insert(1, " | ".join("-" * width for width in widths))
    return "\n".join(f"| {line} |" for line in lines)
