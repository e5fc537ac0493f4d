"""Training and held-out plain text of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import UInt

from minigpt.errors import UserError
from minigpt.text.examples import Splits
from minigpt.text.plain import documents, is_plain_text, text_sha256
from minigpt.text.records import BUILTIN_NAMES, BadRow
from minigpt.text.stream import Stream, TextRows, held_out
from minigpt.text.template import Template
from minigpt.text.token_cache import tokens_of
from minigpt.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class PlainText:
    """Texts to learn a language from (document C 2.2), and the text that the loss is measured on."""

    names: list[str]
    valid_name: str | None
    files: dict[str, str]  # name to SHA-256
    bad: list[BadRow] | None = None  # rows left out with --skip-bad; None without it
    side: None = None  # there are no pairs in it

    def encode(self, template: Template, t_max: int, supervise: Literal["response", "all"] = "all") -> Splits:
        """Rows of `t_max` tokens of one stream, every token supervised; without a held-out file the last twentieth of
        each document is held out. UserError if there is nothing to train on or to hold out."""
        tokenizer, skip = template.tokenizer, self.bad is not None
        sources, bos = self.sources(tokenizer), tokenizer.control["<|endoftext|>"]
        if self.valid_name:
            train, valid = [whole(sources), whole([tokens_of(self.valid_name, tokenizer, skip)])]
        else:
            train, valid = [Stream(sources, parts) for parts in held_out(sources, bos, t_max)]
        name = ", ".join(self.names)
        rows = TextRows(train, t_max, name), TextRows(valid, t_max, self.valid_name or f"{name}, held out")
        if not len(rows[0]):
            raise UserError(f"{name}: there is no text to train on.")
        if not len(rows[1]):
            raise UserError(f"{rows[1].name}: there is too little text to hold out; give more, or others with --valid.")
        known = self.valid_name and self.files[self.valid_name] in [self.files[name] for name in self.names]
        words = (
            f"data    {name}: plain text, {len(train):,} tokens to train on in {len(rows[0]):,} rows of {t_max}, "
            f"{len(valid):,} held out\n"
            + ("        the held-out text is also trained on\n" if known else "")
            + (f"        {len(self.bad):,} bad rows left out, listed in bad_rows.jsonl\n" if self.bad else "")
            + f"tokens  {tokenizer.name}, vocabulary of {len(tokenizer):,}; every token is supervised"
        )
        return Splits(*rows, [], words)

    def sources(self, tokenizer: Tokenizer) -> list[UInt[np.ndarray, " n"]]:
        """The tokens of each name."""
        return [tokens_of(name, tokenizer, self.bad is not None) for name in self.names]

    def windows(self, tokenizer: Tokenizer, t_max: int, stride: int) -> TextRows:
        """All of the text, to measure the loss on."""
        return TextRows(whole(self.sources(tokenizer)), t_max, ", ".join(self.names), stride)


def load_text(names: Sequence[str], valid_name: str | None, skip_bad: bool = False) -> PlainText:
    """The plain text of these names (--data) and of `valid_name`. UserError for a mix with conversations."""
    given = [*names, *([valid_name] if valid_name else [])]
    if others := [name for name in given if name in BUILTIN_NAMES or not is_plain_text(name)]:
        text = next(name for name in given if name not in others)
        raise UserError(f"{text} is plain text and {others[0]} holds conversations; a run learns from one of the two.")
    bad: list[BadRow] = []
    for name in given if skip_bad else []:
        for document in documents(name, bad=bad):
            for _ in document:
                pass
    return PlainText(list(names), valid_name, {n: text_sha256(n) for n in given}, bad if skip_bad else None)


def whole(sources: Sequence[np.ndarray]) -> Stream:
    """All of these, one after another."""
    return Stream(sources, np.array([[i, 0, len(source)] for i, source in enumerate(sources)]))
