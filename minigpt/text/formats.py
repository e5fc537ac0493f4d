"""One row to a conversation: the formats, recognized by their keys."""

from collections.abc import Callable, Iterable

from minigpt.errors import UserError
from minigpt.text.columns import changes_meaning, is_blank, is_empty, is_null, refuse_unused
from minigpt.text.messages import read_messages
from minigpt.text.template import JOINT, Message, is_supervised, turns

SYSTEM, CONTEXT = ("system", "system_prompt"), ("input", "context")
MOST_KEYS = 12  # of a row, named in one error

Read = Callable[[dict], tuple[list[dict], set[str]]]  # the messages, not yet checked, and the keys that were used


def _list_of_messages(key: str) -> Read:
    return lambda row: (read_messages(row[key], key), {key})


def _question_and_answer(ask: str, answer: str) -> Read:
    """Two texts, the first with Alpaca's `input` or Dolly's `context`, after the turns of LLaMA-Factory's `history`; or
    two lists of messages, the second continuing the first."""

    def read(row: dict) -> tuple[list[dict], set[str]]:
        if isinstance(row[ask], list):
            return read_messages(row[ask], ask) + read_messages(row[answer], answer), {ask, answer}
        contexts = [key for key in CONTEXT if key != ask and not is_blank(row.get(key))]
        if len(contexts) > 1:
            raise UserError('has both "input" and "context"; keep one of them.')
        question, context = _text(row, ask), "".join(_text(row, key) for key in contexts)
        user = {"role": "user", "content": f"{question}{JOINT}{context}" if context else question}
        if context:
            user["input"] = context
        elif ask == "input" and "instruction" in row:  # Alpaca's, with an empty instruction
            user["input"] = question
        answered = {"role": "assistant", "content": _text(row, answer)}
        return [*_history(row), user, answered], {ask, answer, "history", *contexts}

    return read


# The keys that identify a format, and how to read it. Of several formats with all their keys given, the first is read.
FORMATS: dict[tuple[str, ...], Read] = {
    ("messages",): _list_of_messages("messages"),
    ("conversations",): _list_of_messages("conversations"),
    **{
        keys: _question_and_answer(*keys)
        for keys in (
            ("instruction", "output"),
            ("prompt", "completion"),
            ("question", "answer"),
            ("input", "output"),
            ("instruction", "response"),
            ("prompt", "response"),
            ("question", "response"),
            ("query", "response"),
        )
    },
    ("conversation",): _list_of_messages("conversation"),
}
ANSWERS = frozenset(keys[-1] for keys in FORMATS)
PAIR = ("chosen", "rejected")  # what identifies a pair of answers, see `pair_formats`
KNOWN = (*FORMATS, PAIR)


def read_row(row: object) -> list[Message]:
    """The conversation in one JSON object, whose keys identify the format, or in one list of messages.

    A key that is null or empty counts as absent. Every other column is used (a system message, earlier turns, an
    input), or repeats what the conversation says, or is about the row (an id, a source, a score). One that the speakers
    would have seen or said, or that says what is trained on, is refused: `columns` knows them by their names. UserError
    also for what is not a conversation, and if nothing in it is trained on.
    """
    if isinstance(row, list) and row and all(isinstance(message, dict) for message in row):
        row = {"messages": row}
    if not isinstance(row, dict):
        raise UserError("is not a JSON object.")
    keys = _format(row)
    messages, used = FORMATS[keys](row)
    messages = with_system(row, messages)
    turns(messages)
    used |= set(SYSTEM)
    others = [key for key, value in row.items() if key not in used and changes_meaning(key, value)]
    used |= {key for key in others if _repeats(row[key], messages)}
    refuse_unused(row, used)
    for key in sorted(ANSWERS & row.keys() - used):
        if not is_blank(row[key]) and str(row[key]).strip() not in messages[-1]["content"]:
            raise UserError(f'has both "{keys[-1]}" and "{key}", which differ; keep one of them.')
    if messages[-1]["role"] != "assistant":
        raise UserError(
            f'"{keys[0]}" ends with a user turn; a training conversation must end with the assistant. Remove its last '
            "message, or leave out the row."
        )
    if not any(map(is_supervised, messages)):
        raise UserError("has nothing to train on: every assistant message has the weight 0.")
    return messages


def _format(row: dict) -> tuple[str, ...]:
    """The first format whose keys are all given, else the one of which most are: its reader says what is wrong."""
    for keys in FORMATS:
        if all(map(_is_given, map(row.get, keys))):
            return keys
    present = [keys for keys in FORMATS if all(key in row for key in keys)]
    if not present:
        raise UserError(_unknown(row))
    names = dict.fromkeys(key for keys in present for key in keys)
    if all(is_null(row[key]) for key in names):
        raise UserError(f"holds no conversation: {_listed(names, ', ')} {'are' if len(names) > 1 else 'is'} null.")
    return max(present, key=lambda keys: sum(_is_given(row[key]) for key in keys) / len(keys))


def _is_given(value: object) -> bool:
    return not is_empty(value) and not (isinstance(value, str) and value.isspace())


def _unknown(row: dict) -> str:
    known = "; ".join(_listed(keys, " and ") for keys in FORMATS)
    hint = ""
    if all(key in row for key in PAIR):
        hint = (
            " These are preferences; minigpt.train learns from the chosen answers of a file whose rows all are pairs."
        )
    return f"has the keys {keys_in_words(row)}; expected are {known}.{hint}"


def keys_in_words(row: dict) -> str:
    more = f" and {len(row) - MOST_KEYS} more" * (len(row) > MOST_KEYS)
    return ", ".join(map(repr, list(row)[:MOST_KEYS])) + more or "of an empty object"


def _listed(keys: Iterable[str], between: str) -> str:
    return between.join(f'"{key}"' for key in keys)


def _repeats(value: object, messages: list[dict]) -> bool:
    """Whether this column says nothing that the conversation does not: one of its texts, all of them in their order,
    laid out as one text, or some of its messages."""
    if isinstance(value, str):
        texts = [text for message in messages for text in _parts(message)]
        if value.strip() in {text.strip() for text in [*texts, *(message["content"] for message in messages)]}:
            return True
        at = 0
        for text in texts:
            at = value.find(text, at) + len(text)
            if at < len(text):
                return False
        return True
    try:
        listed = [(message["role"], message["content"]) for message in read_messages(value, "")]
    except UserError:
        return False
    said = [(message["role"], message["content"]) for message in messages]
    return any(listed == said[i : i + len(listed)] for i in range(len(said)))


def _parts(message: dict) -> list[str]:
    """What a message says: its instruction and its input, or its text."""
    context = message.get("input", "")
    return [message["content"].removesuffix(context).removesuffix(JOINT), context] if context else [message["content"]]


def with_system(row: dict, messages: list[dict]) -> list[dict]:
    """These messages after what the system's columns say."""
    for key in SYSTEM:
        if is_blank(row.get(key)):
            continue
        text = _text(row, key)
        if not messages or messages[0]["role"] != "system":
            messages = [{"role": "system", "content": text}, *messages]
        elif messages[0]["content"].strip() != text.strip():
            raise UserError(f'has "{key}" and another system message; keep one of them.')
    return messages


def _history(row: dict) -> list[dict]:
    """Earlier turns, [[question, answer], ...]; their answers are trained on too, as in LLaMA-Factory."""
    history = row.get("history")
    if is_blank(history):
        return []
    if not isinstance(history, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in history):
        raise UserError('"history" must be a list of [question, answer].')
    return [{"role": ("user", "assistant")[i], "content": text} for pair in history for i, text in enumerate(pair)]


def _text(row: dict, key: str) -> str:
    value = row[key]
    if isinstance(value, str):
        return value
    raise UserError(f'"{key}" is not text.')
