"""`rate summarize`: what the raters of a page said, as figures with intervals, a picture, and pairs to learn from."""

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from glob import glob, has_magic
from pathlib import Path

from minigpt.errors import UserError
from minigpt.rating.files import read_key, read_raters
from minigpt.rating.pairs import preference_rows
from minigpt.rating.picture import draw_ratings
from minigpt.rating.report import report
from minigpt.rating.summary import SPLIT, Summary
from minigpt.run.picture import check_picture
from minigpt.writing import check_apart, check_writable, write_text


@dataclass
class SummarizeOptions:
    """Read a page's key and the files that its raters have sent, and say which model's answers they prefer and how they
    rate them, how sure that is, how far the raters agree, and where they do not."""

    key: Path = field(metadata={"positional": True})
    """The key that `rate prepare` has written beside the page."""
    ratings: tuple[Path, ...] = field(metadata={"positional": True})
    """The files that the raters have sent, ratings-*.json; one for each rater."""
    out: Path | None = None
    """Also write the report to this file, in Markdown."""
    to_preferences: Path | None = None
    """Also write the pairs that a majority decided to this file, as prefer --data reads them."""
    plot: Path | None = None
    """Also draw the ratings by criterion and model, and the votes, each with its interval."""


def summarize(options: SummarizeOptions) -> None:
    files = expanded(options.ratings)
    check_apart((options.out, options.to_preferences, options.plot), (options.key, *files))
    for path in (options.out, options.to_preferences):
        if path:
            check_writable(path)
    if options.plot:
        check_picture(options.plot)
    summary = Summary(key := read_key(options.key), read_raters(files, key))
    if not any(summary.judged):
        raise UserError("Nobody has judged anything in these files.")
    if options.to_preferences and len(key.models) == 1:
        raise UserError("--to-preferences is for a page that compares two models; this one has one answer an item.")
    text = report(summary)
    print(text, end="")
    written = []
    if options.out:
        write_text(options.out, text)
        written.append(f"The report is in {options.out}.")
    if options.plot:
        draw_ratings(summary, options.plot)
        written.append(f"The picture is {options.plot}.")
    if options.to_preferences:
        rows = preference_rows(summary)
        write_text(options.to_preferences, "".join(json.dumps(row) + "\n" for row in rows))
        written.append(pairs_in_words(summary, len(rows), options.to_preferences))
    print("\n".join(["", *written]) if written else "", end="\n" if written else "")


def expanded(paths: tuple[Path, ...]) -> list[Path]:
    """The files of a pattern too, as some shells leave ratings-*.json to the program."""
    found = []
    for path in paths:
        if has_magic(str(path)) and not os.path.exists(path):  # Path.exists raises for a name that is too long
            if not (matching := sorted(glob(str(path)))):
                raise UserError(f"There is no file {path}.")
            found += map(Path, matching)
        else:
            found.append(path)
    return found


def pairs_in_words(summary: Summary, count: int, path: Path) -> str:
    """How many pairs there are, and why the other items gave none."""
    counts = Counter(summary.majorities.values())
    wins, losses = summary.won
    left_out = {
        "a split vote": counts[SPLIT],
        "a majority for neither": counts.total() - counts[SPLIT] - counts[None] - wins - losses,
        "no vote": counts[None],
        "an empty answer": wins + losses - count,
    }
    why = ", ".join(f"{many} with {what}" for what, many in left_out.items() if many)
    return f"Pairs in {path}: {count:,}" + (f"; left out: {why}." if why else ".")
