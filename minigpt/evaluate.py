"""`python -m minigpt.evaluate --model RUN`: perplexity of the responses and exact match."""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from minigpt import command
from minigpt.cli import layout
from minigpt.cli.layout import say
from minigpt.errors import UserError
from minigpt.measure.accuracy import exact_match, wanted
from minigpt.measure.evaluation import Evaluation, Figure, difference, evaluate, evaluate_text, most_frequent_answer
from minigpt.model.gpt import GPT
from minigpt.pretrained.folder import model_folder
from minigpt.ranges import AtOnce, Count, check_used
from minigpt.run.device import Device, Math, place
from minigpt.run.metrics import json_values
from minigpt.run.start import initial_model_of, load_model, longest_row
from minigpt.text.corpus import PlainText, load_text
from minigpt.text.examples import encode_within
from minigpt.text.pairs import are_pairs
from minigpt.text.plain import is_plain_text
from minigpt.text.records import Conversation, data_names, read_conversations
from minigpt.text.template import Template
from minigpt.text.token_cache import byte_lengths, tokenizer_sha256
from minigpt.writing import check_writable


@dataclass
class Options:
    """Evaluate a model on conversations: perplexity of the reference responses, and exact match. Or on plain text:
    perplexity and bits per byte.

    Baselines: the untrained model and the most frequent answer. Every figure has a 95% interval: a share Wilson's, the
    others by bootstrap over the conversations, or over the windows of the text.
    """

    model: str | None = None
    """A run's folder, a model's folder, or the name of an official size."""
    compare: tuple[str, str] | None = None
    """Two models instead of --model, measured on the same rows; their difference gets a paired interval."""
    data: tuple[str, ...] = ("builtin",)
    """Files of conversations or of plain text, hf:owner/name[:config][:split], or builtin, the built-in test split."""
    template: str | None = None
    """How a conversation is laid out; the template that the model was trained with if left out."""
    max_length: Count | None = None
    """T_max, the most tokens of a conversation; the model's context if left out."""
    limit: Count | None = None
    """Use only the first N conversations, or the first N windows of plain text."""
    stride: Count | None = None
    """For plain text, how far the window of T_max tokens moves; T_max if left out, so that windows are disjoint. With
    less the window slides, and each token is predicted from at least T_max minus this many before it."""
    answers: bool = True
    """Also answer them, greedily, and count the exact matches (and GSM8K's correct numbers)."""
    batch_size: AtOnce = 32
    """Conversations in a batch; it changes the time taken, not the figures."""
    device: Device = "auto"
    """Where to compute; auto takes a CUDA or Apple GPU if there is one."""
    math: Math = "auto"
    """explicit runs each formula as it is written out, fast runs torch's kernels; auto is explicit at size tiny and
    fast at the official sizes."""
    json: Path | None = None
    """Also write the figures to this file, and the answers to a .predictions.jsonl beside it."""


HEADINGS = {
    "perplexity": "perplexity",
    "loss": "loss",
    "bits_per_byte": "bits per byte",
    "accuracy": "exact match",
    "gsm8k_accuracy": "GSM8K right",
    "gsm8k_format": "GSM8K format",
}


UNITLESS = ("perplexity", "loss", "bits_per_byte")  # the other figures are shares


def main(options: Options) -> None:
    if (options.model is None) == (options.compare is None):
        raise UserError("Give either --model or --compare; --help says what they take.")
    if options.json:
        check_writable(options.json)
        check_writable(predictions_beside(options.json))
    folders = [model_folder(name) for name in options.compare or (options.model,)]
    if len({str(folder) for folder in folders}) < len(folders):
        raise UserError(f"--compare names {folders[0]} twice.")
    text = load_text(options.data, None) if any(map(is_plain_text, data_names(options.data, "test"))) else None
    if not text and (pairs := [name for name in options.data if are_pairs(name)]):
        raise UserError(
            f"{pairs[0]} holds pairs of answers, and --data is for conversations; a model is measured on pairs by "
            f"--pairs {pairs[0]}."
        )
    if options.stride is not None and not text:
        raise UserError("--stride is for plain text; every response of a conversation is measured whole.")
    if text:
        check_used(options, ["template"], "on plain text")
    rows = [] if text else read_conversations(data_names(options.data, "test"))[: options.limit]
    models: dict[str, Evaluation] = {}
    baselines: dict[str, Evaluation] = {}
    tokenizers = []
    for folder in folders:
        model, template = load_model(folder, options.template, options.device, options.math)
        tokenizers.append(tokenizer_sha256(template.tokenizer))
        measure = partial(measured_text, text=text) if text else partial(measured, rows=rows)
        models[str(folder)] = measure(options, model, template, name=str(folder))
        name = "untrained start" if len(folders) == 1 else f"untrained start of {folder}"
        untrained = initial_model_of(folder)
        if isinstance(untrained, str):
            say(f"{name}: {untrained}")
        else:
            untrained = place(untrained, model.device, options.math)
            baselines[name] = measure(options, untrained, template, name=name)
    if rows and options.answers:
        trivial = most_frequent_answer(rows)
        baselines[f"always {trivial.answers[0]!r}"] = trivial
    n = len(next(iter(models.values())).losses)
    say(f"{n:,} {'windows' if text else 'conversations'}; 95% intervals in parentheses\n{table(models | baselines)}")
    report = {"rows": n, "baselines": {name: one.as_json() for name, one in baselines.items()}}
    if len(folders) == 1:
        report |= next(iter(models.values())).as_json()
    else:
        first, second = models.values()
        if first.n_bytes != second.n_bytes:  # with --limit there may be as many windows, of other parts of the text
            raise UserError(
                f"The two models read the text in {windows_in_words(first)} and {windows_in_words(second)}, as their "
                "tokens or contexts differ; pairs cannot be formed. Measure each with --model, without --limit: bits "
                "per byte can be compared."
            )
        gaps = difference(first, second)
        if tokenizers[0] != tokenizers[1]:  # losses per token cannot be compared between different tokens
            del gaps["loss"]
        report |= {
            "models": {name: one.as_json() for name, one in models.items()},
            "difference": {name: dict(zip(("value", "low", "high"), gap, strict=True)) for name, gap in gaps.items()},
        }
        say(f"second minus first: {'; '.join(gap_in_words(name, gap) for name, gap in gaps.items())}")
    if rows and options.answers:
        for name, one in models.items():
            print(f"{name}:\n{exact_match(rows, one.answers)}")
    if options.json:
        write(options.json, report, rows, models | baselines)


def measured_text(options: Options, model: GPT, template: Template, text: PlainText, name: str) -> Evaluation:
    """Run `evaluate_text`, and print how the text was cut."""
    tokenizer, t_max = template.tokenizer, longest_row(options.max_length, model.config.n_ctx)
    stride = options.stride or t_max
    if stride > t_max:
        raise UserError(f"--stride is {stride}; with more than T_max, {t_max}, tokens would be left out.")
    rows = text.windows(tokenizer, t_max, stride)
    windows = f"disjoint windows of {t_max} tokens"
    if stride < t_max:
        windows = f"a sliding window of {t_max} tokens that moves by {stride}"
    result = evaluate_text(model, rows[: options.limit], byte_lengths(tokenizer), options.batch_size)
    n_tokens, n_bytes = sum(count for _, count in result.losses), sum(result.n_bytes)
    say(f"{name}: {n_tokens:,} tokens, {n_bytes:,} bytes, in {windows}")
    return result


def measured(options: Options, model: GPT, template: Template, rows: list[Conversation], name: str) -> Evaluation:
    """Run `evaluate`, and print what was dropped or cut so that the rows fit."""
    template.check(model.config.tokens)
    encoded = encode_within(rows, template, longest_row(options.max_length, model.config.n_ctx))
    result = evaluate(model, template, rows, encoded, options.batch_size, options.answers)
    say(f"{name}: {sum(count for _, count in result.losses):,} supervised tokens ({encoded})")
    return result


def windows_in_words(text: Evaluation) -> str:
    return f"{len(text.losses):,} windows ({sum(text.n_bytes):,} bytes)"


def table(sides: dict[str, Evaluation]) -> str:
    figures = {name: side.figures for name, side in sides.items()}
    names = [n for n in HEADINGS if n != "loss" and any(n in found for found in figures.values())]
    rows = [["", *(HEADINGS[name] for name in names)]]
    for side, found in figures.items():
        rows.append([side, *(in_words(name, found[name]) if name in found else "" for name in names)])
    return layout.table(rows)


def in_words(name: str, figure: Figure) -> str:
    form = "{:,.4f} ({:,.4f} to {:,.4f})" if name in UNITLESS else "{:.1%} ({:.1%} to {:.1%})"
    return form.format(*figure)


def gap_in_words(name: str, gap: Figure) -> str:
    """A loss in nats per token, bits per byte; shares in percentage points."""
    if name in UNITLESS:
        return "{} {:+.4f} ({:+.4f} to {:+.4f})".format(HEADINGS[name], *gap)
    return "{} {:+.1f} points ({:+.1f} to {:+.1f})".format(HEADINGS[name], *(100 * share for share in gap))


def predictions_beside(path: Path) -> Path:
    return path.with_suffix(".predictions.jsonl")


def write(path: Path, report: dict, rows: list[Conversation], sides: dict[str, Evaluation]) -> None:
    beside = predictions_beside(path)
    predictions = {name: side.row_by_row() for name, side in sides.items()}
    about = [{"source": row.source, "kind": row.kind, "messages": row.asked, "wanted": wanted(row)} for row in rows]
    if not rows:
        about = [{"window": i} for i in range(report["rows"])]
    lines = [
        row | {"predictions": {name: of_rows[i] for name, of_rows in predictions.items()}}
        for i, row in enumerate(about)
    ]
    written = dict(encoding="utf-8", errors="backslashreplace")  # a file's name may hold bytes that are no character
    try:
        path.write_text(json.dumps(json_values(report), indent=2, ensure_ascii=False) + "\n", **written)
        text = "".join(json.dumps(json_values(line), ensure_ascii=False) + "\n" for line in lines)
        beside.write_text(text, **written)
    except OSError as error:
        raise UserError(f"{error.filename} cannot be written: {error.strerror}.") from None
    say(f"Figures in {path}, answers in {beside}.")


def entry() -> None:
    """`python -m minigpt.evaluate` and `minigpt evaluate`."""
    command.run(Options, main, "evaluate", goes_on=True)


if __name__ == "__main__":
    entry()
