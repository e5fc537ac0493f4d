"""Lesson 11's functions with a switch for each typical mistake; without one they are right."""

from collections.abc import Iterable, Sequence

from minigpt import Conversation
from minigpt.text.examples import Lengths
from minigpt.text.template import Message, Template
from minigpt.text.tokenizer import Tokenizer

PAIRS = (("instruction", "output"), ("question", "answer"), ("prompt", "completion"))


def documents_turn(
    self: Template, system: str | None, user: str, first: bool, context: str = "", *, bos_every_turn=False,
    no_bos=False, no_sep=False, sep_as_text=False, sep_before=False, end_for_sep=False, system_lost=False,
    system_after=False, no_line=False, none_as_text=False, ended=False, context_twice=False, context_lost=False,
    characters=False,
) -> list[int]:  # fmt: skip
    text = user
    if context_twice and context:
        text = f"{user}\n\n{context}"
    elif context_lost and context:
        text = user.removesuffix(context).rstrip()
    if (system is not None and not system_lost) or none_as_text:
        line = "" if no_line else "\n"
        text = f"{text}{line}{system}" if system_after else f"{system}{line}{text}"
    ids = [ord(letter) for letter in text] if characters else self.tokenizer.encode(text)
    begin = [self.end] * ((first or bos_every_turn) and not no_bos)
    sep = [self.end if end_for_sep else self.tokenizer.control["<|sep|>"]]
    if no_sep:
        sep = []
    elif sep_as_text:
        sep = self.tokenizer.encode("<|sep|>")
    return (begin + sep + ids if sep_before else begin + ids + sep) + [self.end] * ended


def lengths(
    conversations: Iterable[Conversation], tokenizer: Tokenizer, *, characters=False, words=False, system_lost=False,
    last_turn=False, end_counted=False, joined=False, swapped=False, added_up=False, without_answers=False,
) -> Lengths:  # fmt: skip
    def size(text: str) -> int:
        return len(text) if characters else len(text.split()) if words else len(tokenizer.encode(text))

    prompt, response = [], []
    for conversation in conversations:
        messages = conversation.messages[-2:] if last_turn else conversation.messages
        answers = [m["content"] for m in messages if m["role"] == "assistant"]
        asked = [m["content"] for m in messages if m["role"] == "user" or (m["role"] == "system" and not system_lost)]
        if joined:
            asked, answers = ["\n".join(asked)], ["\n".join(answers)]
        if without_answers:
            asked += answers
        prompt.append(sum(map(size, asked)))
        response.append(sum(map(size, answers)) + len(answers) * end_counted)
    if added_up:
        prompt, response = [sum(prompt)], [sum(response)]
    return Lengths(response, prompt) if swapped else Lengths(prompt, response)


def triple(
    row: dict, *, joined=False, input_lost=False, input_none=False, none_as_text=False, by_order=False,
    roles_ignored=False, empty_kept=False, stripped=False, longer_kept=False, swapped=False, first_key_only=False,
) -> tuple[str, str, str] | None:  # fmt: skip
    if none_as_text:
        row = {key: "None" if value is None else value for key, value in row.items()}
    asked = answered = None
    context = ""
    for ask, answer in PAIRS:
        if row.get(ask) is not None and (row.get(answer) is not None or first_key_only):
            asked, answered = row[ask], row.get(answer) or ""
            if by_order and list(row).index(ask) > [*row, answer].index(answer):
                asked, answered = answered, asked
            if ask == "instruction" and not input_lost:
                context = row.get("input") or ""
            break
    else:
        messages = row.get("messages") or []
        roles = [message["role"] for message in messages]
        wanted = roles == ["user", "assistant"] or (roles_ignored and len(roles) == 2)
        if wanted or (longer_kept and roles[-2:] == ["user", "assistant"]):
            asked, answered = messages[-2]["content"], messages[-1]["content"]
    if asked is None or not (empty_kept or (asked and (answered or first_key_only))):
        return None
    if joined and context:
        asked = f"{asked}\n\n{context}"
    if stripped:
        asked, context, answered = asked.strip(), context.strip(), answered.strip()
    if input_none and not context:
        context = None
    return (asked, answered, context) if swapped else (asked, context, answered)


def without_oldest_turn(
    messages: Sequence[Message], *, newest=False, system_dropped=False, system_counted=False, question_only=False,
    answer_only=False, empty=False, last_stays=False, too_early=False, only_last=False,
) -> list[Message] | None:  # fmt: skip
    messages = list(messages)
    first = int(messages[0]["role"] == "system")
    head, rest = messages[:first], messages[first:]
    if system_counted and first:
        return messages[2:] if len(messages) > 3 else None
    if len(rest) <= (4 if too_early else 2):
        return head if empty else messages if last_stays else None
    if newest:
        kept = rest[: -2 if len(rest) % 2 == 0 else -1]
    elif only_last:
        kept = rest[-2 if len(rest) % 2 == 0 else -1 :]
    else:
        kept = rest[1:] if question_only else [rest[0], *rest[2:]] if answer_only else rest[2:]
    return kept if system_dropped else head + kept


def fit(
    messages: list[Message], template: Template, t_max: int, *, from_the_left=False, only_cut=False, end_added=False,
    newest_dropped=False, system_dropped=False, all_but_last=False, never_cut=False, never_refused=False,
    less_than=False, question_cut=False, whole_turns_only=False, too_soon=False, texts_only=False,
) -> list[int] | None:  # fmt: skip
    def size(messages: list[Message]) -> int:
        if texts_only:
            return sum(len(template.tokenizer.encode(message["content"])) for message in messages)
        return len(template.encode(messages)[0]) + less_than

    while size(messages) > t_max and not only_cut:
        shorter = without_oldest_turn(
            messages, newest=newest_dropped, system_dropped=system_dropped, only_last=all_but_last
        )
        if shorter is None:
            break
        messages = shorter
    ids, prompt = template.encode(messages)[0], template.prompt(messages[:-1])
    if len(ids) <= t_max:
        return ids
    if from_the_left:
        return ids[-t_max:]
    if question_cut:
        answer = ids[len(prompt) :]
        return prompt[: t_max - len(answer)] + answer if len(answer) < t_max else None
    if whole_turns_only:
        return None
    if never_cut:
        return ids
    cut = ids[: t_max - 1] + [template.end] if end_added else ids[:t_max]
    return cut if never_refused or len(prompt) < t_max - too_soon else None
