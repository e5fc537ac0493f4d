"""Lesson 11's exercises: `pytest lessons/11_instruction_data` says how far you are.

turtle: a formula, 5 to 10 minutes; dog: a small program, 15 to 30; lion: measured against the real thing.
"""

from collections.abc import Iterable, Sequence

from minigpt import Conversation
from minigpt.text.examples import Lengths
from minigpt.text.template import Message, Template
from minigpt.text.tokenizer import Tokenizer


def documents_turn(self: Template, system: str | None, user: str, first: bool, context: str = "") -> list[int]:
    """Turtle, 10 minutes. [BOS, I, SEP] of (11.2): what the model reads before it writes this turn's answer.

    BOS only in the first turn, since after that the EOS of the turn before is there. A system message, if there is one,
    precedes the user's text on a line of its own. `context` is X: it already is the end of `user`.

    `self.tokenizer.encode(text)` gives ids; `self.tokenizer.control` is {name of a control token: id}; `self.end` is
    the id of EOS, which is also BOS.
    """
    raise NotImplementedError


def lengths(conversations: Iterable[Conversation], tokenizer: Tokenizer) -> Lengths:
    """Turtle, 10 minutes. Q_i and A_i of (11.3), as `Lengths(prompt, response)`: two lists, a number a conversation.

    Q_i counts the tokens of the system's and the user's messages, A_i those of the assistant's, each message encoded by
    itself, without control tokens. The messages are `conversation.messages`, each with "role" and "content".
    """
    raise NotImplementedError


def triple(row: dict) -> tuple[str, str, str] | None:
    """Dog, 25 minutes. (I, X, Y) of (11.1) out of a row of a file, with X = "" where there is none.

    A row has "instruction" and "output", perhaps with an "input"; or "question" and "answer"; or "prompt" and
    "completion"; or "messages", two of {"role", "content"}: the user's, then the assistant's. It may have other keys,
    in any order, and a value may be None, as if the key were not there. The texts stay as they are, blanks too.

    None if it is not one of these, if I or Y is missing or empty, or if the messages are others.
    """
    raise NotImplementedError


def without_oldest_turn(messages: Sequence[Message]) -> list[Message] | None:
    """Dog, 15 minutes. The conversation without its first question and answer, or None if it has only one turn.

    The system message, if there is one, is the first message, and stays. The last turn may still lack its answer.
    """
    raise NotImplementedError


def fit(messages: list[Message], template: Template, t_max: int) -> list[int] | None:
    """Lion, 30 minutes. The ids of a training row of at most `t_max` tokens, by the rule of (11.4), or None.

    The oldest turns go, whole, as few as possible, and the system message stays. If the last turn alone is too long,
    the end of its answer is cut, and nothing is put in its place. None if no token of that answer is left.

    `template.encode(messages)` gives (ids, supervised) of a conversation, `template.prompt(messages)` the ids of one
    that ends with the user. The judge has the built-in conversations and long ones, and compares with the package's
    `encode_within`.
    """
    raise NotImplementedError
