"""Read conversations from files and hub data sets, in five formats."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from minigpt.errors import UserError
from minigpt.reading import sha256
from minigpt.text.files import read_rows
from minigpt.text.hub import PREFIX, hub_sha256, read_hub_rows
from minigpt.text.template import Message, turns

BUILTIN = Path(__file__).parent / "builtin"
BUILTIN_NAME = "builtin"
MOST_SHOWN = 10  # bad rows named in one error
SHAREGPT_ROLES = {"human": "user", "gpt": "assistant"}  # and the names that other files use


@dataclass(frozen=True)
class Conversation:
    """One element of D = {(I_i, X_i, Y_i)} (document A 2.2): its messages, its file and line, and its kind of task."""

    messages: list[Message]
    source: str
    kind: str = "all"


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


def _from_messages(row: dict) -> list[dict]:  # not yet checked: `read_row` does that
    return _messages(row, "messages", "role", "content")


def _from_sharegpt(row: dict) -> list[dict]:
    messages = _messages(row, "conversations", "from", "value")
    return [{**m, "role": SHAREGPT_ROLES.get(str(m["role"]), m["role"])} for m in messages]


def _from_alpaca(row: dict) -> list[Message]:
    instruction, answer = _text(row, "instruction"), _text(row, "output")
    context = "" if row.get("input") is None else _text(row, "input")
    return _one_turn(f"{instruction}\n\n{context}" if context else instruction, answer)  # I, and X if given


def _from_completion(row: dict) -> list[dict]:
    """Two texts, or two lists of messages, the second continuing the first."""
    if isinstance(row["prompt"], list):
        return _messages(row, "prompt", "role", "content") + _messages(row, "completion", "role", "content")
    return _one_turn(_text(row, "prompt"), _text(row, "completion"))


def _from_question(row: dict) -> list[Message]:
    return _one_turn(_text(row, "question"), _text(row, "answer"))


# The keys that identify a format, and how to read it. Other keys are allowed; of those only "kind" is read.
FORMATS = {
    ("messages",): _from_messages,
    ("conversations",): _from_sharegpt,
    ("instruction", "output"): _from_alpaca,
    ("prompt", "completion"): _from_completion,
    ("question", "answer"): _from_question,
}


def read_row(row: object) -> list[Message]:
    """The conversation in one JSON object, whose keys identify the format. UserError if it is not a conversation."""
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


def read_conversations(names: Iterable[str | Path], bad: list[BadRow] | None = None) -> list[Conversation]:
    """Every row of these files and hub data sets (eq 11.1's D), in order.

    Bad rows are added to `bad` if given; otherwise UserError names the first ten and counts the rest. UserError also
    for a file that cannot be read or has no rows.
    """
    conversations: list[Conversation] = []
    found: list[BadRow] = []
    names = list(names)
    if not names:
        raise UserError("--data needs at least one file.")
    for name in names:
        row = None
        for row in read_hub_rows(str(name)) if is_from_hub(name) else read_rows(Path(name)):
            try:
                if row.error:
                    raise UserError(row.error)
                messages = read_row(row.value)
                kind = "all" if row.value.get("kind") is None else str(row.value["kind"])
                conversations.append(Conversation(messages, row.source, kind))  # eq 11.1
            except UserError as error:
                found.append(BadRow(row.source, str(error), row.text))
        if row is None:
            raise UserError(f"{name} has no rows.")
    if bad is None:
        refuse(found)
    else:
        bad += found
    return conversations


def data_sha256(name: str | Path) -> str:
    """SHA-256 of a file or a hub data set."""
    return hub_sha256(str(name)) if is_from_hub(name) else sha256(Path(name))


def is_from_hub(name: str | Path) -> bool:
    return str(name).startswith(PREFIX)


def data_names(names: Sequence[str], split: str) -> list[str]:
    """The names of --data, with `builtin` replaced by the file of that split (train, valid or test)."""
    return [str(BUILTIN / f"{split}.jsonl") if name == "builtin" else name for name in names]


def repeated(rows: Iterable[Conversation], known: Iterable[Conversation]) -> list[Conversation]:
    """Those of `rows` whose messages also occur, word for word, in `known`."""
    seen = {key(conversation) for conversation in known}
    return [conversation for conversation in rows if key(conversation) in seen]


def key(conversation: Conversation) -> tuple[tuple[str, str], ...]:
    return tuple((message["role"], message["content"]) for message in conversation.messages)


def _text(row: dict, key: str) -> str:
    value = row[key]
    if not isinstance(value, str):
        raise UserError(f'"{key}" is not text.')
    return value


def _messages(row: dict, key: str, role: str, content: str) -> list[dict]:
    value = row[key]
    if not isinstance(value, list) or not all(isinstance(m, dict) for m in value):
        raise UserError(f'"{key}" must be a list of {{"{role}", "{content}"}}.')
    return [{"role": m.get(role), "content": m.get(content)} for m in value]


def _one_turn(user: str, assistant: str) -> list[Message]:
    return [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]
