"""Wrong answers of lesson 12."""

import json
import re
from collections.abc import Callable, Sequence

from minigpt.text.template import Message, turns

Laid = tuple[list[int], list[bool]]
NAMES = re.compile(r"(<\|im_start\|>|<\|im_end\|>|<\|endoftext\|>|<\|sep\|>)")
IM = {"<|im_start|>": 257, "<|im_end|>": 258}


# --- lay_out ---


def chatml_only(self, messages: Sequence[Message]) -> Laid:
    """Right for ChatML over bytes, but for no other template."""
    ids: list[int] = []
    supervised: list[bool] = []
    turns(messages)
    for message in messages:
        header = [257, *f"{message['role']}\n".encode()]
        body = [*message["content"].encode(), 258]
        learned = message["role"] == "assistant" and message.get("weight", 1) == 1
        ids += [*header, *body, 10]
        supervised += [False] * len(header) + [learned] * len(body) + [False]
    if messages[-1]["role"] == "user":
        ids += [257, *b"assistant\n"]
        supervised += [False] * 11
    return ids, supervised


def by_role_without_turns(self, messages: Sequence[Message]) -> Laid:
    """Walks over the messages and forgets that the system message belongs to the first user turn."""
    ids: list[int] = []
    supervised: list[bool] = []
    for message in messages:
        if message["role"] == "user":
            part, learned = self.encode_user_turn(None, message["content"], not ids, message.get("input", "")), False
        elif message["role"] == "assistant":
            part, learned = [*self.tokenizer.encode(message["content"]), self.end], message.get("weight", 1) == 1
        else:
            continue
        ids += part
        supervised += [learned] * len(part)
    return ids, supervised


def mask_as_numbers(self, messages: Sequence[Message]) -> Laid:
    """0 and 1 where True and False are wanted, and of the content's length: one too short."""
    system, pairs = turns(messages)
    ids, supervised = [], []
    for i, (user, answer) in enumerate(pairs):
        part = self.encode_user_turn(None if i else system, user["content"], not i, user.get("input", ""))
        ids += part
        supervised += [0] * len(part)
        if answer:
            part = [*self.tokenizer.encode(answer["content"]), self.end, *self.after_end]
            ids += part
            supervised += [1] * (len(part) - 1)
    return ids, supervised


def end_as_text(self, messages: Sequence[Message]) -> Laid:
    return _laid(self, messages, lambda text: self.tokenizer.encode(text + "<|im_end|>"))


def answers_stripped(self, messages: Sequence[Message]) -> Laid:
    return _laid(self, messages, lambda text: [*self.tokenizer.encode(text.strip()), self.end])


def names_looked_for(self, messages: Sequence[Message]) -> Laid:
    parts = self.tokenizer.control
    return _laid(
        self, messages,
        lambda text: [i for part in NAMES.split(text) if part
                      for i in ([parts[part]] if part in parts else self.tokenizer.encode(part))] + [self.end],
    )  # fmt: skip


def without_any_end(self, messages: Sequence[Message]) -> Laid:
    return _laid(self, messages, self.tokenizer.encode)


def end_twice(self, messages: Sequence[Message]) -> Laid:
    return _laid(self, messages, lambda text: [*self.tokenizer.encode(text), self.end, self.end])


def every_answer_learned(self, messages: Sequence[Message]) -> Laid:
    return _laid(self, messages, lambda text: [*self.tokenizer.encode(text), self.end], weighted=False)


def header_learned(self, messages: Sequence[Message]) -> Laid:
    ids, supervised = _laid(self, messages, lambda text: [*self.tokenizer.encode(text), self.end])
    begins = [i for i in range(1, len(ids)) if supervised[i] and not supervised[i - 1]]
    return ids, [on or i + 1 in begins for i, on in enumerate(supervised)]


def shifted_mask(self, messages: Sequence[Message]) -> Laid:
    ids, supervised = _laid(self, messages, lambda text: [*self.tokenizer.encode(text), self.end])
    return ids, [*supervised[1:], False]


def system_in_every_turn(self, messages: Sequence[Message]) -> Laid:
    return _laid(self, messages, lambda text: [*self.tokenizer.encode(text), self.end], again=True)


def only_what_comes_last(self, messages: Sequence[Message]) -> Laid:
    ids, supervised = _laid(self, messages, lambda text: [*self.tokenizer.encode(text), self.end])
    last = max((i for i in range(len(ids)) if supervised[i]), default=-1)
    first = last
    while first > 0 and supervised[first - 1]:
        first -= 1
    return ids, [first <= i <= last for i in range(len(ids))]


def _laid(self, messages: Sequence[Message], respond, weighted: bool = True, again: bool = False) -> Laid:
    system, pairs = turns(messages)
    ids: list[int] = []
    supervised: list[bool] = []
    for i, (user, answer) in enumerate(pairs):
        rule = system if again or not i else None
        parts = [(self.encode_user_turn(rule, user["content"], i == 0, user.get("input", "")), False)]
        if answer is not None:
            parts.append((respond(answer["content"]), not weighted or answer.get("weight", 1) == 1))
            parts.append((self.after_end, False))
        for part, learned in parts:
            ids.extend(part)
            supervised.extend([learned] * len(part))
    return ids, supervised


# --- gsm8k_to_chatml ---


def _dump(text: str) -> str:
    return json.dumps({"text": text}, ensure_ascii=False)


def _lines(lines: list[str], system: str | None, text: Callable, dump: Callable = _dump) -> list[str]:
    rows = [json.loads(line) for line in lines]
    rules = f"<|im_start|>system\n{system}<|im_end|>\n" if system else ""
    return [dump(rules + text(row["question"], row["answer"])) + "\n" for row in rows]


def chatml(question: str, answer: str) -> str:
    return f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n{answer}<|im_end|>\n"


def default_json(lines: list[str], system: str | None) -> list[str]:
    return _lines(lines, system, chatml, lambda text: json.dumps({"text": text}))


def without_blanks_in_json(lines: list[str], system: str | None) -> list[str]:
    return _lines(lines, system, chatml, lambda text: _dump(text).replace('": "', '":"', 1))


def stripped_lines(lines: list[str], system: str | None) -> list[str]:
    return [line.strip() for line in _lines(lines, system, chatml)]


def two_lines_a_row(lines: list[str], system: str | None) -> list[str]:
    return [line for row in _lines(lines, system, chatml) for line in row.split("<|im_end|>\\n<|im_start|>assistant")]


def one_line_for_all(lines: list[str], system: str | None) -> list[str]:
    return ["".join(_lines(lines, system, chatml))]


def number_as_answer(lines: list[str], system: str | None) -> list[str]:
    return _lines(lines, system, lambda q, a: chatml(q, re.search(r"#### (.*)", a).group(1)))


def commas_removed(lines: list[str], system: str | None) -> list[str]:
    return _lines(lines, system, lambda q, a: chatml(q, a.replace(",", "")))


def calculator_removed(lines: list[str], system: str | None) -> list[str]:
    return _lines(lines, system, lambda q, a: chatml(q, re.sub(r"<<[^>]*>>", "", a)))


def texts_trimmed(lines: list[str], system: str | None) -> list[str]:
    return _lines(lines, system, lambda q, a: chatml(q.strip(), a.strip()))


def answer_on_one_line(lines: list[str], system: str | None) -> list[str]:
    return _lines(lines, system, lambda q, a: chatml(q, " ".join(a.split("\n"))))


def with_a_prompt_at_the_end(lines: list[str], system: str | None) -> list[str]:
    return _lines(lines, system, lambda q, a: chatml(q, a) + "<|im_start|>assistant\n")


def result_without_its_line(lines: list[str], system: str | None) -> list[str]:
    return _lines(lines, system, lambda q, a: chatml(q, a[: a.rindex("####")].rstrip()))


def last_newline_off(lines: list[str], system: str | None) -> list[str]:
    return _lines(lines, system, lambda q, a: chatml(q, a).rstrip())


def system_ignored(lines: list[str], system: str | None) -> list[str]:
    return _lines(lines, None, chatml)


# --- pair_turns ---


def by_batches(messages: Sequence[Message]):
    """No refusals at all."""
    system = messages[0]["content"] if messages and messages[0]["role"] == "system" else None
    rest = messages[1:] if system is not None else messages
    return system, [(*rest[i : i + 2], None)[:2] for i in range(0, len(rest), 2)]


def by_role(messages: Sequence[Message]):
    of = {role: [m for m in messages if m["role"] == role] for role in ("system", "user", "assistant")}
    answers = of["assistant"] + [None] * (len(of["user"]) - len(of["assistant"]))
    return (of["system"][0]["content"] if of["system"] else None), list(zip(of["user"], answers, strict=False))


def by_role_without_rest(messages: Sequence[Message]):
    of = {role: [m for m in messages if m["role"] == role] for role in ("system", "user", "assistant")}
    return (of["system"][0]["content"] if of["system"] else None), list(zip(of["user"], of["assistant"], strict=False))


def asserts(messages: Sequence[Message]):
    assert messages, "there is no user turn."
    system, pairs = by_role(messages)
    roles = [m["role"] for m in messages if m["role"] != "system"]
    assert roles[::2] == ["user"] * len(roles[::2])
    assert roles[1::2] == ["assistant"] * len(roles[1::2])
    return system, pairs


def every_two_messages(messages: Sequence[Message]):
    """The system message is paired with the first question."""
    return None, list(zip(messages[::2], messages[1::2], strict=False))


def texts_for_messages(messages: Sequence[Message]):
    system, pairs = turns(messages)
    return system, [(user["content"], answer and answer["content"]) for user, answer in pairs]


def whole_system_message(messages: Sequence[Message]):
    system, pairs = turns(messages)
    return (messages[0] if system else None), pairs


def empty_system(messages: Sequence[Message]):
    system, pairs = turns(messages)
    return system or "", pairs


def no_pair_for_the_last(messages: Sequence[Message]):
    system, pairs = turns(messages)
    return system, [pair for pair in pairs if pair[1]]


def flat(messages: Sequence[Message]):
    system, pairs = turns(messages)
    return system, [message for pair in pairs for message in pair if message]


# --- encode_user_turn ---


def _as_text(self, text: str) -> list[int]:
    control = self.tokenizer.control
    return [
        i for part in NAMES.split(text) if part
        for i in ([control[part]] if part in control else self.tokenizer.encode(part))
    ]  # fmt: skip


def whole_string(self, system: str | None, user: str, first: bool, context: str = "") -> list[int]:
    text = f"<|im_start|>system\n{system}<|im_end|>\n" if system is not None else ""
    return _as_text(self, f"{text}<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n")


def names_removed(self, system: str | None, user: str, first: bool, context: str = "") -> list[int]:
    return whole_string(self, system and NAMES.sub("", system), NAMES.sub("", user), first)


def names_escaped(self, system: str | None, user: str, first: bool, context: str = "") -> list[int]:
    return whole_string(self, system and system.replace("<|", "< |"), user.replace("<|", "< |"), first)


def encoded_whole(self, system: str | None, user: str, first: bool, context: str = "") -> list[int]:
    text = f"<|im_start|>system\n{system}<|im_end|>\n" if system is not None else ""
    return self.tokenizer.encode(f"{text}<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n")


def only_end_is_watched(self, system: str | None, user: str, first: bool, context: str = "") -> list[int]:
    return whole_string(self, system, user.replace("<|im_end|>", ""), first)


def header_and_text_together(self, system: str | None, user: str, first: bool, context: str = "") -> list[int]:
    encode = self.tokenizer.encode
    rule = [] if system is None else [257, *encode(f"system\n{system}"), 258, 10]
    return [*rule, 257, *encode(f"user\n{user}"), 258, 10, 257, *encode("assistant\n")]


def text_and_newline_together(self, system: str | None, user: str, first: bool, context: str = "") -> list[int]:
    encode = self.tokenizer.encode
    rule = [] if system is None else [257, *encode("system\n"), *encode(system + "\n"), 258]
    return [*rule, 257, *encode("user\n"), *encode(user + "\n"), 258, 257, *encode("assistant\n")]


def system_always(self, system: str | None, user: str, first: bool, context: str = "") -> list[int]:
    return header_by_header(self, system or "", user)


def system_in_the_first_turn_only(self, system: str | None, user: str, first: bool, context: str = "") -> list[int]:
    return [256] * first + header_by_header(self, system, user)


def ends_with_the_question(self, system: str | None, user: str, first: bool, context: str = "") -> list[int]:
    return header_by_header(self, system, user)[: -len("assistant\n") - 1]


def no_last_newline(self, system: str | None, user: str, first: bool, context: str = "") -> list[int]:
    return header_by_header(self, system, user)[:-1]


def header_by_header(self, system: str | None, user: str) -> list[int]:
    encode, ids = self.tokenizer.encode, []
    for role, text in (("system", system), ("user", user)):
        if text is not None:
            ids += [IM["<|im_start|>"], *encode(role + "\n"), *encode(text), IM["<|im_end|>"], *encode("\n")]
    return [*ids, IM["<|im_start|>"], *encode("assistant\n")]


ANSWERS = {
    ("12_chat", "lay_out"): [
        chatml_only, by_role_without_turns, mask_as_numbers, end_as_text, answers_stripped, names_looked_for,
        without_any_end, end_twice, every_answer_learned, header_learned, shifted_mask, system_in_every_turn,
        only_what_comes_last,
    ],
    ("12_chat", "gsm8k_to_chatml"): [
        default_json, without_blanks_in_json, stripped_lines, two_lines_a_row, one_line_for_all, number_as_answer,
        commas_removed, calculator_removed, texts_trimmed, answer_on_one_line, with_a_prompt_at_the_end,
        result_without_its_line, last_newline_off, system_ignored,
    ],
    ("12_chat", "pair_turns"): [
        by_batches, by_role, by_role_without_rest, asserts, every_two_messages, texts_for_messages,
        whole_system_message, empty_system, no_pair_for_the_last, flat,
    ],
    ("12_chat", "encode_user_turn"): [
        whole_string, names_removed, names_escaped, encoded_whole, only_end_is_watched, header_and_text_together,
        text_and_newline_together, system_always, system_in_the_first_turn_only, ends_with_the_question,
        no_last_newline,
    ],
}  # fmt: skip
