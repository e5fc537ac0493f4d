"""Lesson 12's functions with a switch for each typical mistake; without one they are right."""

import json
import re
from collections.abc import Sequence
from itertools import pairwise

from minigpt.errors import UserError
from minigpt.text.template import Message, turns

NAME = re.compile(r"(<\|\w+\|>)")
OTHER = {"user": "assistant", "assistant": "user", "system": "system"}
ELSEWHERE = {"user": "human", "assistant": "gpt", "system": "system"}


def chatml_text(
    messages: Sequence[Message], *, end_missing=False, last_end_only=False, glued=False, blank_after_role=False,
    no_newline_between=False, header_at_end=False, roles_swapped=False, roles_renamed=False, system_each_turn=False,
    system_joined=False, begins_with_bos=False, stripped=False, last_newline_lost=False,
) -> str:  # fmt: skip
    messages = list(messages)
    if messages[0]["role"] == "system" and system_each_turn:
        system, *rest = messages
        messages = [said for message in rest for said in ([system] * (message["role"] == "user") + [message])]
    elif messages[0]["role"] == "system" and system_joined:
        system, user, *rest = messages
        messages = [{"role": "user", "content": f"{system['content']}\n\n{user['content']}"}, *rest]
    after_role = "" if glued else " " if blank_after_role else "\n"
    text = "<|endoftext|>" * begins_with_bos
    for i, message in enumerate(messages):
        role, content = message["role"], message["content"]
        without_end = role == "assistant" and (end_missing or (last_end_only and i < len(messages) - 1))
        role = OTHER[role] if roles_swapped else ELSEWHERE[role] if roles_renamed else role
        text += f"<|im_start|>{role}{after_role}{content.strip() if stripped else content}"
        text += "<|im_end|>" * (not without_end) + "\n" * (not no_newline_between)
    text += "<|im_start|>assistant\n" * header_at_end
    return text[:-1] if last_newline_lost else text


def gsm8k_to_chatml(
    lines: list[str], system: str | None, *, final_only=False, final_dropped=False, notes_dropped=False,
    stripped=False, escaped=False, line_end_lost=False, system_last=False, system_empty=False, not_json=False,
    labeled=False, messages_kept=False, header_at_end=False, end_missing=False, roles_renamed=False,
    system_lost=False, last_newline_lost=False,
) -> list[str]:  # fmt: skip
    found = []
    for line in lines:
        row = json.loads(line)
        question, answer = row["question"], row["answer"]
        if final_only:
            answer = answer.split("#### ")[-1]
        elif final_dropped:
            answer = answer.split("\n####")[0]
        answer = re.sub("<<.*?>>", "", answer) if notes_dropped else answer
        question = f"Question: {question}" if labeled else question
        answer = f"Answer: {answer}" if labeled else answer
        messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        if not system_lost and (system is not None or system_empty):
            messages.insert(len(messages) if system_last else 0, {"role": "system", "content": system or ""})
        text = chatml_text(
            messages, stripped=stripped, header_at_end=header_at_end, end_missing=end_missing,
            roles_renamed=roles_renamed, last_newline_lost=last_newline_lost,
        )  # fmt: skip
        value = {"messages": messages} if messages_kept else {"text": text}
        found.append(text if not_json else json.dumps(value, ensure_ascii=escaped) + "\n" * (not line_end_lost))
    return found


def pair_turns(
    messages: Sequence[Message], *, unanswered_lost=False, unanswered_empty=False, system_message=False,
    system_lost=False, system_empty=False, contents_only=False, one_by_one=False, system_anywhere=False,
    nobody_asks=False, assistant_first=False, two_in_a_row=False, another_error=False, other_words=False,
) -> tuple[str | None, list[tuple[Message, Message | None]]]:  # fmt: skip
    def refuse(sentence: str) -> None:
        raise (ValueError if another_error else UserError)("not a conversation." if other_words else sentence)

    if not system_anywhere:
        for i, message in enumerate(messages[1:], 2):
            if message["role"] == "system":
                refuse(f"message {i} is a system message; only the first message may be one.")
    rest = [message for message in messages if message["role"] != "system"]
    systems = [message if system_message else message["content"] for message in messages if message not in rest]
    if not rest and not nobody_asks:
        refuse("there is no user turn.")
    if rest and rest[0]["role"] == "assistant" and not assistant_first:
        refuse("the assistant speaks before the user.")
    for before, after in pairwise(rest):
        if before["role"] == after["role"] and not two_in_a_row:
            refuse(f"there are two consecutive {after['role']} turns.")
    system = systems[0] if systems and not system_lost else "" if system_empty else None
    said = [message["content"] for message in rest] if contents_only else rest
    if one_by_one:
        return system, list(pairwise(said))
    missing = [] if unanswered_lost else [""] if unanswered_empty else [None]
    return system, list(zip(said[::2], [*said[1::2], *missing * (len(said) % 2)], strict=False))


def split_at_names(tokenizer, text: str) -> list[int]:
    """The ids of a text in which the names of control tokens are control tokens."""
    parts = NAME.split(text)
    return [
        i
        for part in parts
        for i in ([tokenizer.control[part]] if part in tokenizer.control else tokenizer.encode(part))
    ]


def encode_user_turn(
    self, system: str | None, user: str, first: bool, context: str = "", *, forgeable=False, forgeable_system=False,
    names_as_text=False, no_answer_header=False, answer_newline_lost=False, glued=False, no_newline_after_end=False,
    end_missing=False, system_joined=False, system_lost=False, system_empty=False, begins_with_bos=False,
    context_twice=False, encoded_jointly=False, wrong_role=False, names_removed=False,
) -> list[int]:  # fmt: skip
    encode, control = self.tokenizer.encode, self.tokenizer.control
    start = encode("<|im_start|>") if names_as_text else [control["<|im_start|>"]]
    end = [] if end_missing else encode("<|im_end|>") if names_as_text else [self.end]

    def message(role: str, text: str) -> list[int]:
        header = role if glued else f"{role}\n"
        open_to_all = forgeable or (forgeable_system and role == "system")
        text = NAME.sub("", text) if names_removed else text
        said = []
        for piece in [header + text] if encoded_jointly else [header, text]:
            said += split_at_names(self.tokenizer, piece) if open_to_all else encode(piece)
        return [*start, *said, *end, *([] if no_newline_after_end else self.after_end)]

    user = f"{user}\n\n{context}" if context_twice and context else user
    if system_joined and system is not None:
        system, user = None, f"{system}\n\n{user}"
    ids = [control["<|endoftext|>"]] * (first and begins_with_bos)
    if system is not None and not system_lost:
        ids += message("system", system)
    elif system is None and system_empty:
        ids += message("system", "")
    ids += message("human" if wrong_role else "user", user)
    if no_answer_header:
        return ids
    return [*ids, *start, *encode("assistant" if glued or answer_newline_lost else "assistant\n")]


def lay_out(
    self, messages: Sequence[Message], *, end_missing=False, last_end_only=False, end_unsupervised=False,
    newline_supervised=False, newline_forgotten=False, everything_supervised=False, last_answer_only=False,
    weight_ignored=False, weightless_dropped=False, system_each_turn=False, system_lost=False, first_each_turn=False,
    never_first=False, context_lost=False, forgeable=False, unanswered_end=False, one_early=False,
) -> tuple[list[int], list[bool]]:  # fmt: skip
    system, pairs = turns(messages)
    ids: list[int] = []
    supervised: list[bool] = []
    for i, (user, answer) in enumerate(pairs):
        weight = 1 if answer is None or weight_ignored else answer.get("weight", 1)
        if weight == 0 and weightless_dropped:
            continue
        trained_on = weight == 1 and not (last_answer_only and i < len(pairs) - 1)
        asked = self.encode_user_turn(
            None if system_lost or (i and not system_each_turn) else system, user["content"],
            (i == 0 or first_each_turn) and not never_first, "" if context_lost else user.get("input", ""),
        )  # fmt: skip
        parts = [(asked, False)]
        if answer is not None:
            text = answer["content"]
            said = split_at_names(self.tokenizer, text) if forgeable else self.tokenizer.encode(text)
            without_end = end_missing or (last_end_only and i < len(pairs) - 1)
            parts += [(said, trained_on), ([] if without_end else [self.end], trained_on and not end_unsupervised)]
            parts += [([] if newline_forgotten else self.after_end, newline_supervised and trained_on)]
        elif unanswered_end:
            parts += [([self.end], False)]
        for part, learned in parts:
            ids += part
            supervised += [learned or everything_supervised] * len(part)
    return ids, [*supervised[1:], False] if one_early else supervised
