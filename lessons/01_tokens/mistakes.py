"""Lesson 01's functions with a switch for each typical mistake; without one they are right."""

from itertools import pairwise

import regex

from minigpt.text.tokenizer import GPT2_PATTERN, Tokenizer


def utf8(
    number: int, *, one_byte_to_255=False, no_lead_mark=False, no_other_marks=False, seven_bits=False,
    last_first=False, never_four=False, number_itself=False,
) -> list[int]:  # fmt: skip
    if number < (256 if one_byte_to_255 else 128) or number_itself:
        return [number]
    n = 2 if number < 2048 else 3 if number < 65536 or never_four else 4
    base = 128 if seven_bits else 64
    digits = [number // base**i % base for i in range(n)]
    digits[-1] = number // base ** (n - 1)
    found = [digit + (0 if no_other_marks else 128) for digit in digits[:-1]]
    found.append(digits[-1] + (0 if no_lead_mark else {2: 192, 3: 224, 4: 240}[n]))
    return found if last_first else found[::-1]


def token_bytes(
    self: Tokenizer, token: int, *, that_many_zeros=False, as_character=False, digits=False, no_control=False,
    one_late=False, two_bytes=False,
) -> bytes:  # fmt: skip
    names = list(self.control)
    if token < 256:
        if that_many_zeros:
            return bytes(token)
        return chr(token).encode() if as_character else str(token).encode() if digits else bytes([token])
    if no_control or two_bytes:
        return b"" if no_control else token.to_bytes(2, "big")
    return names[(token - 256 + one_late) % len(names)].encode()


def merge(
    parts: list[bytes], vocab: dict[bytes, int], *, first_found=False, highest=False, longest=False, ids_added=False,
    last_of_equals=False, every_one=False, second_kept=False, nothing_left=False,
) -> list[bytes]:  # fmt: skip
    joined = {i: a + b for i, (a, b) in enumerate(pairwise(parts)) if a + b in vocab}
    if not joined:
        return [] if nothing_left else parts

    def rank(i: int) -> tuple[int, int]:
        if first_found:
            key = 0
        elif longest:
            key = -len(joined[i])
        elif ids_added:
            key = vocab[parts[i]] + vocab[parts[i + 1]]
        else:
            key = -vocab[joined[i]] if highest else vocab[joined[i]]
        return key, -i if last_of_equals else i

    best = min(joined, key=rank)
    found, i = [], 0
    while i < len(parts):
        if i == best or (every_one and joined.get(i) == joined[best]):
            found.append(joined[i])
            i += 1 if second_kept else 2
        else:
            found.append(parts[i])
            i += 1
    return found


def longest_from_the_left(word: bytes, vocab: dict[bytes, int]) -> list[bytes]:
    found = []
    while word:
        length = next(n for n in range(len(word), 0, -1) if word[:n] in vocab or n == 1)
        found.append(word[:length])
        word = word[length:]
    return found


def encode(
    text: str, vocab: dict[bytes, int], *, not_cut=False, cut_at_blanks=False, blanks_lost=False, blanks_behind=False,
    letters=False, byte_values=False, one_merge=False, from_the_left=False, **switches: bool,
) -> list[int]:  # fmt: skip
    if not_cut:
        words = [text]
    elif blanks_lost:
        words = [word.strip() for word in regex.findall(GPT2_PATTERN, text) if word.strip()]
    elif blanks_behind:
        words = regex.findall(r"\p{L}+ ?|\p{N}+ ?|[^\s\p{L}\p{N}]+ ?|\s+", text)
    else:
        words = regex.findall(r" ?\S+|\s+" if cut_at_blanks else GPT2_PATTERN, text)
    ids = []
    for word in words:
        before, parts = None, [letter.encode() for letter in word] if letters else [bytes([b]) for b in word.encode()]
        if from_the_left:
            parts = longest_from_the_left(word.encode(), vocab)
        while parts != before and not from_the_left:
            before, parts = parts, merge(parts, vocab, **switches)
            if one_merge:
                break
        known = [part for part in parts if part in vocab]
        ids += [part[0] if byte_values and len(part) == 1 else vocab[part] for part in known]
    return ids
