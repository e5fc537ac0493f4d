"""Lay out a conversation as (ids, supervised): the tokens, and which of them are trained on."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NotRequired, TypedDict

from minigpt.errors import UserError
from minigpt.text.saved import saved_template, write_note
from minigpt.text.tokenizer import Tokenizer, load_tokenizer

ROLES = ("system", "user", "assistant")
JOINT = "\n\n"  # between an instruction and its input, where a template has no heading for the input


class Message(TypedDict):
    """What one role says. An answer of weight 0 is context only; `input` is the end of a user's content that Alpaca
    calls X: the content is the instruction, JOINT and the input, or the input alone."""

    role: str
    content: str
    weight: NotRequired[int]
    input: NotRequired[str]


def turns(messages: Sequence[dict]) -> tuple[str | None, list[tuple[Message, Message | None]]]:
    """C = (s, u_1, a_1, ..., u_T, a_T) (document A 3.2): the system's text and the pairs; a missing a_T is None.

    UserError, naming the message, for anything else: an unknown role, a system message that is not the first, two
    consecutive turns of one role, an assistant first, empty text, a lone surrogate, a weight other than 0 or 1, an
    input that is not the end of the content, or no user at all.
    """
    for i, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        if role not in ROLES:
            raise UserError(f"message {i + 1} has the role {role!r}; the roles are system, user and assistant.")
        if not isinstance(content, str):
            raise UserError(f"message {i + 1} ({role}) has content that is not text.")
        if not content:
            raise UserError(f"message {i + 1} ({role}) is empty.")
        try:
            content.encode()
        except UnicodeEncodeError:
            raise UserError(f"message {i + 1} ({role}) holds a lone surrogate, which is half of a character.") from None
        if message.get("weight", 1) not in (0, 1):
            raise UserError(f"message {i + 1} ({role}) has the weight {message['weight']!r}; it can be 0 or 1.")
        if not (isinstance(message.get("input", ""), str) and content.endswith(message.get("input", ""))):
            raise UserError(f"message {i + 1} ({role}) has an input that is not the end of its content.")
    return pair_turns(messages)


def pair_turns(messages: Sequence[Message]) -> tuple[str | None, list[tuple[Message, Message | None]]]:
    """What `turns` returns, and its UserErrors about who speaks when, for messages that are fine one by one."""
    for i, message in enumerate(messages):
        if message["role"] == "system" and i:
            raise UserError(f"message {i + 1} is a system message; only the first message may be one.")
    system = messages[0]["content"] if messages and messages[0]["role"] == "system" else None
    rest = messages[system is not None :]
    if not rest:
        raise UserError("there is no user turn.")
    if rest[0]["role"] != "user":
        raise UserError("the assistant speaks before the user.")
    for first, second in pairwise(rest):
        if first["role"] == second["role"]:
            raise UserError(f"there are two consecutive {first['role']} turns.")
    answers = [*rest[1::2], *[None] * (len(rest) % 2)]
    return system, list(zip(rest[::2], answers, strict=True))  # eq 12.1


def is_supervised(message: Message) -> bool:
    """Whether this is an answer to be trained on, as all are but those of weight 0."""
    return message["role"] == "assistant" and message.get("weight", 1) != 0


def without_oldest_turn(messages: Sequence[Message]) -> list[Message] | None:
    """The conversation without its first question and answer; the system message stays. None if it has only one."""
    first = int(messages[0]["role"] == "system")
    if len(messages) <= first + 2:
        return None
    return [*messages[:first], *messages[first + 2 :]]


class Template:
    """How a conversation is laid out. Each part is encoded separately: a prompt is an exact prefix of training's ids.

    `end` is the id that ends a response: the last supervised token of every assistant turn, and where generation stops.
    """

    name: str | None

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.end = tokenizer.control["<|endoftext|>"]
        self.after_end: list[int] = []  # ids after the end of a response, never supervised

    def encode_user_turn(self, system: str | None, user: str, first: bool, context: str = "") -> list[int]:
        """The ids between the previous turn's end and the start of this turn's response.

        `context` is the end of the user's text that is the instruction's input, for a template that separates the two.
        """
        raise NotImplementedError

    def check(self, tokens: int) -> None:
        """UserError for a model whose vocabulary is too small to hold this template's control tokens."""
        if max(*self.encode_user_turn(None, "", first=True), self.end) >= tokens:
            raise UserError(
                f"The model's vocabulary of {tokens:,} lacks the control tokens of the template {self.name}: it has "
                "not been fine-tuned on conversations. Do that first: python -m minigpt.train --init FOLDER."
            )

    def encode(self, messages: Sequence[Message]) -> tuple[list[int], list[bool]]:
        """The ids, and for each whether it is supervised: every response's tokens with its end, and nothing else.

        A response of weight 0 is not supervised. UserError for messages that are not a conversation, see `turns`.
        """
        ids, supervised = self._lay_out(messages)
        if messages[-1]["role"] != "assistant":
            raise UserError("the conversation ends with a user turn; one to train on must end with the assistant.")
        return ids, supervised

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """The ids to generate from, for a conversation that ends with the user: a prefix of what `encode` returns."""
        ids, _ = self._lay_out(messages)
        if messages[-1]["role"] != "user":
            raise UserError("the conversation ends with the assistant; a prompt must end with a user turn.")
        return ids

    def _lay_out(self, messages: Sequence[Message]) -> tuple[list[int], list[bool]]:
        system, pairs = turns(messages)
        ids: list[int] = []
        supervised: list[bool] = []
        for i, (user, answer) in enumerate(pairs):
            asked = self.encode_user_turn(None if i else system, user["content"], i == 0, user.get("input", ""))
            parts = [(asked, False)]
            if answer is not None:
                response = self.tokenizer.encode(answer["content"]) + [self.end]
                parts += [(response, is_supervised(answer)), (self.after_end, False)]
            for part, trained_on in parts:
                ids += part
                supervised += [trained_on] * len(part)
        return ids, supervised


class ChatML(Template):
    """<|im_start|>role, a newline, the text, <|im_end|>, a newline; for each message (document E 1)."""

    name = "chatml"

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__(tokenizer)
        self.end = tokenizer.control["<|im_end|>"]
        self.after_end = tokenizer.encode("\n")

    def encode_user_turn(self, system: str | None, user: str, first: bool, context: str = "") -> list[int]:
        before = [] if system is None else self._header("system") + self._closed(system)
        return before + self._header("user") + self._closed(user) + self._header("assistant")

    def _header(self, role: str) -> list[int]:
        return [self.tokenizer.control["<|im_start|>"]] + self.tokenizer.encode(f"{role}\n")

    def _closed(self, text: str) -> list[int]:
        return self.tokenizer.encode(text) + [self.end] + self.after_end


def chatml_text(messages: Sequence[Message]) -> str:
    """A conversation in ChatML as text (document E 1), equal to decoding `ChatML.encode`.

    For other programs. This one works with ids, because in text a control token looks the same as a user typing it.
    """
    return "".join(f"<|im_start|>{message['role']}\n{message['content']}<|im_end|>\n" for message in messages)


def plain_text(messages: Sequence[Message]) -> str:
    """A conversation as `Plain` lays it out: its messages, a line each."""
    return "".join(f"{message['content']}\n" for message in messages)


class Documents(Template):
    """S = [BOS, I, SEP, Y, EOS] (document D 3.2); several turns repeat I SEP Y EOS.

    BOS and EOS are both GPT-2's <|endoftext|>. The system's text is put before the first instruction.
    """

    name = "documents"

    def encode_user_turn(self, system: str | None, user: str, first: bool, context: str = "") -> list[int]:
        instruction = user if system is None else f"{system}\n{user}"
        return [self.end] * first + self.tokenizer.encode(instruction) + [self.tokenizer.control["<|sep|>"]]  # eq 11.2


class Alpaca(Template):
    """Stanford Alpaca's headings (tatsu-lab/stanford_alpaca, train.py), with one for the input of a row that has one.

    A system message replaces the preamble; later turns have none.
    """

    name = "alpaca"
    PREAMBLE = (
        "Below is an instruction that describes a task. Write a response that appropriately completes the request."
    )
    PREAMBLE_WITH_INPUT = (
        "Below is an instruction that describes a task, paired with an input that provides further context. "
        "Write a response that appropriately completes the request."
    )

    def encode_user_turn(self, system: str | None, user: str, first: bool, context: str = "") -> list[int]:
        preamble = self.PREAMBLE_WITH_INPUT if context else self.PREAMBLE
        opening = (system or preamble) if first else ""
        instruction = user.removesuffix(context).removesuffix(JOINT) if context else user
        heading = f"\n\n### Input:\n{context}" if context else ""
        return self.tokenizer.encode(f"{opening}\n\n### Instruction:\n{instruction}{heading}\n\n### Response:\n")


class Plain(Template):
    """No template: the texts of a conversation, a line each, as plain text has them; the next line ends a response.

    What a model that was trained on plain text gets to read, so that it can be compared with one that was tuned on
    instructions (document C 2.2).
    """

    name = None

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__(tokenizer)
        [self.end] = tokenizer.encode("\n")

    def encode_user_turn(self, system: str | None, user: str, first: bool, context: str = "") -> list[int]:
        lines = user if system is None else f"{system}\n{user}"
        return [self.tokenizer.control["<|endoftext|>"]] * first + self.tokenizer.encode(f"{lines}\n")


TEMPLATES = {template.name: template for template in (ChatML, Documents, Alpaca)}


def load_template(name: str | None, tokenizer: Tokenizer) -> Template:
    """The template called `name`, or `Plain` for None; UserError if it does not exist."""
    if not isinstance(tokenizer, Tokenizer):
        raise UserError(f"load_template takes a tokenizer, as load_tokenizer returns it, not {tokenizer!r}.")
    if name is None:
        return Plain(tokenizer)
    if name not in TEMPLATES:
        raise UserError(f"There is no template called {name!r}; the templates are {', '.join(TEMPLATES)}.")
    return TEMPLATES[name](tokenizer)


def save_template(folder: Path, template: Template) -> None:
    """Write minigpt.json, which names a model's template and tokenizer, the files the tokenizer needs, and what lets
    transformers use them: `apply_chat_template` gives the ids of `prompt`."""
    write_note(folder, template)


def template_of(folder: Path, name: str | None = None) -> Template:
    """The template called `name`, else the one in a model folder's minigpt.json (without that file, what the folder's
    own chat template looks like, or ChatML), with the folder's tokenizer."""
    tokenizer = load_tokenizer(folder)
    return load_template(saved_template(folder) if name is None else name, tokenizer)
