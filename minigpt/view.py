"""`python -m minigpt.view`: what is learned from, token by token, and how long it is. Read with lesson 11."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from statistics import mean, median
from typing import Literal

from tqdm import tqdm

from minigpt import command
from minigpt.config import GPTConfig
from minigpt.errors import UserError
from minigpt.run.curves import draw_lengths
from minigpt.run.report import on_one_line
from minigpt.text.examples import encode_within, lengths
from minigpt.text.records import BadRow, Conversation, data_names, read_conversations
from minigpt.text.template import Template, chatml_text, load_template
from minigpt.text.tokenizer import Tokenizer, load_tokenizer


@dataclass
class Options:
    """Show what a model would learn from: a few rows token by token, and how long all of them are."""

    data: tuple[str, ...] = ("builtin",)
    """Files, hf:owner/name[:config][:split], or builtin."""
    template: str = "chatml"
    """How a conversation is laid out: chatml, documents or alpaca."""
    tokenizer: str = "bytes"
    """bytes, gpt2 or a folder."""
    max_length: int | None = None
    """T_max, the tokens of a conversation; the context of tiny for bytes, else GPT-2's, if left out."""
    supervise: Literal["response", "all"] = "response"
    """Learn from the assistants' answers only, or from every token."""
    rows: int = 3
    """How many rows to show, from the first on."""
    ids: bool = False
    """Show each token on a line of its own: its place, its id, whether it is learned, its text."""
    colour: Literal["auto", "always", "never"] = "auto"
    """Colours, or where there are none brackets around what is learned; auto colours a terminal."""
    skip_bad: bool = False
    """Go on without the rows that cannot be learned from, and count them."""
    plot: Path | None = None
    """Draw the histograms of the lengths into this file."""
    to_chatml: Path | None = None
    """Write every conversation as ChatML text, {"text": ...} a line, into this new file; nothing is shown then."""


# Of the two shades, neighbours have different ones, so that each token's border is seen.
LEARNED, READ, CONTROL, END = ("\033[1;32m", "\033[1;36m"), ("\033[39m", "\033[90m"), "\033[7m", "\033[0m"
LEGEND = {
    True: f"{LEARNED[0]}learned{END} {LEARNED[1]}from{END}, {READ[0]}only{END} {READ[1]}read{END}, "
    f"{CONTROL}control tokens{END} reversed; two shades show where a token ends",
    False: "[[learned from]], the rest only read",
}


def main(options: Options) -> None:
    if options.rows < 0 or (options.max_length is not None and options.max_length < 1):
        raise UserError("--rows must be 0 or more, --max-length above 0.")
    sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show a character shows that it cannot
    bad: list[BadRow] = []
    conversations = read_conversations(data_names(options.data, "train"), bad if options.skip_bad else None)
    if not conversations:
        raise UserError(f"{', '.join(options.data)} holds no usable row; without --skip-bad the reasons are shown.")
    if options.to_chatml:
        convert(conversations, options.to_chatml)
    else:
        show(options, conversations)
    if bad:
        print(f"{len(bad):,} bad rows left out, the first {bad[0].source}: {bad[0].reason}")


def convert(conversations: list[Conversation], out: Path) -> None:
    try:
        with out.open("x", encoding="utf-8") as file:
            for conversation in conversations:
                file.write(json.dumps({"text": chatml_text(conversation.messages)}, ensure_ascii=False) + "\n")
    except FileExistsError:
        raise UserError(f"{out} is there already; choose another name.") from None
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}.") from None
    print(f"{len(conversations):,} conversations as ChatML text in {out}")


def show(options: Options, conversations: list[Conversation]) -> None:
    tokenizer = load_tokenizer(options.tokenizer)
    template = load_template(options.template, tokenizer)
    t_max = options.max_length or GPTConfig.named("tiny" if tokenizer.name == "bytes" else "gpt2").n_ctx
    colour = options.colour == "always" or (options.colour == "auto" and sys.stdout.isatty())
    refused: list[BadRow] = []
    shown = encode_within(conversations[: options.rows], template, t_max, options.supervise, refused).examples
    if shown and not options.ids:
        print(LEGEND[colour], end="\n\n")
    for example in shown:
        lines = table if options.ids else in_brackets if not colour else coloured
        print(f"{example.source}, {len(example.ids)} tokens:")
        print(lines(tokenizer, example.ids, example.supervised), end="\n\n")
    for row in refused:
        print(f"{row.source}: {row.reason}", end="\n\n")
    print(statistics(conversations, template, t_max, options))


def statistics(conversations: list[Conversation], template: Template, t_max: int, options: Options) -> str:
    """N_Q, N_A and the lengths of the rows, and what fitting into T_max would do; --plot draws them."""
    refused: list[BadRow] = []
    progress = tqdm(conversations, desc="counting", unit="row", leave=False)
    counted = lengths(progress, template.tokenizer)
    laid_out = [template.encode(conversation.messages) for conversation in conversations]
    rows = [len(ids) for ids, _ in laid_out]
    learned = sum(rows) if options.supervise == "all" else sum(sum(supervised) for _, supervised in laid_out)
    fitted = encode_within(conversations, template, t_max, bad=refused)
    N_Q, N_A = counted.totals
    lines = [
        f"{len(rows):,} conversations; tokens {template.tokenizer.name}, template {template.name}",
        f"{'':<28}{'sum':>12}{'mean':>9}{'median':>9}{'max':>7}",
        summary("asked, N_Q", N_Q, counted.asked),
        summary("answered, N_A", N_A, counted.answered),
        summary("rows as laid out", sum(rows), rows),
        f"learned from: {learned:,} tokens, {learned / sum(rows):.1%} of those laid out",
        f"T_max {t_max}: {sum(n > t_max for n in rows):,} rows are longer; {fitted}"
        + f", {len(refused):,} rows refused, no token of their answer fits" * bool(refused),
    ]
    if options.plot:
        try:
            draw_lengths(counted.asked, counted.answered, rows, t_max, options.plot)
        except (OSError, ValueError) as error:
            raise UserError(f"{options.plot} cannot be written: {error}.") from None
        lines.append(f"histograms in {options.plot}")
    return "\n".join(lines)


def summary(name: str, total: int, counts: list[int]) -> str:
    return f"{name:<28}{total:>12,}{mean(counts):>9.1f}{median(counts):>9.1f}{max(counts):>7,}"


def spans(tokenizer: Tokenizer, ids: list[int], supervised: list[bool]) -> Iterator[tuple[str, bool, bool]]:
    """Text by text, whether it is learned, and whether it is a control token; the tokens that share a character, or a
    control token, make one text."""
    control = {token: name for name, token in tokenizer.control.items()}
    for learned, pairs in groupby(zip(ids, supervised, strict=True), key=lambda pair: pair[1]):
        for special, group in groupby((token for token, _ in pairs), key=control.__contains__):
            for piece in (control[t] for t in group) if special else tokenizer.pieces(group):
                yield printable(piece), learned, special


def coloured(tokenizer: Tokenizer, ids: list[int], supervised: list[bool]) -> str:
    return "".join(
        f"{(LEARNED if learned else READ)[i % 2]}{CONTROL if special else ''}{text}{END}"
        for i, (text, learned, special) in enumerate(spans(tokenizer, ids, supervised))
    )


def in_brackets(tokenizer: Tokenizer, ids: list[int], supervised: list[bool]) -> str:
    runs = groupby(spans(tokenizer, ids, supervised), key=lambda span: span[1])
    texts = ((learned, "".join(text for text, _, _ in run)) for learned, run in runs)
    return "".join(f"[[{text}]]" if learned else text for learned, text in texts)


def table(tokenizer: Tokenizer, ids: list[int], supervised: list[bool]) -> str:
    rows = enumerate(zip(ids, supervised, strict=True))
    return "\n".join(
        f"{t:>6}{token:>8}  {'learned' if learned else 'read':<9}{spelled(tokenizer.token_bytes(token))}"
        for t, (token, learned) in rows
    )


def spelled(token: bytes) -> str:
    """As Python writes it: text, or bytes where a character is not whole."""
    try:
        return repr(token.decode())
    except UnicodeDecodeError:
        return repr(token)


def printable(text: str) -> str:
    """What a terminal would obey is spelled as in Python; a line break is both seen and done."""
    return "\u23ce\n".join(map(on_one_line, text.split("\n")))


if __name__ == "__main__":
    command.run(Options, main, "view")
