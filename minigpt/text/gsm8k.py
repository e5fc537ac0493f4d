"""GSM8K's official rule for what a worked answer comes to."""

import re
from collections.abc import Iterable

GSM8K_ANSWER = re.compile(r"#### (\-?[0-9\.\,]+)")


def gsm8k_number(text: str) -> str | None:
    """The final number of a worked answer, by the official rule (openai/grade-school-math, dataset.py): the text after
    the first "#### ", without commas; None if the format is not followed. Numbers are compared as text."""
    found = GSM8K_ANSWER.search(text)
    return found[1].strip().replace(",", "") if found else None


def all_gsm8k(wanted: Iterable[str | None]) -> bool:
    """Whether all wanted answers, of which there is at least one, follow the format."""
    numbers = [text is not None and gsm8k_number(text) is not None for text in wanted]
    return bool(numbers) and all(numbers)
