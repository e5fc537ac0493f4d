"""Files to conversations. Read with lesson 11."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from minigpt.errors import UserError
from minigpt.text.template import Message, turns

BUILTIN = Path(__file__).parent / "builtin"
MOST_SHOWN = 10  # bad rows named in one error


@dataclass(frozen=True)
class Conversation:
    """One element of D = {(I_i, X_i, Y_i)} (document A 2.2): its messages, where it stands, and its kind of task."""

    messages: list[Message]
    source: str
    kind: str = "all"


def _from_messages(row: dict) -> list[dict]:  # not yet known to be messages
    if not isinstance(row["messages"], list) or not all(isinstance(m, dict) for m in row["messages"]):
        raise UserError('"messages" must be a list of {"role", "content"}.')
    return [{"role": m.get("role"), "content": m.get("content")} for m in row["messages"]]


def _from_alpaca(row: dict) -> list[Message]:
    instruction, answer = _text(row, "instruction"), _text(row, "output")
    context = "" if row.get("input") is None else _text(row, "input")
    return _one_turn(f"{instruction}\n\n{context}" if context else instruction, answer)  # I, and X where there is one


def _from_completion(row: dict) -> list[Message]:
    return _one_turn(_text(row, "prompt"), _text(row, "completion"))


def _from_question(row: dict) -> list[Message]:
    return _one_turn(_text(row, "question"), _text(row, "answer"))


# The keys that tell a format, and how to read it. Other keys may stand beside them; of those only "kind" is read.
FORMATS = {
    ("messages",): _from_messages,
    ("instruction", "output"): _from_alpaca,
    ("prompt", "completion"): _from_completion,
    ("question", "answer"): _from_question,
}


def read_row(row: object) -> list[Message]:
    """The conversation in one JSON object, its format told by its keys; UserError in words for what is none."""
    if not isinstance(row, dict):
        raise UserError("is not a JSON object.")
    for keys, read in FORMATS.items():
        if all(key in row for key in keys):
            messages = read(row)
            turns(messages)
            if messages[-1]["role"] != "assistant":
                raise UserError(
                    '"messages" ends with a user turn; a training conversation must end with the assistant.'
                )
            return messages
    known = "; ".join(" and ".join(f'"{key}"' for key in keys) for keys in FORMATS)
    raise UserError(f"has the keys {', '.join(map(repr, row)) or 'of an empty object'}; expected are {known}.")


def read_conversations(paths: Iterable[Path]) -> list[Conversation]:
    """Every row of these JSON Lines files (eq 11.1's D), in order.

    UserError naming the first ten bad rows by file and line, and counting the rest; also for a file that cannot be
    read or holds no row at all. Nothing is skipped silently; blank lines are no rows.
    """
    conversations: list[Conversation] = []
    bad: list[str] = []
    for path in paths:
        before = len(conversations) + len(bad)
        for number, line in enumerate(_lines(path), start=1):
            if not line.strip():
                continue
            source = f"{path}, line {number}"
            try:
                row = json.loads(line)
                messages = read_row(row)
                conversations.append(Conversation(messages, source, str(row.get("kind", "all"))))  # eq 11.1
            except UserError as error:
                bad.append(f"{source}: {error}")
            except (ValueError, RecursionError) as error:
                bad.append(f"{source}: is not JSON ({error}).")
        if len(conversations) + len(bad) == before:
            raise UserError(f"{path} holds no row.")
    if bad:
        more = f"\n... and {len(bad) - MOST_SHOWN} more." if len(bad) > MOST_SHOWN else ""
        raise UserError("\n".join(bad[:MOST_SHOWN]) + more)
    return conversations


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None


def _text(row: dict, key: str) -> str:
    value = row[key]
    if not isinstance(value, str):
        raise UserError(f'"{key}" is not text.')
    return value


def _one_turn(user: str, assistant: str) -> list[Message]:
    return [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]
