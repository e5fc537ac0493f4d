"""Text to token ids and back: raw bytes for `tiny`, GPT-2's byte-pair encoding otherwise. Read with lesson 01."""

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

import tiktoken
from tiktoken.load import read_file_cached

from minigpt.errors import UserError
from minigpt.pretrained.official import VOCABULARY
from minigpt.reading import read_object

CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|sep|>")

# Where OpenAI publishes GPT-2's vocabulary, with each file's SHA-256: openai/tiktoken, tiktoken_ext/openai_public.py.
# The Hugging Face layout calls the same two files vocab.json and merges.txt.
PUBLISHED = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/"
GPT2_FILES = {
    "vocab.json": ("encoder.json", VOCABULARY["vocab.json"]),
    "merges.txt": ("vocab.bpe", VOCABULARY["merges.txt"]),
}
GPT2_PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
WHITE = re.compile(r"[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]{2,}")  # the pattern's \s
LONGEST_WHITE = 2**16  # characters: `\s+(?!\S)` overflows tiktoken's stack at a million


class Tokenizer:
    """Base of both tokenizers. Text never encodes to a control id: a user who types "<|im_end|>" gets the ids of those
    ten characters.

    `name` is written to minigpt.json; `control` maps each control token to its id; `len()` counts all ids.
    """

    name: str
    control: dict[str, int]

    def __len__(self) -> int:
        return max(self.control.values()) + 1

    def encode(self, text: str) -> list[int]:
        """X = (x_1, ..., x_T) (document D 2.2). UserError for a lone surrogate, which UTF-8 cannot encode."""
        try:
            return self._encode(text.encode("utf-8"), text)  # eq 1.1
        except UnicodeEncodeError as error:
            raise UserError(
                f"The text holds a lone surrogate (U+{ord(text[error.start]):04X}) at character {error.start}; "
                "it is half of a character and cannot be encoded."
            ) from None

    def decode(self, ids: list[int]) -> str:
        """The text of `ids`: control tokens by name, invalid UTF-8 as U+FFFD. UserError for an unknown id."""
        return "".join(self.pieces(ids))

    def pieces(self, ids: Iterable[int]) -> Iterator[str]:
        """The text of `ids` as they arrive: a character of several tokens is held back until it is complete.

        Joined, the pieces are what `decode` returns.
        """
        reader = codecs.getincrementaldecoder("utf-8")(errors="replace")
        for token in ids:
            if not 0 <= token < len(self):
                raise UserError(f"The id {token} is outside the vocabulary of {len(self)} tokens.")
            if text := reader.decode(self.token_bytes(token)):
                yield text
        if text := reader.decode(b"", final=True):
            yield text

    def token_bytes(self, token: int) -> bytes:
        """The bytes of one token; for a control token, those of its name."""
        raise NotImplementedError

    def files(self) -> dict[str, bytes]:
        """The files a model's folder needs so that this tokenizer can be loaded from it."""
        return {}

    def _encode(self, data: bytes, text: str) -> list[int]:
        raise NotImplementedError


class ByteTokenizer(Tokenizer):
    """Every UTF-8 byte is a token, 0 to 255; the control tokens follow."""

    name = "bytes"

    def __init__(self) -> None:
        self.control = {token: 256 + i for i, token in enumerate(CONTROL)}
        self._names = [token.encode() for token in CONTROL]

    def token_bytes(self, token: int) -> bytes:
        return bytes([token]) if token < 256 else self._names[token - 256]

    def _encode(self, data: bytes, text: str) -> list[int]:
        return list(data)


class GPT2Tokenizer(Tokenizer):
    """GPT-2's 50,256 byte-pair tokens by tiktoken; <|endoftext|> is GPT-2's own, the other control tokens follow it."""

    name = "gpt2"

    def __init__(self, vocab: bytes, merges: bytes, where: str) -> None:
        self._files = {"vocab.json": vocab, "merges.txt": merges}
        ranks = self._ranks = _ranks(vocab, merges, where)
        self.control = {token: len(ranks) + i for i, token in enumerate(CONTROL)}
        self._names = {i: token.encode() for token, i in self.control.items()}
        self._pairs = tiktoken.Encoding("gpt2", pat_str=GPT2_PATTERN, mergeable_ranks=ranks, special_tokens={})

    def token_bytes(self, token: int) -> bytes:
        return self._names.get(token) or self._pairs.decode_single_token_bytes(token)

    def files(self) -> dict[str, bytes]:
        return self._files

    @cached_property
    def _white(self) -> tiktoken.Encoding:
        """The same byte pairs for text that is white space only, all of it one word."""
        return tiktoken.Encoding("white", pat_str=r"\s+", mergeable_ranks=self._ranks, special_tokens={})

    def _encode(self, data: bytes, text: str) -> list[int]:
        """The ids of the whole text, also where a run of white space is too long for the pattern: no word has white
        space after its first character, so such a run is one word, except that its last character begins the next."""
        ids: list[int] = []
        start = 0
        for run in WHITE.finditer(text) if len(text) > LONGEST_WHITE else ():
            if run.end() - run.start() > LONGEST_WHITE:
                end = run.end() - (run.end() < len(text))
                ids += self._pairs.encode_ordinary(text[start : run.start()])
                ids += self._white.encode_ordinary(text[run.start() : end])
                start = end
        return ids + self._pairs.encode_ordinary(text[start:])


def load_tokenizer(name: str | Path, weights: Path = Path("weights")) -> Tokenizer:
    """The tokenizer called "bytes" or "gpt2" (all official sizes share one), or the one in a folder with minigpt.json
    or with vocab.json and merges.txt.

    GPT-2's vocabulary is read from `weights/gpt2`, else from tiktoken's cache or download. UserError if neither works.
    """
    if name == "bytes":
        return ByteTokenizer()
    if name == "gpt2":
        folder = next((path.parent for path in sorted(weights.glob("gpt2*/vocab.json"))), None)
        return _from_folder(folder) if folder else GPT2Tokenizer(*_published(), "tiktoken's copy of the vocabulary")
    folder = Path(name)
    if not folder.is_dir():
        raise UserError(f"Unknown tokenizer {str(name)!r}: it is neither 'bytes' nor 'gpt2' nor a folder.")
    note = folder / "minigpt.json"
    if note.exists() and read_note(folder)["tokenizer"] == "bytes":
        return ByteTokenizer()
    return _from_folder(folder)


def read_note(folder: Path) -> dict[str, str | None]:
    """A model folder's minigpt.json: the tokenizer and the template it was trained with; None is plain text."""
    path = folder / "minigpt.json"
    note = read_object(path, "it names the model's tokenizer and template")
    for key, text in (("tokenizer", str), ("template", str | None)):
        if key not in note or not isinstance(note[key], text):
            raise UserError(f"{path}: the key {key!r} is missing or not text.")
    return note


def _from_folder(folder: Path) -> GPT2Tokenizer:
    files = []
    for name in GPT2_FILES:
        try:
            files.append((folder / name).read_bytes())
        except OSError as error:
            raise UserError(f"{folder / name} cannot be read ({error.strerror}); GPT-2's tokenizer needs it.") from None
    return GPT2Tokenizer(*files, str(folder))


def _published() -> list[bytes]:
    try:
        return [read_file_cached(PUBLISHED + name, sha256) for name, sha256 in GPT2_FILES.values()]
    except Exception as error:  # tiktoken passes on its HTTP library's and the file system's errors
        raise UserError(
            "GPT-2's vocabulary is not in weights/gpt2 (vocab.json, merges.txt), and tiktoken could not download it "
            f"({type(error).__name__}). Put the two files there, or use --tokenizer bytes."
        ) from None


def _printable_bytes() -> dict[str, int]:
    """GPT-2's two files write each byte as one printable character: itself if printable, else from U+0100 on."""
    plain = [b for b in range(256) if chr(b).isprintable() and chr(b) != " " and b < 256]
    others = [b for b in range(256) if b not in plain]
    return {chr(b): b for b in plain} | {chr(256 + i): b for i, b in enumerate(others)}


def _ranks(vocab: bytes, merges: bytes, where: str) -> dict[bytes, int]:
    """tiktoken's {token's bytes: id}; ids must be in merge order, as GPT-2's are, or the files are refused."""
    byte_of = _printable_bytes()
    try:
        pairs = [tuple(line.split()) for line in merges.decode("utf-8").split("\n")[1:] if line]
        tokens = [bytes([b]) for b in byte_of.values()]
        tokens += [bytes(byte_of[c] for c in first + second) for first, second in pairs]
        ids = {bytes(byte_of[c] for c in token): i for token, i in json.loads(vocab).items() if token not in CONTROL}
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise UserError(
            f"The vocabulary in {where} is not in GPT-2's format ({type(error).__name__}: {error})."
        ) from None
    ranks = {token: i for i, token in enumerate(tokens)}
    if ranks != ids:
        raise UserError(
            f"In {where}, vocab.json does not number the tokens in the order of merges.txt, as GPT-2's does."
        )
    return ranks
