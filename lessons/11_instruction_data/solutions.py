"""One answer to each exercise of lesson 11."""

from collections.abc import Iterable, Sequence

from minigpt import Conversation
from minigpt.text.examples import Lengths
from minigpt.text.template import Message, Template
from minigpt.text.tokenizer import Tokenizer

PAIRS = (("instruction", "output"), ("question", "answer"), ("prompt", "completion"))


def documents_turn(self: Template, system: str | None, user: str, first: bool, context: str = "") -> list[int]:
    text = user if system is None else system + "\n" + user
    begin = [self.end] if first else []
    return begin + self.tokenizer.encode(text) + [self.tokenizer.control["<|sep|>"]]


def lengths(conversations: Iterable[Conversation], tokenizer: Tokenizer) -> Lengths:
    prompt, response = [], []
    for conversation in conversations:
        asked = answered = 0
        for message in conversation.messages:
            n = len(tokenizer.encode(message["content"]))
            if message["role"] == "assistant":
                answered += n
            else:
                asked += n
        prompt.append(asked)
        response.append(answered)
    return Lengths(prompt, response)


def triple(row: dict) -> tuple[str, str, str] | None:
    found = None
    for ask, answer in PAIRS:
        if row.get(ask) is not None and row.get(answer) is not None:
            context = (row.get("input") or "") if ask == "instruction" else ""
            found = row[ask], context, row[answer]
            break
    else:
        messages = row.get("messages") or []
        if [message["role"] for message in messages] == ["user", "assistant"]:
            found = messages[0]["content"], "", messages[1]["content"]
    return found if found and found[0] and found[2] else None


def without_oldest_turn(messages: Sequence[Message]) -> list[Message] | None:
    system = [message for message in messages if message["role"] == "system"]
    rest = [message for message in messages if message["role"] != "system"]
    return system + rest[2:] if len(rest) > 2 else None


def fit(messages: list[Message], template: Template, t_max: int) -> list[int] | None:
    while True:
        ids, _ = template.encode(messages)
        shorter = without_oldest_turn(messages)
        if len(ids) <= t_max or shorter is None:
            break
        messages = shorter
    asked = len(template.prompt(messages[:-1]))
    return ids[:t_max] if asked < t_max else None
