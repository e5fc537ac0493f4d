"""`python -m minigpt.view`: which tokens are trained on, and how long the rows are."""

import json
import operator
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from statistics import mean, median
from typing import Literal, TypeVar

from tqdm import tqdm

from minigpt import command
from minigpt.cli.layout import say
from minigpt.config import GPTConfig
from minigpt.errors import UserError
from minigpt.preference.rows import encode_pairs
from minigpt.ranges import Count, CountOrZero, check_used
from minigpt.run.curves import check_picture, draw_lengths
from minigpt.text.corpus import PlainText, load_text
from minigpt.text.examples import Example, as_bad, encode_within, lengths
from minigpt.text.formats import PAIR
from minigpt.text.pairs import Pair, read_either
from minigpt.text.plain import is_plain_text
from minigpt.text.printing import on_one_line, shortened
from minigpt.text.records import BadRow, Conversation, data_names, refuse
from minigpt.text.stream import document_starts
from minigpt.text.template import Message, Template, chatml_text, load_template, plain_text
from minigpt.text.token_cache import byte_lengths, count_bytes
from minigpt.text.tokenizer import Tokenizer, load_tokenizer
from minigpt.writing import check_new

Shown = TypeVar("Shown", Conversation, Pair)


@dataclass
class Options:
    """Show what a model would be trained on: a few rows token by token, and how long all of them are."""

    data: tuple[str, ...] = ("builtin",)
    """Files of conversations, of pairs or of plain text, hf:owner/name[:config][:split], builtin or builtin-pairs."""
    template: str = "chatml"
    """How a conversation is laid out: chatml, documents or alpaca."""
    tokenizer: str = "bytes"
    """bytes, gpt2 or a folder."""
    max_length: Count | None = None
    """T_max, the most tokens of a conversation; if left out, tiny's context for bytes, else GPT-2's."""
    supervise: Literal["response", "all"] = "response"
    """Train on the assistant's responses only, or on every token."""
    rows: CountOrZero = 3
    """How many rows to show: of as many kinds as there are, spread over the data."""
    ids: bool = False
    """Show one token per line: its position, its id, whether it is supervised, its text."""
    color: Literal["auto", "always", "never"] = "auto"
    """Color supervised tokens, or bracket them if color is off; auto uses color in a terminal."""
    skip_bad: bool = False
    """Leave out unusable rows instead of stopping, and count them."""
    plot: Path | None = None
    """Draw histograms of the lengths into this file."""
    to_chatml: Path | None = None
    """Write every conversation as ChatML text, one {"text": ...} per line, to this new file, and show nothing."""
    to_text: Path | None = None
    """Likewise as plain text, a line for each message and nothing that says who speaks: for --data of minigpt.train."""


# Two shades of each color alternate, so that the border between two tokens is visible.
SUPERVISED, CONTEXT, CONTROL, END = ("\033[1;32m", "\033[1;36m"), ("\033[39m", "\033[90m"), "\033[7m", "\033[0m"
LEGEND = {
    True: f"{SUPERVISED[0]}supervised{END} {SUPERVISED[1]}tokens{END}, {CONTEXT[0]}context{END} {CONTEXT[1]}only{END}, "
    f"{CONTROL}control tokens{END} reversed;\ntwo shades alternate from token to token",
    False: "[[supervised]], the rest is context only",
}


def main(options: Options) -> None:
    if options.to_chatml or options.to_text:
        given = "--to-chatml" if options.to_chatml else "--to-text"
        shown = ("template", "tokenizer", "max_length", "supervise", "rows", "ids", "plot")
        others = ("to_text",) if options.to_chatml else ()
        check_used(options, (*shown, *others), f"with {given}, which shows nothing")
    for out in filter(None, (options.to_chatml, options.to_text)):
        check_new(out)
    if options.plot:
        check_picture(options.plot)
    bad: list[BadRow] = []
    names = data_names(options.data, "train")
    if any(map(is_plain_text, names)):
        show_text(options, load_text(names, None, options.skip_bad))
        return
    rows = read_either(names, bad if options.skip_bad else None)
    if not rows:
        raise UserError(f"{', '.join(options.data)}: no usable row; without --skip-bad the reasons are shown.")
    pairs = [row for row in rows if isinstance(row, Pair)]
    conversations = [row for row in rows if isinstance(row, Conversation)]
    if pairs and conversations:
        raise UserError(
            f"{pairs[0].source} is a pair and {conversations[0].source} a conversation; show one kind alone."
        )
    if pairs:
        show_pairs(options, pairs)
    elif options.to_chatml or options.to_text:
        conversations = usable_as_text(conversations, bad if options.skip_bad else None)
        if options.to_chatml:
            convert(conversations, options.to_chatml, chatml_text, "ChatML text")
        else:
            convert(conversations, options.to_text, plain_text, "plain text")
    else:
        show(options, conversations)
    if bad:
        print(f"{len(bad):,} bad rows left out, the first {bad[0].source}: {bad[0].reason}")


def usable_as_text(conversations: list[Conversation], bad: list[BadRow] | None) -> list[Conversation]:
    """Those without an answer of weight 0, which text cannot tell from the others; the rest are bad rows."""
    weighted = [row for row in conversations if any(m.get("weight", 1) == 0 for m in row.messages)]
    found = [as_bad(row, "an answer has the weight 0, which text cannot say.") for row in weighted]
    if bad is None:
        refuse(found, "--skip-bad leaves such rows out.")
    else:
        bad += found
    return [row for row in conversations if row not in weighted]


def convert(conversations: list[Conversation], out: Path, text: Callable[[Sequence[Message]], str], name: str) -> None:
    try:
        with out.open("x", encoding="utf-8") as file:
            for conversation in conversations:
                file.write(json.dumps({"text": text(conversation.messages)}, ensure_ascii=False) + "\n")
    except FileExistsError:
        raise UserError(f"{out} already exists; choose another name.") from None
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}.") from None
    print(f"{len(conversations):,} conversations as {name} in {out}")


def show(options: Options, conversations: list[Conversation]) -> None:
    template, t_max = layout(options)
    refused: list[BadRow] = []
    encoded = encode_within(spread(conversations, options.rows), template, t_max, options.supervise, refused)
    show_rows(options, template.tokenizer, encoded.examples, kinds_of(conversations, encoded.conversations), refused)
    say(statistics(conversations, template, t_max, options))


def show_pairs(options: Options, pairs: list[Pair]) -> None:
    """A few pairs, the row of the chosen answer above that of the rejected one, and how long the answers of all are."""
    if options.to_chatml or options.to_text or options.plot:
        raise UserError("--to-chatml, --to-text and --plot are for conversations; these are pairs.")
    check_used(options, ["supervise"], "on pairs, of which both answers are supervised")
    template, t_max = layout(options)
    refused: list[BadRow] = []
    encoded = encode_pairs(spread(pairs, options.rows), template, t_max, refused)
    sides = zip(encoded.chosen, encoded.rejected, strict=True)
    rows = [replace(row, source=f"{row.source}, {key}") for pair in sides for key, row in zip(PAIR, pair, strict=True)]
    kinds = [kind for kind in kinds_of(pairs, encoded.pairs) for _ in PAIR]
    show_rows(options, template.tokenizer, rows, kinds, refused)
    say(pair_statistics(pairs, template, t_max))


def layout(options: Options) -> tuple[Template, int]:
    """The template and T_max."""
    tokenizer = load_tokenizer(options.tokenizer)
    t_max = options.max_length or GPTConfig.named("tiny" if tokenizer.name == "bytes" else "gpt2").n_ctx
    return load_template(options.template, tokenizer), t_max


def kinds_of(rows: Sequence[Conversation | Pair], shown: Sequence[Conversation | Pair]) -> list[str]:
    """What is in front of the rows that are shown: their kinds, if all rows have several."""
    several = len({row.kind for row in rows}) > 1
    return [f"{shortened(on_one_line(row.kind), 60)}: " * several for row in shown]


def show_text(options: Options, text: PlainText) -> None:
    """A few rows of plain text, and how much there is of it."""
    if options.to_chatml or options.to_text or options.plot:
        raise UserError("--to-chatml, --to-text and --plot are for conversations; this is plain text.")
    check_used(options, ["template", "supervise"], "on plain text, where every token is supervised")
    tokenizer = load_tokenizer(options.tokenizer)
    t_max = options.max_length or GPTConfig.named("tiny" if tokenizer.name == "bytes" else "gpt2").n_ctx
    rows = text.windows(tokenizer, t_max, t_max)
    count = min(options.rows, len(rows))
    show_rows(options, tokenizer, [rows[len(rows) * i // count] for i in range(count)])
    n_tokens = len(rows.stream)
    bos, lengths = tokenizer.control["<|endoftext|>"], byte_lengths(tokenizer)
    n_documents = sum(len(document_starts(source, bos)) for source in rows.stream.sources)
    n_bytes = sum(count_bytes(source, lengths) for source in rows.stream.sources)
    say(
        f"{n_documents:,} document{'s' * (n_documents > 1)} of plain text, {n_bytes:,} bytes; "
        f"tokens {tokenizer.name}: {n_tokens:,}, {n_bytes / n_tokens:.2f} bytes per token\n"
        f"T_max {t_max}: {len(rows):,} rows, every token supervised"
        + (
            f"\n{len(text.bad):,} bad rows left out, the first {text.bad[0].source}: {text.bad[0].reason}"
            if text.bad
            else ""
        )
    )


def show_rows(
    options: Options,
    tokenizer: Tokenizer,
    shown: Sequence[Example],
    kinds: Sequence[str] = (),
    refused: Sequence[BadRow] = (),
) -> None:
    color = options.color == "always" or (options.color == "auto" and sys.stdout.isatty())
    if shown and not options.ids:
        print(LEGEND[color], end="\n\n")
    for kind, example in zip(kinds or [""] * len(shown), shown, strict=True):
        lines = table if options.ids else in_brackets if not color else colored
        print(f"{kind}{example.source}, {len(example.ids)} tokens:")
        print(lines(tokenizer, example.ids, example.supervised), end="\n\n")
    for row in refused:
        print(f"{row.source}: {row.reason}", end="\n\n")


def spread(conversations: list[Shown], count: int) -> list[Shown]:
    """`count` of the conversations, or all, in their order: of as many kinds as possible, and far apart within one.

    A function of the data alone.
    """
    kinds: dict[str, list[int]] = {}
    for i, conversation in enumerate(conversations):
        kinds.setdefault(conversation.kind, []).append(i)
    count = min(count, len(conversations))
    if count < len(kinds):  # some kinds, evenly among those in order of their first rows
        names = list(kinds)
        kinds = {names[len(names) * i // count]: kinds[names[len(names) * i // count]] for i in range(count)}
    shares = dict.fromkeys(kinds, 0)
    while sum(shares.values()) < count:  # one of each kind, then a second of each that has as many, and so on
        for name, rows in kinds.items():
            shares[name] += len(rows) > shares[name] and sum(shares.values()) < count
    chosen = [rows[len(rows) * i // shares[name]] for name, rows in kinds.items() for i in range(shares[name])]
    return [conversations[i] for i in sorted(chosen)]


def statistics(conversations: list[Conversation], template: Template, t_max: int, options: Options) -> str:
    """N_Q, N_A and the lengths of the rows, and what T_max would drop or cut; --plot draws them."""
    refused: list[BadRow] = []
    progress = tqdm(conversations, desc="counting", unit="row", leave=False)
    counted = lengths(progress, template.tokenizer)
    whole = encode_within(conversations, template, sys.maxsize, options.supervise).examples
    rows = [len(example.ids) for example in whole]
    supervised = sum(sum(example.supervised) for example in whole)
    encoded = encode_within(conversations, template, t_max, bad=refused)
    N_Q, N_A = counted.totals
    lines = [
        f"{len(rows):,} conversations; tokens {template.tokenizer.name}, template {template.name}",
        f"{'':<30}{'sum':>12}{'mean':>12}{'median':>12}{'max':>11}",
        summary("prompt tokens, N_Q", N_Q, counted.prompt),
        summary("response tokens, N_A", N_A, counted.response),
        summary("full sequences (with template)", sum(rows), rows),
        f"trained on: {supervised:,} tokens, {supervised / sum(rows):.1%} of the full sequences",
        f"T_max {t_max}: {sum(n > t_max for n in rows):,} rows are longer; {encoded}"
        + f", {len(refused):,} rows refused, no token of their response fits" * bool(refused),
    ]
    if options.plot:
        try:
            draw_lengths(counted.prompt, counted.response, rows, t_max, options.plot)
        except OSError as error:
            raise UserError(f"{options.plot} cannot be written: {error.strerror or error}.") from None
        lines.append(f"histograms in {options.plot}")
    return "\n".join(lines)


def pair_statistics(pairs: list[Pair], template: Template, t_max: int) -> str:
    """The lengths of prompts and of both answers, without the template: a preference for long answers, which a model
    would learn too, is seen before training."""
    prompt, chosen, rejected = [], [], []
    encode = template.tokenizer.encode
    for pair in tqdm(pairs, desc="counting", unit="pair", leave=False):
        prompt.append(sum(len(encode(message["content"])) for message in pair.prompt))
        chosen.append(len(encode(pair.chosen)))
        rejected.append(len(encode(pair.rejected)))
    whole = encode_pairs(pairs, template, sys.maxsize)
    rows = [len(row.ids) for row in (*whole.chosen, *whole.rejected)]
    refused: list[BadRow] = []
    encoded = encode_pairs(pairs, template, t_max, refused)
    longer, as_long = (mean(map(compare, chosen, rejected)) for compare in (operator.gt, operator.eq))
    return "\n".join(
        [
            f"{len(pairs):,} pairs; tokens {template.tokenizer.name}, template {template.name}",
            f"{'':<30}{'sum':>12}{'mean':>12}{'median':>12}{'max':>11}",
            summary("prompt tokens", sum(prompt), prompt),
            summary("tokens of chosen answers", sum(chosen), chosen),
            summary("tokens of rejected answers", sum(rejected), rejected),
            summary("full sequences (with template)", sum(rows), rows),
            f"the chosen answer is longer in {longer:.1%} of the pairs, as long in {as_long:.1%}",
            f"T_max {t_max}: {sum(n > t_max for n in rows):,} of {len(rows):,} rows are longer; {encoded}"
            + f", {len(refused):,} pairs refused" * bool(refused),
        ]
    )


def summary(name: str, total: int, counts: list[int]) -> str:
    return f"{name:<30}{total:>12,}{mean(counts):>12,.1f}{median(counts):>12,.1f}{max(counts):>11,}"


def spans(tokenizer: Tokenizer, ids: list[int], supervised: list[bool]) -> Iterator[tuple[str, bool, bool]]:
    """Pieces of text, each with whether it is supervised and whether it is a control token. The tokens that share a
    character make one piece; so does a control token."""
    control = {token: name for name, token in tokenizer.control.items()}
    for is_supervised, pairs in groupby(zip(ids, supervised, strict=True), key=lambda pair: pair[1]):
        for special, group in groupby((token for token, _ in pairs), key=control.__contains__):
            for piece in (control[t] for t in group) if special else tokenizer.pieces(group):
                yield printable(piece), is_supervised, special


def colored(tokenizer: Tokenizer, ids: list[int], supervised: list[bool]) -> str:
    return "".join(
        f"{(SUPERVISED if is_supervised else CONTEXT)[i % 2]}{CONTROL if special else ''}{text}{END}"
        for i, (text, is_supervised, special) in enumerate(spans(tokenizer, ids, supervised))
    )


def in_brackets(tokenizer: Tokenizer, ids: list[int], supervised: list[bool]) -> str:
    runs = groupby(spans(tokenizer, ids, supervised), key=lambda span: span[1])
    texts = ((is_supervised, "".join(text for text, _, _ in run)) for is_supervised, run in runs)
    return "".join(f"[[{text}]]" if is_supervised else text for is_supervised, text in texts)


def table(tokenizer: Tokenizer, ids: list[int], supervised: list[bool]) -> str:
    rows = enumerate(zip(ids, supervised, strict=True))
    return "\n".join(
        f"{t:>6}{token:>8}  {'supervised' if is_supervised else 'context':<12}{quoted(tokenizer.token_bytes(token))}"
        for t, (token, is_supervised) in rows
    )


def quoted(token: bytes) -> str:
    """The token as a Python literal: text, or bytes if it is only part of a character."""
    try:
        return repr(token.decode())
    except UnicodeDecodeError:
        return repr(token)


def printable(text: str) -> str:
    """Control characters escaped as in Python; a newline is shown as a symbol and still breaks the line."""
    return "\u23ce\n".join(map(on_one_line, text.split("\n")))


def entry() -> None:
    """`python -m minigpt.view` and `minigpt view`."""
    command.run(Options, main, "view")


if __name__ == "__main__":
    entry()
