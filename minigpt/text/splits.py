"""Training, validation and test conversations of a run."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Generic, Literal, TypeVar

import numpy as np

from minigpt.errors import UserError
from minigpt.text.corpus import PlainText, load_text
from minigpt.text.examples import Splits, encode_within
from minigpt.text.pairs import Pair, Side, are_pairs, as_conversations, read_either
from minigpt.text.plain import is_plain_text
from minigpt.text.records import (
    BUILTIN_NAME,
    BUILTIN_NAMES,
    BUILTIN_PAIRS,
    BadRow,
    Conversation,
    data_names,
    data_sha256,
    refuse,
    repeated,
)
from minigpt.text.template import Template

DEFAULT_ACCURACY_ROWS = 50  # of data other than the built-in
HELD_OUT = 20  # without --valid, 1 conversation in 20 is held out
SIDE_IN_WORDS = {"chosen": "of each pair the chosen answer", "both": "of each pair both answers, as two conversations"}
T = TypeVar("T")


@dataclass(frozen=True)
class Data:
    """The conversations to train on, to measure the loss on, and to answer for the accuracy."""

    train: list[Conversation]
    valid: list[Conversation]
    test: list[Conversation]
    names: list[str]  # of --data
    files: dict[str, str]  # name to SHA-256
    bad: list[BadRow] | None = None  # rows left out with --skip-bad; None without it
    valid_file: str | None = None
    side: Side | None = None  # the answers of pairs that are learned from; None where there are no pairs

    def encode(self, template: Template, t_max: int, supervise: Literal["response", "all"]) -> Splits:
        """The conversations as rows of at most T_max tokens, with what was dropped or cut to fit.

        Rows with no room for a token of the response are added to `bad`; UserError without --skip-bad, or if a split
        has no row left.
        """
        train = encode_within(self.train, template, t_max, supervise, self.bad)
        valid = encode_within(self.valid, template, t_max, bad=self.bad)
        listed_with_valid = None if self.bad is None else []
        test = encode_within(self.test, template, t_max, bad=listed_with_valid)
        for rows, use in ((train, "to train on"), (valid, "to measure the loss on"), (test, "to answer")):
            if not rows.examples:
                held_out = use != "to train on" and self.valid_file
                files = [held_out] if held_out else [name for name in self.files if name != self.valid_file]
                raise UserError(f"{', '.join(files)}: no usable row {use}; without --skip-bad the reasons are shown.")
        supervised = sum(sum(row.supervised) for row in train.examples)
        total = sum(len(row.ids) for row in train.examples)
        words = (
            f"data    {', '.join(self.names)}: {len(train.examples):,} conversations to train on, "
            f"{len(valid.examples):,} held out; template {template.name}\n"
            + ("" if self.side is None else f"        {SIDE_IN_WORDS[self.side]}\n")
            + remarks(self.bad, train.conversations, valid.conversations)
            + f"tokens  {template.tokenizer.name}, vocabulary of {len(template.tokenizer):,}; "
            f"{total - supervised:,} prompt tokens, {supervised:,} supervised; {train}"
        )
        return Splits(train.examples, valid.examples, test.conversations, words)


def load_data(
    names: Sequence[str],
    valid_name: str | None,
    skip_bad: bool = False,
    seed: int = 0,
    accuracy_rows: int | None = None,
    side: Side | None = None,
) -> Data | PlainText:
    """Plain text, or the conversations of these names (--data) and of `valid_name`.

    Without `valid_name` a twentieth is held out; which conversations is chosen by the seed alone. Of pairs `side` says
    which answers are learned from, the chosen ones if left out; it is refused for other data. UserError naming the bad
    rows, or with `skip_bad` a list of them.
    """
    own = [name for name in names if name in BUILTIN_NAMES]
    if own and (len(names) > 1 or valid_name):
        raise UserError(f"--data {own[0]} has its own held-out conversations; give it alone, without --valid.")
    given = [*names, *([valid_name] if valid_name else [])]
    is_text = any(not own and is_plain_text(name) for name in given)
    if side and (is_text or not any(map(are_pairs, given))):
        raise UserError(f"--side is for pairs, a prompt with a chosen and a rejected answer; {given[0]} holds none.")
    if is_text:
        return load_text(names, valid_name, skip_bad)
    splits = {BUILTIN_NAME: ("train", "valid", "test"), BUILTIN_PAIRS: ("train", "test")}
    files = [data_names(own, split)[0] for split in splits[own[0]]] if own else []
    rows = split_rows(names, valid_name, skip_bad, seed, read_either, files)
    train, valid, *test = rows.parts
    answered = test[0] if test else valid if own or accuracy_rows is not None else valid[:DEFAULT_ACCURACY_ROWS]
    learned = side or "chosen"
    return Data(
        as_conversations(train, learned),
        as_conversations(valid, learned),
        as_conversations(answered)[:accuracy_rows],
        list(names),
        rows.files,
        rows.bad,
        valid_name,
        learned if any(isinstance(row, Pair) for part in rows.parts for row in part) else None,
    )


@dataclass(frozen=True)
class Rows(Generic[T]):
    """What was read: the rows to train on, then those held out, and the files with their SHA-256."""

    parts: list[list[T]]
    files: dict[str, str]
    bad: list[BadRow] | None


def split_rows(
    names: Sequence[str],
    valid_name: str | None,
    skip_bad: bool,
    seed: int,
    read: Callable[[Sequence[str], list[BadRow]], list[T]],
    own: Sequence[str] = (),
) -> Rows[T]:
    """The rows of these names in two parts, the second that of `valid_name` or a twentieth, chosen by the seed alone;
    or one part for each file in `own`. UserError naming the bad rows, or with `skip_bad` a list of them."""
    bad: list[BadRow] = []

    def read_some(names: Sequence[str]) -> list[T]:
        found: list[BadRow] = []
        rows = read(names, found)
        if not skip_bad:
            refuse(found, "--skip-bad leaves such rows out and lists them.")
        bad.extend(found)
        return rows

    names = list(own or names)
    if own:
        parts = [read_some([name]) for name in names]
    else:
        train = read_some(names)
        order = np.random.default_rng(seed).permutation
        if valid_name:
            names.append(valid_name)
            valid = read_some(names[-1:])
            valid = [valid[i] for i in order(len(valid))]
        elif len(train) == 1:
            raise UserError(f"{names[0]} has only one conversation; give others to hold out with --valid.")
        else:
            shuffled = [train[i] for i in order(len(train))]
            held_out = max(1, len(train) // HELD_OUT)
            valid, train = shuffled[:held_out], shuffled[held_out:]
        parts = [train, valid]
    return Rows(parts, {name: data_sha256(name) for name in names}, bad if skip_bad else None)


def remarks(bad: Sequence[BadRow] | None, train: Sequence[Conversation], valid: Sequence[Conversation]) -> str:
    """Lines about bad rows, and about held-out rows that also occur in training."""
    lines = ""
    if bad:
        lines += f"        {len(bad):,} bad rows left out, listed in bad_rows.jsonl\n"
    if again := repeated(valid, train):
        lines += f"        {len(again):,} held-out rows also occur in the training data, first {again[0].source}\n"
    return lines


def write_bad_rows(path: Path, bad: list[BadRow] | None) -> None:
    """Write each row that --skip-bad left out, its file and line, and why; no file if there are none."""
    if bad:
        path.write_text("".join(json.dumps(asdict(row), ensure_ascii=True) + "\n" for row in bad))
