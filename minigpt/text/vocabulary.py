"""A byte-pair vocabulary, in the files of a model's folder: tokenizer.json, or vocab.json and merges.txt."""

import hashlib
import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from minigpt.errors import UserError, warn
from minigpt.pretrained.official import VOCABULARY
from minigpt.reading import read_object, refuse_mistaken
from minigpt.text.added_tokens import Added, classify, read_added

FILES = (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe"))  # transformers' names, and OpenAI's
# transformers' classes that read these two files as GPT-2's.
CLASSES = (None, "GPT2Tokenizer", "GPT2TokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend")
# What tokenizer.json may say: the values with which the ids of a text are those of GPT-2's encoding.
WHOLE = {"normalizer": (None,), "truncation": (None,), "padding": (None,)}
MODEL = {
    "type": ("BPE",), "dropout": (None, 0.0), "continuing_subword_prefix": (None, ""), "end_of_word_suffix": (None, ""),
    "byte_fallback": (None, False),
}  # fmt: skip
PRE_TOKENIZER = {"type": ("ByteLevel",), "add_prefix_space": (False,), "use_regex": (None, True)}

Ids = dict[str, int]
Merges = list[tuple[str, str]]


def _printable_bytes() -> dict[str, int]:
    """GPT-2's files write each byte as one printable character: itself if printable, else from U+0100 on."""
    plain = [b for b in range(256) if chr(b).isprintable() and chr(b) != " "]
    others = [b for b in range(256) if b not in plain]
    return {chr(b): b for b in plain} | {chr(256 + i): b for i, b in enumerate(others)}


BYTE_OF = _printable_bytes()


@dataclass(frozen=True)
class Vocabulary:
    """The tokens as the files write them, with their ids, and the merges in their order.

    `ranks` is for tiktoken: the bytes of each token that text is made of, in the order of merging, with its id. No
    text produces a token of `special`; `words` are added tokens that text does produce, found before any merging.
    """

    ids: Ids
    merges: Merges
    ranks: dict[bytes, int]
    special: Ids
    words: Ids
    end: str | None  # the special token that ends a text, if there is one


def vocabulary(ids: dict[str, object], merges: Merges, added: Added, where: str) -> Vocabulary:
    """Put a vocabulary together. UserError naming `where` for one that is not GPT-2's kind, byte-level BPE."""
    tokens = _tokens(merges)
    for token, number in [*ids.items(), *((content, number) for content, number, _ in added.tokens)]:
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise UserError(f"The vocabulary in {where} is not in GPT-2's format: {token!r} has the id {number!r}.")
    if missing := next((token for token in tokens if token not in ids), None):
        raise UserError(
            f"The vocabulary in {where} is not in GPT-2's format: the token {missing!r} has no id, and each byte and "
            "each merge must have one."
        )
    ids, special, words, end = classify(ids, tokens, added, where)
    ids = dict(sorted(ids.items(), key=lambda item: item[1]))
    if len({*ids.values()}) < len(ids) or max(ids.values()) > 2 * len(ids) + 1024:
        raise UserError(f"The vocabulary in {where} repeats an id, or leaves out more ids than it has tokens.")
    _check_merges(tokens, merges, where)
    ranks = {bytes(BYTE_OF[c] for c in token): ids[token] for token in tokens}
    return Vocabulary(ids, merges, ranks, special, words, end)


def _tokens(merges: Merges) -> dict[str, None]:
    """What text is made of, in the order of merging: the bytes, then what each merge produces."""
    return dict.fromkeys([*BYTE_OF, *(first + second for first, second in merges)])


def _check_merges(tokens: dict[str, None], merges: Merges, where: str) -> None:
    """UserError unless merging each token's own bytes produces that token. tiktoken, which knows tokens and no rules,
    then merges as the rules do; every vocabulary that training has built is of this kind."""
    if hashlib.sha256(merges_text(merges)).hexdigest() == VOCABULARY["merges.txt"]:
        return
    rules = {pair: i for i, pair in enumerate(merges)}
    for token in tokens:
        parts = list(token)
        while len(parts) > 1:
            rank, at = min((rules.get(pair, len(rules)), i) for i, pair in enumerate(pairwise(parts)))
            if rank == len(rules):
                break
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        if len(parts) > 1 or len(tokens) < len(BYTE_OF) + len(merges):
            raise UserError(f"In {where}, the merges are not those of a trained BPE: look at the token {token!r}.")


def merges_text(merges: Merges) -> bytes:
    """merges.txt; GPT-2's own to the byte if the merges are."""
    return "\n".join(["#version: 0.2", *map(" ".join, merges), ""]).encode()


def read_vocabulary(folder: Path) -> Vocabulary:
    """The vocabulary of a model's folder: tokenizer.json if it has one, as transformers reads it, else two files.

    UserError for files that are missing, broken, at odds with each other, or of another kind than GPT-2's.
    """
    try:
        added = read_added(folder)
        if (folder / "tokenizer.json").exists():
            ids, merges, tokens = _from_one_file(folder / "tokenizer.json")
            added.tokens[:0] = tokens
        else:
            ids, merges = from_two_files(*_two_files(folder))
        return vocabulary(ids, merges, added, str(folder))
    except UserError:
        raise
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise UserError(
            f"The vocabulary in {folder} is not in GPT-2's format ({type(error).__name__}: {error})."
        ) from None


def _from_one_file(path: Path) -> tuple[dict[str, object], Merges, list[tuple[str, object, dict]]]:
    values = read_object(path)
    model, pre_tokenizer = values.get("model") or {}, values.get("pre_tokenizer") or {}
    if not model.get("merges"):  # then it does not matter where a text is split before merging
        pre_tokenizer = {**pre_tokenizer, "use_regex": None}
    parts = {"": (values, WHOLE), "model.": (model, MODEL), "pre_tokenizer.": (pre_tokenizer, PRE_TOKENIZER)}
    for part, (said, allowed) in parts.items():
        for name, fine in allowed.items():
            if said.get(name) not in fine:
                raise UserError(
                    f"{path} is not a tokenizer of GPT-2's kind, byte-level BPE: {part}{name} is {said.get(name)!r}."
                )
    if "SpecialToken" in str((values.get("post_processor") or {}).get("single")):
        warn(f"{path} puts special tokens around each text; minigpt does not, but for those of a template.")
    merges = [tuple(pair.split(" ") if isinstance(pair, str) else pair) for pair in model["merges"]]
    added = [(token["content"], token["id"], token) for token in values.get("added_tokens") or []]
    return dict(model["vocab"]), [(first, second) for first, second in merges], added


def _two_files(folder: Path) -> list[bytes]:
    path = folder / "tokenizer_config.json"
    kind = read_object(path).get("tokenizer_class") if path.exists() else None
    if kind not in CLASSES:
        raise UserError(f"{path}: tokenizer_class is {kind!r}; without a tokenizer.json only GPT-2's own is known.")
    names = next((names for names in FILES if (folder / names[0]).exists()), FILES[0])
    other = next(folder.glob("*.model"), None)
    if other and not any((folder / name).exists() for name in names):
        raise UserError(f"{other} is a SentencePiece vocabulary; GPT-2's kind is byte-level BPE.")
    contents = []
    for name in names:
        refuse_mistaken(folder / name)
        try:
            contents.append((folder / name).read_bytes())
        except OSError as error:
            raise UserError(
                f"{folder / name} cannot be read ({error.strerror}); GPT-2's tokenizer needs it, or tokenizer.json."
            ) from None
    return contents


def from_two_files(vocab: bytes, merges: bytes) -> tuple[dict[str, object], Merges]:
    """The ids in vocab.json and the merges in merges.txt, which begins with a line on its version."""
    lines = [line.rstrip("\r") for line in merges.decode("utf-8").split("\n")]
    pairs = [tuple(line.split()) for line in lines[lines[0].startswith("#version") :] if line]
    return dict(json.loads(vocab)), [(first, second) for first, second in pairs]
