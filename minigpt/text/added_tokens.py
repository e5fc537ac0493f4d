"""Tokens that were added to a vocabulary, and what they are for, by the files of a model's folder."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from minigpt.errors import UserError, warn
from minigpt.reading import read_object

CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|sep|>")


@dataclass(frozen=True)
class Added:
    """`tokens` with id and flags ("special", ...) each, and `named`: which token has a role (eos, bos, pad, ...)."""

    tokens: list[tuple[str, object, dict]] = field(default_factory=list)
    named: dict[str, str] = field(default_factory=dict)


def read_added(folder: Path) -> Added:
    """What tokenizer_config.json, special_tokens_map.json and added_tokens.json say, those of them that exist."""
    paths = (folder / name for name in ("special_tokens_map.json", "tokenizer_config.json", "added_tokens.json"))
    roles, config, added = (read_object(path) if path.exists() else {} for path in paths)
    if config.get("add_prefix_space"):
        raise UserError(
            f"{folder / 'tokenizer_config.json'}: add_prefix_space is true, a space before each text; minigpt has none."
        )
    if config.get("add_bos_token"):
        warn(f"{folder / 'tokenizer_config.json'}: add_bos_token is true; minigpt begins a text as the template does.")
    decoder = config.get("added_tokens_decoder") or {}
    tokens = [(flags["content"], int(number), flags) for number, flags in decoder.items()]
    tokens += [(content, number, {}) for content, number in added.items()]
    named = {}
    for key, value in [*roles.items(), *config.items()]:
        several = value if isinstance(value, list) else value.values() if key == "extra_special_tokens" else [value]
        if key.endswith(("_token", "_special_tokens")):
            for i, token in enumerate(several):
                content = token.get("content") if isinstance(token, dict) else token
                if isinstance(content, str):
                    named[key.removesuffix("_token") + (str(i) if len(several) > 1 else "")] = content
    return Added(tokens, named)


def classify(
    ids: dict[str, int], ordinary: dict[str, None], added: Added, where: str
) -> tuple[dict[str, int], dict[str, int], dict[str, int], str | None]:
    """All ids, those of special tokens, those of added words, and the token that ends a text.

    No text produces a special token. A word is an added token that is not special, or an ordinary token with a role:
    transformers finds it in a text before any merging, and so does minigpt. UserError for two ids of one token, two
    tokens of one id, or a word that takes the spaces around it.
    """
    ids = dict(ids)
    owner = {number: token for token, number in ids.items()}
    flags: dict[str, dict] = {}
    for content, number, said in added.tokens:
        if ids.setdefault(content, number) != number or owner.setdefault(number, content) != content:
            raise UserError(
                f"The files in {where} disagree: one adds the token {content!r} as {number}, but by another "
                f"{content!r} is {ids[content]} and {number} is {owner.get(number)!r}."
            )
        flags[content] = said | flags.get(content, {})
    roles = {*added.named.values()} & ids.keys()
    special, words = {}, {}
    for token in ids.keys() - ordinary.keys() | flags.keys() | roles:
        unmarked = token not in flags or re.fullmatch(r"<.+>|\[.+\]", token)
        marked = token in CONTROL or token in roles or flags.get(token, {}).get("special", unmarked)
        if token not in ordinary and marked:
            special[token] = ids[token]
        elif any(flags.get(token, {}).get(name) for name in ("lstrip", "rstrip", "single_word")):
            raise UserError(f"In {where}, the added token {token!r} takes the spaces around it: not supported.")
        else:
            words[token] = ids[token]
    candidates = [CONTROL[0], *(added.named.get(role) for role in ("eos", "bos"))]
    chat = CONTROL[1:]
    return ids, special, words, next((token for token in candidates if token in special and token not in chat), None)
