"""What a row's or a message's other columns may say: decided by the words in their names."""

import re
from collections.abc import Collection
from functools import lru_cache

from minigpt.errors import UserError

# The words of a name, each perhaps in the plural. Seen or said in the conversation itself:
IN_THE_CONVERSATION = re.compile(
    "(system|history|context|instruction|input|prompt|question|query|text|message|conversation|dialog|dialogue|turn"
    "|article|passage|paragraph|story|document|background|knowledge|fact|evidence|schema|table|choice|option|hint"
    "|example|demonstration|persona|character|profile|scenario|situation|tool|function|call|reasoning|thinking|thought"
    "|refusal|channel|recipient)s?"
)
PICTURES = re.compile("(image|audio|video)s?")  # also by address, path or number
WHAT_IS_TRAINED_ON = re.compile("weights?|masks?|masked|loss|train|training|trainable|supervised")
# A name that ends with one of these, such as prompt_id or context_length, is about the row.
ABOUT_THE_ROW = re.compile(
    "(id|uuid|idx|index|key|name|type|kind|category|source|lang|language|locale|url|link|path|file|hash|sha|sha256|md5"
    "|len|length|size|count|num|number|token|word|char|score|rating|quality|version|date|time|timestamp|created|updated"
    "|data|dataset|set|split|style|format|template|fingerprint|topic|label|domain|level|status|user|author|model|method"
    "|license|title)s?"
)
NOTHING = ("", "[]", "{}")  # as text, the last two in columns of JSON


def is_null(value: object) -> bool:
    """Whether this is JSON's null, or NaN, which tables have in its place."""
    return value is None or (isinstance(value, float) and value != value)


def is_empty(value: object) -> bool:
    return is_null(value) or (isinstance(value, str | list | tuple | dict) and not value)


def is_blank(value: object) -> bool:
    """Whether this is empty, white space, or a list of such things."""
    if isinstance(value, str):
        return value.strip() in NOTHING
    if isinstance(value, list | tuple):
        return all(map(is_blank, value))
    return is_empty(value)


@lru_cache(4096)
def subject(name: str) -> str:
    """What a column of this name is about: "pictures", "row", "training", "conversation", or "" if nobody knows."""
    words = re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
    if any(map(PICTURES.fullmatch, words)):
        return "pictures"
    if words and (ABOUT_THE_ROW.fullmatch(words[-1]) or "original" in words):
        return "row"
    if any(map(WHAT_IS_TRAINED_ON.fullmatch, words)):
        return "training"
    return "conversation" if any(map(IN_THE_CONVERSATION.fullmatch, words)) else ""


def changes_meaning(name: str, value: object) -> bool:
    """Whether a column that is not used would change what the conversation says or what is trained on.

    Numbers are about the row, except as a weight or a mask; there 1 and true are what holds without them.
    """
    about = subject(name)
    if not about or is_blank(value):
        return False
    if about == "training":
        measured = name == "loss" and isinstance(value, float)
        return not measured and (value not in (1, "1") or "mask" in name.lower())
    if about == "conversation":
        return not isinstance(value, int | float)
    return about == "pictures" or (name == "label" and value is False)  # an answer that was rated as bad


def refuse_unused(columns: dict, used: Collection[str], where: str = "") -> None:
    """UserError, beginning with `where`, for the first of these columns that would change the meaning."""
    for key, value in columns.items():
        if key not in used and changes_meaning(str(key), value):
            raise UserError(
                f'{where}has "{key}", which would change what is said or trained on, and cannot be used here; '
                "remove it, or write what it says into the messages."
            )
