"""A list of messages, whatever its programs call their roles and texts, as {"role", "content"}."""

import json
from itertools import zip_longest

from minigpt.errors import UserError
from minigpt.text.columns import is_null, refuse_unused

WHO, WHAT = ("role", "from", "speaker", "user"), ("content", "value", "text")
ROLE_OF = {
    **dict.fromkeys(("human", "user", "prompter"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "bing", "bard", "bot", "model", "ai"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
}
WEIGHT = ("weight", "train", "training", "loss", "loss_mask", "loss_weight")  # OpenAI's, axolotl's, ms-swift's names
TEXT_PARTS = ("text", "input_text", "output_text", None)


def read_messages(value: object, key: str) -> list[dict]:
    """The messages in a list, in a dict of lists or in either as JSON text. UserError naming `key` for anything else.

    What they say, and in which order, is not checked yet: `turns` does that.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise UserError(f'"{key}" must be a list of {{"role", "content"}}, not text.') from None
    if isinstance(value, dict) and all(isinstance(column, list) for column in value.values()):
        # As `datasets` returns some lists of objects.
        value = [dict(zip(value, cells, strict=True)) for cells in zip_longest(*value.values())]
    if not isinstance(value, list) or not all(isinstance(message, dict) for message in value):
        raise UserError(f'"{key}" must be a list of {{"role", "content"}} or {{"from", "value"}}.')
    return [_message(message, f"message {i + 1}") for i, message in enumerate(value)]


def is_message(value: object) -> bool:
    """Whether this is a message rather than a row: an object with a role that is known."""
    return isinstance(value, dict) and any(
        isinstance(value.get(key), str) and value[key].lower() in ROLE_OF for key in WHO
    )


def _message(message: dict, where: str) -> dict:
    if message.keys() == {"role", "content"} and isinstance(message["content"], str):  # as most are
        return {"role": _role(message["role"]), "content": message["content"]}
    given = {key: value for key, value in message.items() if not is_null(value)}
    who = [_role(given[key]) for key in WHO if key in given]
    if any(role != who[0] and role in ("user", "assistant", "system") for role in who):
        raise UserError(f"{where} has the roles {' and '.join(map(repr, who))}; keep one of them.")
    role = who[0] if who else None
    if isinstance(role, str):
        where = f"{where} ({role})"
    contents = [_content(given[key], where) for key in WHAT if key in given]
    texts = [content for content in contents if isinstance(content, str)]
    if len(set(texts)) > 1:
        raise UserError(f"{where} has two different texts; keep one of them.")
    found = {"role": role, "content": (texts or contents or [None])[0]}
    if _weight(given, role, where) == 0 and role == "assistant":
        found["weight"] = 0
    context = given.get("input")  # as `template.Message` has it, when a conversation that was written is read again
    if texts and isinstance(context, str) and context and texts[0].endswith(context):
        found["input"] = given.pop("input")
    refuse_unused(given, {*WHO, *WHAT, *WEIGHT}, f"{where} ")
    return found


def _role(name: object) -> object:
    return ROLE_OF.get(name.lower(), name) if isinstance(name, str) else name


def _content(content: object, where: str) -> object:
    """A text, or OpenAI's list of parts, joined if all of them are texts."""
    if not isinstance(content, list) or not content or not all(isinstance(part, dict) for part in content):
        return content
    parts = [{key: value for key, value in part.items() if not is_null(value)} for part in content]
    for part in parts:
        if part.get("type") not in TEXT_PARTS or not isinstance(part.get("text"), str):
            raise UserError(
                f"{where} has a part of the type {part.get('type')!r}; only parts that are text can be read."
            )
    return "".join(part["text"] for part in parts)


def _weight(given: dict, role: object, where: str) -> int:
    """0 or 1, under whichever name it is given; 1 without."""
    weights = {key: given[key] for key in WEIGHT if key in given}
    for key, weight in weights.items():
        if not isinstance(weight, int | float) or weight not in (0, 1):
            raise UserError(f'{where} has "{key}" {weight!r}; it can be 0 (not trained on) or 1.')
        if weight and role != "assistant":
            raise UserError(f'{where} has "{key}" {weight!r}, but only the assistant\'s messages are trained on.')
    if len(set(weights.values())) > 1:
        raise UserError(f"{where} has {' and '.join(map(repr, weights))}, which contradict each other.")
    return int(min(weights.values(), default=1))
