"""Check what a caller gives to `generate`, so that a mistake is a sentence and not torch's."""

from collections.abc import Collection
from operator import index

from minigpt.config import GPTConfig
from minigpt.errors import UserError


def as_ids(given: object, config: GPTConfig) -> list[int]:
    """The ids of a prompt: a list, an array or a tensor of whole numbers; an empty one becomes <|endoftext|>.

    UserError for text, numbers that are not whole, several rows, or ids outside the vocabulary.
    """
    if isinstance(given, str | bytes):
        raise UserError(
            f"The prompt is text, {given!r}; generate takes ids: tokenizer.encode(text), or template.prompt."
        )
    values = given.tolist() if hasattr(given, "tolist") else given  # a tensor, or an array of numpy
    if isinstance(values, dict) or not hasattr(values, "__iter__"):
        raise UserError(f"The prompt is {type(given).__name__}; it must be a list of ids.")
    values = list(values)
    if len(values) == 1 and isinstance(values[0], list | tuple):  # a batch of one
        values = list(values[0])
    if any(isinstance(value, list | tuple) for value in values):
        raise UserError(
            "The prompt has several rows; generate takes one, minigpt.sample.generation.generate_batch several."
        )
    size, start = config.vocab_size, config.bos_token_id
    if not values and not 0 <= start < size:
        raise UserError(f"The prompt is empty, and bos_token_id, {start}, is outside the vocabulary of {size} tokens.")
    ids = [whole(value, "An id of the prompt") for value in values] or [start]
    if (wrong := next((i for i in ids if not 0 <= i < size), None)) is not None:
        raise UserError(f"The id {wrong} is outside the vocabulary of {size} tokens.")
    return ids


def as_stops(given: object) -> Collection[int]:
    """The ids that end a text: any number of them, or one by itself."""
    if isinstance(given, str | bytes):
        raise UserError(f"stop is text, {given!r}; it takes ids: tokenizer.control holds those of the control tokens.")
    if hasattr(given, "__iter__") and getattr(given, "shape", None) != ():
        return {whole(value, "An id in stop") for value in given}
    return {whole(given, "stop")}


def whole(value: object, name: str) -> int:
    """`value` as an int, whatever library's; UserError unless it is a whole number."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return index(value)
    except TypeError:
        raise UserError(f"{name} is {value!r}; it must be a whole number.") from None
