"""What a run learns from, what its loss is watched on, and what it answers. Read with lesson 11."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from minigpt.errors import UserError
from minigpt.text.examples import Fitting
from minigpt.text.records import BUILTIN, BadRow, Conversation, data_sha256, read_conversations, refuse, repeated

DEFAULT_ACCURACY_ROWS = 50  # of data other than the built-in
HELD_OUT = 20  # one conversation in so many, where there is no --valid


@dataclass(frozen=True)
class Data:
    """What is learned from, what the loss is watched on, and what is answered for the accuracy."""

    train: list[Conversation]
    valid: list[Conversation]
    test: list[Conversation]
    files: dict[str, str]  # SHA-256
    bad: list[BadRow]  # left out, where --skip-bad says so


def load_data(
    names: Sequence[str],
    valid_name: str | None,
    skip_bad: bool = False,
    seed: int = 0,
    accuracy_rows: int | None = None,
) -> Data:
    """The conversations of these names (--data) and of `valid_name`; without one, a twentieth is held out, by the seed
    alone. UserError naming the bad rows, or with `skip_bad` a list of them."""
    bad: list[BadRow] = []

    def read(names: Sequence[str]) -> list[Conversation]:
        found: list[BadRow] = []
        conversations = read_conversations(names, found)
        if not skip_bad:
            refuse(found, "--skip-bad goes on without such rows, and lists them.")
        bad.extend(found)
        return conversations

    names = list(names)
    if "builtin" in names:
        if names != ["builtin"] or valid_name:
            raise UserError("--data builtin brings its own held-out conversations; it stands alone, without --valid.")
        names = [str(BUILTIN / f"{split}.jsonl") for split in ("train", "valid", "test")]
        train, valid, test = (read([name]) for name in names)
    else:
        train = read(names)
        order = np.random.default_rng(seed).permutation
        if valid_name:
            names.append(valid_name)
            valid = read(names[-1:])
            valid = [valid[i] for i in order(len(valid))]
        elif len(train) == 1:
            raise UserError(f"{names[0]} holds one conversation; give others to hold out with --valid.")
        else:
            shuffled = [train[i] for i in order(len(train))]
            held_out = max(1, len(train) // HELD_OUT)
            valid, train = shuffled[:held_out], shuffled[held_out:]
        test = valid[:DEFAULT_ACCURACY_ROWS] if accuracy_rows is None else valid
    return Data(train, valid, test[:accuracy_rows], {name: data_sha256(name) for name in names}, bad)


def check_rows(names: Sequence[str], valid_name: str | None, train: Fitting, valid: Fitting, test: Fitting) -> None:
    """UserError where --skip-bad left nothing to learn from, or nothing to look at it with."""
    held_out = [valid_name] if valid_name else names
    for fitted, files, use in (
        (train, names, "to learn from"),
        (valid, held_out, "to measure the loss on"),
        (test, held_out, "among those to answer for the accuracy"),
    ):
        if not fitted.examples:
            raise UserError(f"{', '.join(files)} holds no good row {use}; without --skip-bad you see what is wrong.")


def told_of_rows(data: Data) -> str:
    """What the reader should know of bad rows, and of held-out ones that are no surprise."""
    told = ""
    if data.bad:
        told += f"        {len(data.bad):,} bad rows left out, listed in bad_rows.jsonl\n"
    if again := repeated(data.valid, data.train):
        told += f"        {len(again):,} of those held out stand in the training data too: {again[0].source} first\n"
    return told


def write_bad_rows(path: Path, bad: list[BadRow]) -> None:
    """Each row that --skip-bad left out, where it stands, and why; no file where there is none."""
    if bad:
        path.write_text("".join(json.dumps(asdict(row), ensure_ascii=True) + "\n" for row in bad))
