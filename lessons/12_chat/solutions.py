"""One answer to each exercise of lesson 12."""

import json
from collections.abc import Sequence
from itertools import pairwise

from minigpt.errors import UserError
from minigpt.text.template import Message, is_supervised, turns


def chatml_text(messages: Sequence[Message]) -> str:
    return "".join(f"<|im_start|>{message['role']}\n{message['content']}<|im_end|>\n" for message in messages)


def gsm8k_to_chatml(lines: list[str], system: str | None) -> list[str]:
    before = [] if system is None else [{"role": "system", "content": system}]
    found = []
    for line in lines:
        row = json.loads(line)
        asked, answered = (
            {"role": "user", "content": row["question"]},
            {"role": "assistant", "content": row["answer"]},
        )
        found.append(json.dumps({"text": chatml_text([*before, asked, answered])}, ensure_ascii=False) + "\n")
    return found


def pair_turns(messages: Sequence[Message]) -> tuple[str | None, list[tuple[Message, Message | None]]]:
    for i, message in enumerate(messages[1:], 2):
        if message["role"] == "system":
            raise UserError(f"message {i} is a system message; only the first message may be one.")
    system, rest = None, list(messages)
    if rest and rest[0]["role"] == "system":
        system = rest.pop(0)["content"]
    if not rest:
        raise UserError("there is no user turn.")
    if rest[0]["role"] == "assistant":
        raise UserError("the assistant speaks before the user.")
    for before, after in pairwise(rest):
        if before["role"] == after["role"]:
            raise UserError(f"there are two consecutive {after['role']} turns.")
    return system, [(rest[i], rest[i + 1] if i + 1 < len(rest) else None) for i in range(0, len(rest), 2)]


def encode_user_turn(self, system: str | None, user: str, first: bool, context: str = "") -> list[int]:
    encode, start = self.tokenizer.encode, self.tokenizer.control["<|im_start|>"]
    ids: list[int] = []
    for role, text in (("system", system), ("user", user)):
        if text is not None:
            ids += [start, *encode(f"{role}\n"), *encode(text), self.end, *self.after_end]
    return [*ids, start, *encode("assistant\n")]


def lay_out(self, messages: Sequence[Message]) -> tuple[list[int], list[bool]]:
    ids: list[int] = []
    supervised: list[bool] = []

    def add(part: list[int], trained_on: bool) -> None:
        ids.extend(part)
        supervised.extend([trained_on] * len(part))

    system, pairs = turns(messages)
    for i, (user, answer) in enumerate(pairs):
        add(self.encode_user_turn(None if i else system, user["content"], i == 0, user.get("input", "")), False)
        if answer is not None:
            add([*self.tokenizer.encode(answer["content"]), self.end], is_supervised(answer))
            add(self.after_end, False)
    return ids, supervised
