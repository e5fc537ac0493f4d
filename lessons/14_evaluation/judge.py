"""The judge of `use_case`: it reads what the commands wrote, and says the first thing that is wrong.

Nothing is trained or answered again. Figures are computed anew from the answers and losses in the predictions file.
"""

import json
import math
from pathlib import Path

from minigpt.errors import UserError
from minigpt.measure.evaluation import Evaluation, most_frequent_answer
from minigpt.measure.interval import wilson
from minigpt.reading import sha256
from minigpt.text.records import Conversation, read_conversations

LEAST_TRAINING, LEAST_HELD_OUT = 50, 20
FIGURES = ("perplexity", "accuracy")
EVALUATE = "python -m minigpt.evaluate --model {0}/run --data {0}/held_out.jsonl --json {0}/figures.json"
TRAIN = "python -m minigpt.train --data {0}/train.jsonl --run {0}/run (lesson 14 has other options)"


class Missing(Exception):
    """What is missing, in a sentence for the reader."""


def verdict(folder: Path) -> str | None:
    """None if the folder holds a use case, else what to do."""
    try:
        training, held_out = rows(folder / "train.jsonl"), rows(folder / "held_out.jsonl")
        check_rows(training, held_out)
        check_run(folder)
        check_figures(folder, training, held_out)
    except (Missing, UserError) as error:
        return f"use_case: {error}"
    return None


def need(is_so: object, sentence: str) -> None:
    if not is_so:
        raise Missing(sentence)


def rows(path: Path) -> list[Conversation]:
    need(path.is_file(), f"{path} is missing. Write your conversations into it, one a line, as lesson 11 shows.")
    return read_conversations([path])


def asked(row: Conversation) -> tuple[str, ...]:
    return tuple(message["content"] for message in row.asked)


def check_rows(training: list[Conversation], held_out: list[Conversation]) -> None:
    for part, least, name in ((training, LEAST_TRAINING, "train"), (held_out, LEAST_HELD_OUT, "held_out")):
        n = len({asked(row) for row in part})
        need(n >= least, f"{name}.jsonl asks {n} different questions; write {least} or more.")
    known = {asked(row): row.source for row in training}
    again = [row for row in held_out if asked(row) in known]
    if again:
        where = f"{again[0].source}, asks what {known[asked(again[0])]} asks"
        raise Missing(f"{len(again)} held-out questions occur in training; the first, {where}. Ask something else.")


def check_run(folder: Path) -> None:
    options, result = (found(folder / "run" / name, TRAIN.format(folder)) for name in ("options.json", "result.json"))
    was = sha256(folder / "train.jsonl")
    need(
        was in options.get("sha256", {}).values(),
        f"run/options.json names the SHA-256 of other data than train.jsonl as it is now. Remove {folder}/run, and "
        f"train again: {TRAIN.format(folder)}",
    )
    need(result.get("steps") == options.get("steps"), "run/result.json and run/options.json are of two runs.")


def found(path: Path, command: str) -> dict:
    need(path.is_file(), f"{path} is missing. This writes it: {command}")
    try:
        value = json.loads(path.read_text("utf-8"))
    except ValueError:
        value = None
    need(isinstance(value, dict), f"{path} is not what the command wrote. Run it again: {command}")
    return value


def check_figures(folder: Path, training: list[Conversation], held_out: list[Conversation]) -> None:
    command = EVALUATE.format(folder)
    figures = found(folder / "figures.json", command)
    for name in FIGURES:
        low_high = figures.get(f"{name}_interval")
        need(
            name in figures and isinstance(low_high, list) and len(low_high) == 2,
            f"figures.json has no {name} with its interval. They come from this command as it is: {command}",
        )
    n = figures.get("rows")
    need(n == len(held_out), f"figures.json is of {n} rows, and held_out.jsonl has {len(held_out)}: {command}")
    mine, untrained = predictions(folder, held_out, command)
    for name in FIGURES:
        value, low, high = mine.figures[name]
        need(
            close([figures[name], *figures[f"{name}_interval"]], [value, low, high]),
            f"figures.json says {name} {figures[name]:.4f}, and the answers beside it give {value:.4f} "
            f"({low:.4f} to {high:.4f}). Both files come from one command: {command}",
        )
    known = {row.answer for row in training}
    if any(row.answer in known for row in held_out):
        check_accuracy(mine, held_out)
    else:
        check_perplexity(mine, untrained)


def close(these: list[float], those: list[float]) -> bool:
    return all(math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9) for a, b in zip(these, those, strict=True))


def predictions(folder: Path, held_out: list[Conversation], command: str) -> tuple[Evaluation, Evaluation | None]:
    """The run's measurements of each held-out row, and the untrained start's if they are there."""
    path = folder / "figures.predictions.jsonl"
    need(path.is_file(), f"{path} is missing. This writes it: {command}")
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    same = [(line["messages"], line["wanted"]) for line in lines] == [(row.asked, row.answer) for row in held_out]
    need(same, f"{path} is of other conversations than held_out.jsonl as it is now. Run it again: {command}")
    sides = [name for name in lines[0]["predictions"] if not name.startswith(("untrained start", "always "))]
    need(len(sides) == 1, f"{path} has {len(sides)} models; measure your run alone: {command}")

    def side(name: str) -> Evaluation:
        said = [line["predictions"][name] for line in lines]
        losses = [(one["nll"], one["supervised_tokens"]) for one in said]
        return Evaluation(held_out, losses, [one["answer"] for one in said])

    has_start = "untrained start" in lines[0]["predictions"]
    return side(sides[0]), side("untrained start") if has_start else None


def check_accuracy(mine: Evaluation, held_out: list[Conversation]) -> None:
    value, low, _ = mine.figures["accuracy"]
    constant = most_frequent_answer(held_out)
    share, _, high = constant.figures["accuracy"]
    n = len(held_out)
    enough = next((right for right in range(n + 1) if wilson(right, n)[0] > high), None)
    advice = "write more held-out conversations" if enough is None else f"that takes {enough} right of {n}"
    need(
        low > high,
        f"exact match is {value:.1%}, at least {low:.1%}, and always saying {constant.answers[0]!r} has {share:.1%}, "
        f"at most {high:.1%}. The first interval must lie above the second: {advice}. "
        "Train longer or on more wordings, into a new run/, and measure again, best on new held-out questions.",
    )


def check_perplexity(mine: Evaluation, untrained: Evaluation | None) -> None:
    need(untrained, "figures.predictions.jsonl has no untrained start to compare with; keep what --init names.")
    value, _, high = mine.figures["perplexity"]
    before, low, _ = untrained.figures["perplexity"]
    need(
        high < low,
        f"the perplexity is {value:.2f}, at most {high:.2f}, and that of the untrained start {before:.2f}, at least "
        f"{low:.2f}. The first interval must lie below the second. Train longer or on more conversations, into a new "
        "run/, and measure again.",
    )
