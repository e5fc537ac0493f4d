"""Text to token ids and back: raw bytes for `tiny`, GPT-2's byte-pair encoding otherwise. Read with lesson 01."""

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from operator import index
from pathlib import Path

import tiktoken
from tiktoken.load import read_file_cached

from minigpt.errors import UserError
from minigpt.pretrained.official import VOCABULARY, places
from minigpt.text.added_tokens import CONTROL, Added
from minigpt.text.saved import ends_of, read_note
from minigpt.text.vocabulary import BYTE_OF, Vocabulary, from_two_files, merges_text, read_vocabulary, vocabulary

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

    `name` is written to minigpt.json; `control` maps each control token to its id; `len()` counts all ids. `ids` has
    the id of each token, as `Vocabulary` writes it; the last `appended` ids are control tokens that the vocabulary's
    files lack, so no model knows them yet. `ends` are the ids that end a text.
    """

    name: str
    control: dict[str, int]
    ids: dict[str, int]
    merges: list[tuple[str, str]]
    words: dict[str, int]
    appended = 0
    ends: tuple[int, ...]

    def __len__(self) -> int:
        return self._size

    @cached_property
    def _size(self) -> int:
        return max(self.ids.values()) + 1

    def encode(self, text: str) -> list[int]:
        """X = (x_1, ..., x_T) (document D 2.2). UserError for a lone surrogate, which UTF-8 cannot encode."""
        if not isinstance(text, str):
            raise UserError(f"A tokenizer encodes text, a str; {type(text).__name__} was given.")
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
        reader, size = codecs.getincrementaldecoder("utf-8")(errors="replace"), len(self)
        for token in _listed(ids):
            if not 0 <= token < size:
                raise UserError(f"The id {token} is outside the vocabulary of {size} tokens.")
            if text := reader.decode(self.token_bytes(token)):
                yield text
        if text := reader.decode(b"", final=True):
            yield text

    def token_bytes(self, token: int) -> bytes:
        """The bytes of one token; for a control token, those of its name."""
        raise NotImplementedError

    def files(self) -> dict[str, bytes]:
        """vocab.json and merges.txt, if the tokens are GPT-2's kind."""
        return {}

    def _encode(self, data: bytes, text: str) -> list[int]:
        raise NotImplementedError


class ByteTokenizer(Tokenizer):
    """Every UTF-8 byte is a token, 0 to 255; the control tokens follow."""

    name = "bytes"

    def __init__(self) -> None:
        self.control = {token: 256 + i for i, token in enumerate(CONTROL)}
        self._names = [token.encode() for token in CONTROL]
        self.ids, self.merges, self.words = BYTE_OF | self.control, [], {}
        self.ends = (self.control["<|endoftext|>"],)

    def token_bytes(self, token: int) -> bytes:
        return bytes([token]) if token < 256 else self._names[token - 256]

    def _encode(self, data: bytes, text: str) -> list[int]:
        return list(data)


class GPT2Tokenizer(Tokenizer):
    """Byte-pair tokens by tiktoken: GPT-2's 50,256, or another vocabulary of this kind.

    <|endoftext|> is the vocabulary's own token that ends a text; the control tokens it lacks follow its last id.
    """

    name = "gpt2"

    def __init__(self, tokens: Vocabulary) -> None:
        self.merges, self.words = tokens.merges, tokens.words
        self.control = dict(tokens.special)
        if tokens.end is not None:
            self.control.setdefault(CONTROL[0], tokens.special[tokens.end])
        first_free = max(tokens.ids.values()) + 1
        lacking = [token for token in CONTROL if token not in self.control]
        self.appended = len(lacking)
        self.control |= {token: first_free + i for i, token in enumerate(lacking)}
        self.ids = tokens.ids | {token: self.control[token] for token in lacking}
        self.ends = (self.control[CONTROL[0]],)
        self._bytes = {number: token.encode() for token, number in self.ids.items()}
        self._bytes |= {number: token for token, number in tokens.ranks.items()}
        self._ranks = self._numbered(tokens.ranks)
        self._pairs = tiktoken.Encoding("gpt2", pat_str=GPT2_PATTERN, mergeable_ranks=self._ranks, special_tokens={})

    def _numbered(self, ranks: dict[bytes, int]) -> dict[bytes, int]:
        """What tiktoken takes for the order of merging, and gives as ids: the ids themselves."""
        return ranks

    def token_bytes(self, token: int) -> bytes:
        return self._bytes.get(token, b"")

    def files(self) -> dict[str, bytes]:
        return {"vocab.json": json.dumps(self.ids).encode(), "merges.txt": merges_text(self.merges)}

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


class RenumberedTokenizer(GPT2Tokenizer):
    """Byte-pair tokens whose ids are not in the order of merging, or with words that are found before any merging."""

    def _numbered(self, ranks: dict[bytes, int]) -> dict[bytes, int]:
        self._id_of = [*ranks.values()]
        longest_first = sorted(self.words, key=len, reverse=True)
        self._words = re.compile(f"({'|'.join(map(re.escape, longest_first))})" if longest_first else r"(?!)()")
        return {token: rank for rank, token in enumerate(ranks)}

    def _encode(self, data: bytes, text: str) -> list[int]:
        ids: list[int] = []
        for i, part in enumerate(self._words.split(text)):  # every second part is a word
            ids += [self.words[part]] if i % 2 else map(self._id_of.__getitem__, super()._encode(part.encode(), part))
        return ids


def pair_tokenizer(tokens: Vocabulary) -> GPT2Tokenizer:
    """The tokenizer of this vocabulary. The ids that tiktoken gives are its own if they are in the order of merging."""
    merged = [*tokens.ranks.values()][len(BYTE_OF) :]
    in_order = merged == sorted(merged) and not tokens.words
    return (GPT2Tokenizer if in_order else RenumberedTokenizer)(tokens)


def load_tokenizer(name: str | Path, weights: Path | None = None) -> Tokenizer:
    """The tokenizer called "bytes" or "gpt2" (all official sizes share one), or the one in a model's folder.

    GPT-2's vocabulary is read from `weights` (left out: the working directory's and the checkout's weights/), else from
    tiktoken's cache or download. UserError if neither works, or for a folder without a vocabulary of GPT-2's kind.
    """
    if not isinstance(name, str | Path):
        raise UserError(f"A tokenizer is 'bytes', 'gpt2' or a model's folder, not {name!r}.")
    if name == "bytes":
        return ByteTokenizer()
    if name == "gpt2":
        return _official([weights] if weights else places())
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise UserError(f"Unknown tokenizer {str(name)!r}: it is neither 'bytes' nor 'gpt2' nor a folder.")
    if (folder / "model" / "minigpt.json").exists():  # a run's folder
        folder = folder / "model"
    note = read_note(folder) if (folder / "minigpt.json").exists() else {}
    tokenizer = ByteTokenizer() if note.get("tokenizer") == "bytes" else pair_tokenizer(read_vocabulary(folder))
    if note:  # then the model has learned all control tokens
        tokenizer.appended = 0
    tokenizer.ends = ends_of(folder, tokenizer.control)
    return tokenizer


def _official(searched: list[Path]) -> GPT2Tokenizer:
    for place in searched:
        if found := next((path.parent for path in sorted(place.glob("gpt2*/vocab.json"))), None):
            return pair_tokenizer(read_vocabulary(found))
    try:
        files = [read_file_cached(PUBLISHED + name, sha256) for name, sha256 in GPT2_FILES.values()]
    except Exception as error:  # tiktoken passes on its HTTP library's and the file system's errors
        raise UserError(
            f"GPT-2's vocabulary (vocab.json, merges.txt) is not in {' nor in '.join(f'{p}/gpt2' for p in searched)}, "
            f"and tiktoken could not download it ({type(error).__name__}). Put the two files there, or use --tokenizer "
            "bytes."
        ) from None
    return pair_tokenizer(vocabulary(*from_two_files(*files), Added(), "tiktoken's copy of the vocabulary"))


def _listed(ids: Iterable[int]) -> Iterator[int]:
    """The ids of a list, an array or a tensor, one by one. UserError for anything but whole numbers."""
    try:
        if isinstance(ids, str | bytes):
            raise TypeError
        for token in ids:
            yield index(token)
    except TypeError:
        raise UserError(f"A tokenizer decodes a list of ids; {ids!r} was given. `encode` makes ids of text.") from None
