"""One row to a pair: the formats, recognized by their keys."""

import re

from minigpt.errors import UserError
from minigpt.text.columns import is_empty, is_null
from minigpt.text.formats import PAIR, keys_in_words, with_system
from minigpt.text.messages import read_messages
from minigpt.text.template import Message, turns

ASK = ("prompt", "question", "conversations")  # where a prompt is, if not in front of both answers
HH = re.compile(r"\n\n(Human|Assistant): ")  # before each turn in Anthropic's hh-rlhf, as text
HH_START = "\n\nHuman: "
ROLES = {"Human": "user", "Assistant": "assistant"}


def read_pair(row: object) -> tuple[list[Message], str, str]:
    """The prompt, the chosen and the rejected answer in one JSON object.

    Either both sides are one answer each, to what `prompt`, `question` or `conversations` say; or both are whole
    conversations that differ in their last answer alone, as messages or in the text of hh-rlhf. Columns of the system
    are used; others are about the row. UserError for what is not a pair, and if both answers are the same.
    """
    if not isinstance(row, dict):
        raise UserError("is not a JSON object.")
    if missing := [key for key in PAIR if key not in row]:
        found = keys_in_words(row)
        raise UserError(
            f'has the keys {found}; a pair has "chosen" and "rejected", and here "{missing[0]}" is missing.'
        )
    ask = next((key for key in ASK if not is_empty(row.get(key))), None)
    sides = [_side(row, key, is_answer=ask is not None) for key in PAIR]
    whole = [side[0]["role"] != "assistant" and (ask is None or len(side) > 1) for side in sides]
    if whole[0] != whole[1]:
        one, other = PAIR if whole[0] else PAIR[::-1]
        raise UserError(f'"{one}" is a whole conversation and "{other}" is one answer; both must be the same.')
    if whole[0]:
        prompt, answers = _common_prompt(*sides), [side[-1] for side in sides]
        _check_beside(row.get("prompt"), prompt)
    elif ask is None:
        raise UserError(
            'has no prompt: it is to be in "prompt", "question" or "conversations", or in front of both answers.'
        )
    else:
        prompt = _prompt(row, ask)
        answers = [_only_answer(side, key) for side, key in zip(sides, PAIR, strict=True)]
    prompt = with_system(row, [{**message} for message in prompt])
    for message in prompt:
        message.pop("weight", None)  # nothing before the answer is learned from
    for answer, key in zip(answers, PAIR, strict=True):
        if answer.get("weight", 1) == 0:
            raise UserError(f'"{key}" has the weight 0; nothing is to be learned from it.')
        if answer["content"] == "":
            raise UserError(f'"{key}" is empty; an answer needs a text.')
        turns([*prompt, answer])
    chosen, rejected = (answer["content"] for answer in answers)
    if chosen == rejected:
        raise UserError("chosen and rejected are the same; nothing can be learned from that.")
    return prompt, chosen, rejected


def _side(row: dict, key: str, is_answer: bool) -> list[dict]:
    """One answer, or the whole conversation that ends with it, as messages. Beside a prompt a text is an answer,
    whatever it says."""
    value = row[key]
    if is_null(value):
        raise UserError(f'"{key}" is null.')
    if not isinstance(value, str):
        return _messages(value, key)
    if is_answer or not value.startswith(HH_START):
        return [{"role": "assistant", "content": value}]
    _, *parts = HH.split(value)
    return [{"role": ROLES[who], "content": text} for who, text in zip(parts[::2], parts[1::2], strict=True)]


def _messages(value: object, key: str) -> list[dict]:
    """The messages in a list, or the one that stands alone."""
    alone = isinstance(value, dict) and any(isinstance(part, str) for part in value.values())
    messages = read_messages([value] if alone else value, key)
    if not messages:
        raise UserError(f'"{key}" is empty.')
    return messages


def _prompt(row: dict, ask: str) -> list[dict]:
    value = row[ask]
    if isinstance(value, str) and ask != "conversations":
        return [{"role": "user", "content": value}]
    if ask == "question":
        raise UserError('"question" is not text.')
    prompt = _messages(value, ask)
    if prompt[-1]["role"] == "assistant":
        raise UserError(f'"{ask}" ends with the assistant; a prompt must end with a user turn.')
    return prompt


def _only_answer(side: list[dict], key: str) -> dict:
    if side[0]["role"] != "assistant":
        raise UserError(f'"{key}" is a message of the role {side[0]["role"]!r}; an answer is one of the assistant.')
    if len(side) > 1:
        raise UserError(f'"{key}" continues beyond its first answer; a side of a pair is one answer.')
    return side[0]


def _common_prompt(chosen: list[dict], rejected: list[dict]) -> list[dict]:
    """The messages before the last of both, compared one by one and not letter by letter: an answer's beginning that
    both have in common is part of the answer."""
    said = [_said(chosen), _said(rejected)]
    shared = next((i for i, (a, b) in enumerate(zip(*said, strict=False)) if a != b), min(map(len, said)))
    for (i, key), other in zip(enumerate(PAIR), PAIR[::-1], strict=True):
        if (role := said[i][-1][0]) != "assistant":
            raise UserError(f'"{key}" ends with a {role} turn; it must end with the answer.')
        if len(said[1 - i]) > len(said[i]) and shared >= len(said[i]) - 1:
            raise UserError(f'"{other}" continues beyond its first answer; only the last message of both may differ.')
    if len(chosen) != len(rejected) or shared < len(chosen) - 1:
        raise UserError(f'the prompts in "chosen" and "rejected" differ, first in message {shared + 1}.')
    return chosen[:-1]


def _check_beside(given: object, prompt: list[dict]) -> None:
    """UserError for a prompt beside whole conversations that is not theirs."""
    if is_empty(given):
        return
    if isinstance(given, str):
        asked = [message["content"] for message in prompt if message["role"] == "user"]
        if given.strip() not in [str(text).strip() for text in (*asked[:1], *asked[-1:])]:
            raise UserError('"prompt" is neither the first nor the last user turn of "chosen".')
    elif _said(_messages(given, "prompt")) != _said(prompt):
        raise UserError('"prompt" is not what "chosen" holds before its last answer.')


def _said(messages: list[dict]) -> list[tuple[object, object]]:
    return [(message["role"], message["content"]) for message in messages]
