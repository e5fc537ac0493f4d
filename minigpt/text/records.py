"""Read conversations from files and hub data sets."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from minigpt.errors import UserError
from minigpt.reading import sha256
from minigpt.text.columns import is_null
from minigpt.text.files import read_rows
from minigpt.text.formats import read_row
from minigpt.text.hub import PREFIX, hub_sha256, read_hub_rows
from minigpt.text.json_rows import Row
from minigpt.text.template import Message, is_supervised

BUILTIN = Path(__file__).parent / "builtin"
BUILTIN_NAMES = BUILTIN_NAME, BUILTIN_PAIRS = "builtin", "builtin-pairs"
MOST_SHOWN = 10  # bad rows named in one error
T = TypeVar("T")


@dataclass(frozen=True)
class Conversation:
    """One element of D = {(I_i, X_i, Y_i)} (document A 2.2): its messages, its file and line, and its kind of task."""

    messages: list[Message]
    source: str
    kind: str = "all"

    @property
    def asked(self) -> list[Message]:
        """The messages before the last answer that is trained on: what a model is asked to continue."""
        answers = [i for i, message in enumerate(self.messages) if is_supervised(message)]
        return self.messages[: answers[-1]] if answers else self.messages[:-1]

    @property
    def answer(self) -> str:
        """The last answer that is trained on; later ones, of weight 0, are no reference."""
        return self.messages[len(self.asked)]["content"]


@dataclass(frozen=True)
class BadRow:
    """An unusable row: its file and line, the reason, and its text."""

    source: str
    reason: str
    text: str


def refuse(bad: Sequence[BadRow], advice: str = "") -> None:
    """Raise UserError if there are bad rows: it names the first ten and counts the others."""
    if bad:
        named = [f"{row.source}: {row.reason}" for row in bad[:MOST_SHOWN]]
        more = [f"... and {len(bad) - MOST_SHOWN} more."] * (len(bad) > MOST_SHOWN)
        raise UserError("\n".join(named + more + [advice] * bool(advice)))


def read_conversations(names: Iterable[str | Path], bad: list[BadRow] | None = None) -> list[Conversation]:
    """Every row of these files and hub data sets (eq 11.1's D), in order.

    Bad rows are added to `bad` if given; otherwise UserError names the first ten and counts the rest. UserError also
    for a file that cannot be read or has no rows.
    """
    return read_all(names, lambda row, source: Conversation(read_row(row), source, kind_of(row)), bad)  # eq 11.1


def read_all(names: Iterable[str | Path], read: Callable[[object, str], T], bad: list[BadRow] | None = None) -> list[T]:
    """What `read` makes of every row and of where it is; a row on which it raises UserError is a bad row, see
    `read_conversations`."""
    rows: list[T] = []
    found: list[BadRow] = []
    names = list(names)
    if not names:
        raise UserError("--data needs at least one file.")
    for name in names:
        row = None
        for row in rows_of(name):
            try:
                if row.error:
                    raise UserError(row.error)
                rows.append(read(row.value, row.source))
            except UserError as error:
                found.append(BadRow(row.source, str(error), row.text))
            except RecursionError:
                found.append(BadRow(row.source, "is nested too deeply.", row.text))
        if row is None:
            raise UserError(f"{name} has no rows.")
    if bad is None:
        refuse(found)
    else:
        bad += found
    return rows


def rows_of(name: str | Path) -> Iterator[Row]:
    """The rows of a file or a hub data set, as they are."""
    return read_hub_rows(str(name)) if is_from_hub(name) else read_rows(Path(name))


def kind_of(row: object) -> str:
    """A row's kind of task as text that can be printed; one that no UTF-8 can say has question marks in it."""
    kind = row.get("kind") if isinstance(row, dict) else None
    return "all" if is_null(kind) else str(kind).encode(errors="replace").decode()


def data_sha256(name: str | Path) -> str:
    """SHA-256 of a file or a hub data set."""
    return hub_sha256(str(name)) if is_from_hub(name) else sha256(Path(name))


def is_from_hub(name: str | Path) -> bool:
    return str(name).startswith(PREFIX)


def data_names(names: Sequence[str], split: str) -> list[str]:
    """The names of --data, with `builtin` and `builtin-pairs` replaced by the file of that split (train, valid or
    test); the pairs' held-out rows are those of test."""
    pairs = BUILTIN / f"pairs-{'train' if split == 'train' else 'test'}.jsonl"
    files = {BUILTIN_NAME: str(BUILTIN / f"{split}.jsonl"), BUILTIN_PAIRS: str(pairs)}
    return [files.get(name, name) for name in names]


def pair_names(names: Sequence[str], split: str) -> list[str]:
    """The same for a command that takes pairs alone, where `builtin` means the pairs too."""
    return data_names([BUILTIN_PAIRS if name == BUILTIN_NAME else name for name in names], split)


def repeated(rows: Iterable[Conversation], known: Iterable[Conversation]) -> list[Conversation]:
    """Those of `rows` whose messages also occur, word for word, in `known`."""
    seen = {key(conversation) for conversation in known}
    return [conversation for conversation in rows if key(conversation) in seen]


def key(conversation: Conversation) -> tuple[tuple[str, str], ...]:
    return tuple((message["role"], message["content"]) for message in conversation.messages)
