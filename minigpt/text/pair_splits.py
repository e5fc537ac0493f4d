"""Training and held-out pairs of a run, and prompts alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from minigpt.errors import UserError
from minigpt.text.formats import FORMATS
from minigpt.text.pairs import Pair, are_pairs, as_conversations, read_either, read_pairs
from minigpt.text.plain import is_plain_text
from minigpt.text.records import BUILTIN_NAMES, BadRow, Conversation, pair_names, rows_of
from minigpt.text.splits import split_rows

T = TypeVar("T", Pair, Conversation)


@dataclass(frozen=True)
class PreferenceData(Generic[T]):
    """Pairs, or conversations whose prompts are answered: those to train on, and those held out."""

    train: list[T]
    valid: list[T]
    names: list[str]  # of --data
    files: dict[str, str]  # name to SHA-256
    bad: list[BadRow] | None = None  # rows left out with --skip-bad; None without it
    valid_file: str | None = None


def load_pairs(
    names: Sequence[str], valid_name: str | None = None, skip_bad: bool = False, seed: int = 0, method: str = "dpo"
) -> PreferenceData[Pair]:
    """The pairs of these names (--data) and of `valid_name`; without it a twentieth is held out, which pairs is chosen
    by the seed alone. `builtin` means the built-in pairs, which have their own held-out ones.

    UserError naming the bad rows, or with `skip_bad` a list of them; and for other data, which `method` cannot use.
    """

    def read(names: Sequence[str], bad: list[BadRow]) -> list[Pair]:
        for name in names:
            if what := _other_data(name):
                raise UserError(f"{name} holds {what}; {method} needs pairs: prompt, chosen, rejected.")
        return read_pairs(names, bad)

    return _load(names, valid_name, skip_bad, seed, read)


def load_prompts(
    names: Sequence[str], valid_name: str | None = None, skip_bad: bool = False, seed: int = 0, method: str = "rl"
) -> PreferenceData[Conversation]:
    """The same of pairs and conversations, as conversations: `asked` is the prompt, and `answer` the wanted answer, of
    a pair the chosen one."""

    def read(names: Sequence[str], bad: list[BadRow]) -> list[Conversation]:
        for name in names:
            if is_plain_text(name):
                raise UserError(f"{name} holds plain text; {method} needs prompts: pairs or conversations.")
        return as_conversations(read_either(names, bad))

    return _load(names, valid_name, skip_bad, seed, read)


def _load(
    names: Sequence[str],
    valid_name: str | None,
    skip_bad: bool,
    seed: int,
    read: Callable[[Sequence[str], list[BadRow]], list[T]],
) -> PreferenceData[T]:
    own = [name for name in names if name in BUILTIN_NAMES]
    if own and (len(names) > 1 or valid_name):
        raise UserError(f"--data {own[0]} has its own held-out pairs; give it alone, without --valid.")
    files = [pair_names(own, split)[0] for split in ("train", "test")] if own else []
    rows = split_rows(names, valid_name, skip_bad, seed, read, files)
    for part, use in zip(rows.parts, ("to train on", "to hold out"), strict=True):
        if not part:
            raise UserError(f"{', '.join(rows.files)}: no usable row {use}; without --skip-bad the reasons are shown.")
    return PreferenceData(*rows.parts, list(names), rows.files, rows.bad, valid_name)


def _other_data(name: str | Path) -> str:
    """What a name of --data holds if it is something else that is known; "" for pairs, and for what nobody knows."""
    if is_plain_text(str(name)):
        return "plain text"
    if are_pairs(name):
        return ""
    first = next((row.value for row in rows_of(name) if isinstance(row.value, dict | list)), {})
    is_known = isinstance(first, list) or any(all(key in first for key in keys) for keys in FORMATS)
    return "conversations" if is_known else ""
