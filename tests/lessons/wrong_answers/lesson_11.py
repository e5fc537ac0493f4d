"""Wrong answers of lesson 11."""

from collections.abc import Callable

from minigpt.text.template import Message, Template

Ids = list[int] | None


def bos_wherever_there_is_a_system_message(self: Template, system: str | None, user: str, first: bool, context=""):
    return [self.end] * (system is not None) + self.tokenizer.encode(f"{system or ''}\n{user}".lstrip()) + [259]


def an_empty_line_without_a_system_message(self: Template, system: str | None, user: str, first: bool, context=""):
    return [self.end] * first + self.tokenizer.encode(f"{system or ''}\n{user}") + [self.tokenizer.control["<|sep|>"]]


def everything_as_one_text(self: Template, system: str | None, user: str, first: bool, context: str = ""):
    text = user if system is None else f"{system}\n{user}"
    return self.tokenizer.encode("<|endoftext|>" * first + text + "<|sep|>")


def end_in_place_of_sep_and_no_begin(self: Template, system: str | None, user: str, first: bool, context: str = ""):
    text = user if system is None else f"{system}\n{user}"
    return self.tokenizer.encode(text) + [self.end]


def system_in_the_first_turn_only(self: Template, system: str | None, user: str, first: bool, context: str = ""):
    text = f"{system}\n{user}" if first and system else user
    return [self.end] * first + self.tokenizer.encode(text) + [self.tokenizer.control["<|sep|>"]]


def an_empty_line_after_the_system_message(self: Template, system: str | None, user: str, first: bool, context=""):
    text = user if system is None else f"{system}\n\n{user}"
    return [self.end] * first + self.tokenizer.encode(text) + [self.tokenizer.control["<|sep|>"]]


def without_the_input(self: Template, system: str | None, user: str, first: bool, context: str = ""):
    text = user.removesuffix(context).rstrip()
    text = text if system is None else f"{system}\n{text}"
    return [self.end] * first + self.tokenizer.encode(text) + [self.tokenizer.control["<|sep|>"]]


def the_input_after_an_empty_line(self: Template, system: str | None, user: str, first: bool, context: str = ""):
    text = f"{user}\n\n{context}" if context else user
    text = text if system is None else f"{system}\n{text}"
    return [self.end] * first + self.tokenizer.encode(text) + [self.tokenizer.control["<|sep|>"]]


def begin_always(self: Template, system: str | None, user: str, first: bool, context: str = ""):
    text = user if not system else f"{system}\n{user}"
    return [self.tokenizer.control["<|endoftext|>"], *self.tokenizer.encode(text), self.tokenizer.control["<|sep|>"]]


def begin_in_later_turns(self: Template, system: str | None, user: str, first: bool, context: str = ""):
    text = user if not system else f"{system}\n{user}"
    return [self.end] * (not first) + self.tokenizer.encode(text) + [self.tokenizer.control["<|sep|>"]]


def sep_around(self: Template, system: str | None, user: str, first: bool, context: str = ""):
    sep = self.tokenizer.control["<|sep|>"]
    parts = self.tokenizer.encode(user)
    return [self.end] * first + (self.tokenizer.encode(system) + [sep] if system else []) + parts + [sep]


TURN: list[Callable] = [
    bos_wherever_there_is_a_system_message, an_empty_line_without_a_system_message,
    everything_as_one_text, end_in_place_of_sep_and_no_begin,
    system_in_the_first_turn_only, an_empty_line_after_the_system_message, without_the_input,
    the_input_after_an_empty_line, begin_always, begin_in_later_turns, sep_around,
]  # fmt: skip


def parts(messages: list[Message]) -> tuple[list[Message], list[Message]]:
    first = int(messages[0]["role"] == "system")
    return messages[:first], messages[first:]


def the_last_ids_of_the_newest_turns(messages: list[Message], template: Template, t_max: int) -> Ids:
    system, rest = parts(messages)
    while len(rest) > 2 and len(template.encode(system + rest)[0]) > t_max:
        rest = rest[2:]
    return template.encode(system + rest)[0][-t_max:]


def turns_from_the_front_while_they_fit(messages: list[Message], template: Template, t_max: int) -> Ids:
    system, rest = parts(messages)
    while len(rest) > 2 and len(template.encode(system + rest)[0]) > t_max:
        rest = rest[:-2]
    ids = template.encode(system + rest)[0][:t_max]
    return ids if len(template.prompt(system + rest[:1])) < t_max else None


def only_the_newest_turn_with_the_system_message(messages: list[Message], template: Template, t_max: int) -> Ids:
    system, rest = parts(messages)
    if len(template.encode(messages)[0]) > t_max:
        rest = rest[-2:]
    prompt = template.prompt(system + rest[:-1])
    return template.encode(system + rest)[0][:t_max] if len(prompt) < t_max else None


def slicing_two_off_the_front(messages: list[Message], template: Template, t_max: int) -> Ids:
    """Takes the system message for a part of the first turn."""
    while len(messages) > 2 and len(template.encode(messages)[0]) > t_max:
        messages = [m for m in messages if m["role"] != "system"][2:] or messages[-2:]
    ids, supervised = template.encode(messages)
    return ids[:t_max] if any(supervised[:t_max]) else None


def system_message_dropped_last(messages: list[Message], template: Template, t_max: int) -> Ids:
    """A system message that leaves no room goes too, rather than the row."""
    system, rest = parts(messages)
    while len(rest) > 2 and len(template.encode(system + rest)[0]) > t_max:
        rest = rest[2:]
    if len(template.prompt(system + rest[:1])) >= t_max:
        system = []
    ids, supervised = template.encode(system + rest)
    return ids[:t_max] if any(supervised[:t_max]) else None


def cut_and_closed(messages: list[Message], template: Template, t_max: int) -> Ids:
    system, rest = parts(messages)
    while len(rest) > 2 and len(template.encode(system + rest)[0]) > t_max:
        rest = rest[2:]
    ids, supervised = template.encode(system + rest)
    if not any(supervised[:t_max]):
        return None
    return ids if len(ids) <= t_max else [*ids[: t_max - 1], template.end]


def cut_one_short_and_closed(messages: list[Message], template: Template, t_max: int) -> Ids:
    """Needs room for a token of the answer and the end."""
    found = cut_and_closed(messages, template, t_max)
    return found if found and len(template.prompt(messages[:-1])) + 1 < t_max else None


def whole_or_nothing(messages: list[Message], template: Template, t_max: int) -> Ids:
    system, rest = parts(messages)
    while rest and len(template.encode(system + rest)[0]) > t_max:
        rest = rest[2:]
    return template.encode(system + rest)[0] if rest else None


def an_empty_row_for_none(messages: list[Message], template: Template, t_max: int) -> Ids:
    system, rest = parts(messages)
    while len(rest) > 2 and len(template.encode(system + rest)[0]) > t_max:
        rest = rest[2:]
    ids, supervised = template.encode(system + rest)
    return ids[:t_max] if any(supervised[:t_max]) else []


def answer_shortened_letter_by_letter(messages: list[Message], template: Template, t_max: int) -> Ids:
    """Encodes the shortened answer, so that an end token closes it."""
    system, rest = parts(messages)
    while len(rest) > 2 and len(template.encode(system + rest)[0]) > t_max:
        rest = rest[2:]
    question, answer = rest
    text = answer["content"]
    while text and len(template.encode([*system, question, {**answer, "content": text}])[0]) > t_max:
        text = text[:-1]
    return template.encode([*system, question, {**answer, "content": text}])[0] if text else None


def oldest_turn_dropped_at_most_once(messages: list[Message], template: Template, t_max: int) -> Ids:
    system, rest = parts(messages)
    if len(rest) > 2 and len(template.encode(messages)[0]) > t_max:
        rest = rest[2:]
    ids = template.encode(system + rest)[0][:t_max]
    return ids if len(template.prompt(system + rest[:-1])) < t_max else None


def just_cut(messages: list[Message], template: Template, t_max: int) -> Ids:
    return template.encode(messages)[0][:t_max]


def cut_unless_only_the_first_question_is_left(messages: list[Message], template: Template, t_max: int) -> Ids:
    ids, supervised = template.encode(messages)
    return ids[:t_max] if any(supervised[:t_max]) else None


def one_too_many_dropped(messages: list[Message], template: Template, t_max: int) -> Ids:
    system, rest = parts(messages)
    while len(rest) > 2 and len(template.encode(system + rest)[0]) >= t_max:
        rest = rest[2:]
    ids, supervised = template.encode(system + rest)
    return ids[:t_max] if any(supervised[:t_max]) else None


FIT: list[Callable] = [
    the_last_ids_of_the_newest_turns, turns_from_the_front_while_they_fit, only_the_newest_turn_with_the_system_message,
    slicing_two_off_the_front, system_message_dropped_last, cut_and_closed, cut_one_short_and_closed, whole_or_nothing,
    an_empty_row_for_none, answer_shortened_letter_by_letter, oldest_turn_dropped_at_most_once, just_cut,
    cut_unless_only_the_first_question_is_left, one_too_many_dropped,
]  # fmt: skip


def by_membership(row: dict):
    """Looks whether the keys are there, not what they hold."""
    for ask, answer in (("instruction", "output"), ("question", "answer"), ("prompt", "completion")):
        if ask in row and answer in row:
            return row[ask], row.get("input", ""), row[answer]
    return None


def alpaca_alone(row: dict):
    return (row["instruction"], row.get("input") or "", row["output"]) if row.get("output") else None


def values_in_order(row: dict):
    texts = [value for value in row.values() if isinstance(value, str) and value]
    return (texts[0], texts[1] if len(texts) > 2 else "", texts[-1]) if len(texts) > 1 else None


def first_and_last_message(row: dict):
    if messages := row.get("messages"):
        return messages[0]["content"], "", messages[-1]["content"]
    return pairs_of(row)


def pairs_of(row: dict):
    for ask, answer in (("instruction", "output"), ("question", "answer"), ("prompt", "completion")):
        if row.get(ask) and row.get(answer):
            return row[ask], row.get("input") or "", row[answer]
    return None


def any_two_messages(row: dict):
    messages = row.get("messages") or []
    return (messages[0]["content"], "", messages[1]["content"]) if len(messages) == 2 else pairs_of(row)


def first_turn_of_many(row: dict):
    messages = row.get("messages") or []
    if [message["role"] for message in messages[:2]] == ["user", "assistant"]:
        return messages[0]["content"], "", messages[1]["content"]
    return pairs_of(row)


def last_turn_of_many(row: dict):
    messages = row.get("messages") or []
    if [message["role"] for message in messages[-2:]] == ["user", "assistant"]:
        return messages[-2]["content"], "", messages[-1]["content"]
    return pairs_of(row)


def right(row: dict):
    messages = row.get("messages") or []
    if [message["role"] for message in messages] == ["user", "assistant"]:
        return messages[0]["content"], "", messages[1]["content"]
    return pairs_of(row)


def clean(row: dict):
    found = right(row)
    return found and tuple(map(str.strip, found))


def input_in_the_instruction(row: dict):
    found = right(row)
    return found and (f"{found[0]}\n\n{found[1]}" if found[1] else found[0], "", found[2])


def input_appended(row: dict):
    found = right(row)
    return found and (f"{found[0]}\n\n{found[1]}" if found[1] else found[0], found[1], found[2])


def pair(row: dict):
    found = right(row)
    return found and (found[0], found[2])


def none_for_no_input(row: dict):
    found = right(row)
    return found and (found[0], found[1] or None, found[2])


TRIPLE: list[Callable] = [
    by_membership, alpaca_alone, values_in_order, first_and_last_message, pairs_of, any_two_messages,
    first_turn_of_many, last_turn_of_many, clean, input_in_the_instruction, input_appended, pair, none_for_no_input,
]  # fmt: skip
ANSWERS = {
    ("11_instruction_data", "documents_turn"): TURN,
    ("11_instruction_data", "triple"): TRIPLE,
    ("11_instruction_data", "fit"): FIT,
}
