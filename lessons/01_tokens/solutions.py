"""One answer to each exercise of lesson 01."""

from itertools import pairwise

import regex

from minigpt.text.tokenizer import GPT2_PATTERN, Tokenizer


def utf8(number: int) -> list[int]:
    if number < 128:
        return [number]
    last = 128 + number % 64
    if number < 2048:
        return [192 + number // 64, last]
    middle = 128 + number // 64 % 64
    if number < 65536:
        return [224 + number // 4096, middle, last]
    return [240 + number // 262144, 128 + number // 4096 % 64, middle, last]


def token_bytes(self: Tokenizer, token: int) -> bytes:
    names = {i: name for name, i in self.control.items()}
    return names[token].encode() if token in names else bytes([token])


def merge(parts: list[bytes], vocab: dict[bytes, int]) -> list[bytes]:
    joints = [(vocab[a + b], i) for i, (a, b) in enumerate(pairwise(parts)) if a + b in vocab]
    if not joints:
        return parts
    _, i = min(joints)
    return [*parts[:i], parts[i] + parts[i + 1], *parts[i + 2 :]]


def encode(text: str, vocab: dict[bytes, int]) -> list[int]:
    ids = []
    for word in regex.findall(GPT2_PATTERN, text):
        before, parts = None, [bytes([byte]) for byte in word.encode()]
        while parts != before:
            before, parts = parts, merge(parts, vocab)
        ids += [vocab[part] for part in parts]
    return ids
