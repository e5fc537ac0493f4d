"""Lesson 01's exercises: `pytest lessons/01_tokens` says how far you are.

turtle: a formula, 5 to 10 minutes; dog: a small program, 15 to 30; lion: measured against the real thing.
"""

from minigpt.text.tokenizer import Tokenizer


def utf8(number: int) -> list[int]:
    """Turtle, 10 minutes. The bytes of the character with this number in Unicode, by arithmetic.

    As in the lesson: one byte below 128, two below 2,048, three below 65,536, else four.
    """
    raise NotImplementedError


def token_bytes(self: Tokenizer, token: int) -> bytes:
    """Turtle, 5 minutes. The bytes that one id of the byte tokenizer stands for.

    From 256 on there are the control tokens: {name: id} is `self.control`, and their bytes are those of the name.
    """
    raise NotImplementedError


def merge(parts: list[bytes], vocab: dict[bytes, int]) -> list[bytes]:
    """Dog, 15 minutes. One step of the encoder: the parts of a word with two neighbors joined.

    Of all neighbors that together are in `vocab` ({bytes of a token: its id}), those with the lowest id are joined; of
    several with that id, the first two. If none are, the parts stay as they are.
    """
    raise NotImplementedError


def encode(text: str, vocab: dict[bytes, int]) -> list[int]:
    """Lion, 30 minutes. GPT-2's ids of any text, equal to tiktoken's on 200 strings.

    regex.findall(GPT2_PATTERN, text) cuts the text into words (`import regex`, which comes with tiktoken;
    `from minigpt.text.tokenizer import GPT2_PATTERN`). Each word begins as single bytes and is merged until nothing
    can be joined. The id of a single byte is in `vocab` too. The judge has no time to go through all of `vocab`.
    """
    raise NotImplementedError
