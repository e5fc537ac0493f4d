"""`python -m minigpt.evaluate --model RUN`: perplexity of the responses, exact match, and preferences."""

from collections.abc import Mapping
from functools import partial

from minigpt import command
from minigpt.cli.layout import say
from minigpt.errors import UserError
from minigpt.measure.accuracy import exact_match
from minigpt.measure.evaluation import Evaluation, Figure, difference, evaluate, evaluate_text, most_frequent_answer
from minigpt.measure.preferences import PreferenceEvaluation
from minigpt.model.gpt import GPT
from minigpt.pretrained.folder import model_folder
from minigpt.pretrained.kinds import is_reward_model
from minigpt.ranges import check_used
from minigpt.run.device import place
from minigpt.run.evaluate_options import EvaluateOptions as Options
from minigpt.run.evaluate_options import check, check_reward_model
from minigpt.run.evaluation_report import gap_in_words, preference_table, renamed, table, write
from minigpt.run.preference_evaluation import Preferences
from minigpt.run.reference import beta_of
from minigpt.run.start import initial_model_of, load_model, longest_row
from minigpt.text.corpus import PlainText, load_text
from minigpt.text.examples import encode_within
from minigpt.text.pairs import are_pairs, read_pairs
from minigpt.text.plain import is_plain_text
from minigpt.text.records import Conversation, data_names, pair_names, read_conversations
from minigpt.text.template import Template
from minigpt.text.token_cache import byte_lengths, tokenizer_sha256


def main(options: Options) -> None:
    check(options)
    folders = [model_folder(name) for name in options.compare or (options.model,)]
    if len({str(folder) for folder in folders}) < len(folders):
        raise UserError(f"--compare names {folders[0]} twice.")
    text, rows = read_data(options)
    pairs = read_pairs(pair_names(options.pairs, "test"))[: options.limit] if options.pairs else []
    models: dict[str, Evaluation] = {}
    baselines: dict[str, Evaluation] = {}
    betas = {beta_of(folder) or 1.0 for folder in folders if not is_reward_model(folder)}
    preferences = Preferences(options, pairs, [] if pairs else rows, betas.pop() if len(betas) == 1 else 1.0)
    tokenizers = []
    for folder in folders:
        if is_reward_model(folder):
            check_reward_model(options, str(folder))
            preferences.reward_model(folder)
            continue
        model, template = load_model(
            folder, options.template, options.device, options.math, options.weights, options.compile
        )
        tokenizers.append(tokenizer_sha256(template.tokenizer))
        if text or rows:
            measure = partial(measured_text, text=text) if text else partial(measured, rows=rows)
            models[str(folder)] = measure(options, model, template, name=str(folder))
            name = "untrained start" if len(folders) == 1 else f"untrained start of {folder}"
            untrained = initial_model_of(folder)
            if isinstance(untrained, str):
                say(f"{name}: {untrained}")
            else:
                untrained = place(untrained, model.device, options.math)
                baselines[name] = measure(options, untrained, template, name=name)
        if options.of_preferences:
            preferences.language_model(folder, model, template)
    if rows and options.answers:
        trivial = most_frequent_answer(rows)
        baselines[f"always {trivial.answers[0]!r}"] = trivial
    report = {}
    if models:
        report["rows"] = len(next(iter(models.values())).losses)
        what = "windows" if text else "conversations"
        say(f"{report['rows']:,} {what}; 95% intervals in parentheses\n{table(models | baselines)}")
    preferred = preferences.found
    if preferred.models:
        report |= {"pairs": len(pairs)} if pairs else {}
        what = f"{len(pairs):,} pairs" if pairs else f"{len(rows):,} prompts"
        words = preference_table(preferred.models | preferred.baselines)
        say(f"{what}; 95% intervals in parentheses; log-likelihoods and divergence in nats an answer\n{words}")
    sides = [as_json(name, models, preferred.models) for name in map(str, folders)]
    names = dict.fromkeys([*baselines, *preferred.baselines])
    report["baselines"] = {name: as_json(name, baselines, preferred.baselines) for name in names}
    if len(folders) == 1:
        report |= sides[0]
    else:
        gaps = {}
        if models:
            gaps = differences(*models.values())
            if tokenizers[0] != tokenizers[1]:  # losses per token cannot be compared between different tokens
                del gaps["loss"]
        gaps |= renamed(preferred.difference()) if preferred.models else {}
        report |= {
            "models": dict(zip(map(str, folders), sides, strict=True)),
            "difference": {name: dict(zip(("value", "low", "high"), gap, strict=True)) for name, gap in gaps.items()},
        }
        say(f"second minus first: {'; '.join(gap_in_words(name, gap) for name, gap in gaps.items())}")
    if rows and options.answers:
        for name, one in models.items():
            print(f"{name}:\n{exact_match(rows, one.answers)}")
    if options.json:
        write(options.json, report, rows, pairs, models | baselines, preferred.models | preferred.baselines)


def read_data(options: Options) -> tuple[PlainText | None, list[Conversation]]:
    """The plain text of --data, or its conversations. UserError for pairs, and for an option that has no use here."""
    if not (names := options.data_names):
        check_used(options, ["stride"], "on pairs")
        return None, []
    if any(map(is_plain_text, data_names(names, "test"))):
        check_used(options, ["template"], "on plain text")
        if options.reward and not options.pairs:
            raise UserError(
                "--reward is for answers to prompts, and --data is plain text; give --pairs, or other data."
            )
        return load_text(names, None), []
    if pairs := [name for name in names if are_pairs(name)]:
        raise UserError(
            f"{pairs[0]} holds pairs of answers, and --data is for conversations; a model is measured on pairs by "
            f"--pairs {pairs[0]}."
        )
    if options.stride is not None:
        raise UserError("--stride is for plain text; every response of a conversation is measured whole.")
    return None, read_conversations(data_names(names, "test"))[: options.limit]


def as_json(name: str, sides: Mapping[str, Evaluation], preferred: Mapping[str, PreferenceEvaluation]) -> dict:
    """All figures of one side, on conversations and of preferences."""
    report = sides[name].as_json() if name in sides else {}
    return report | (renamed(preferred[name].as_json()) if name in preferred else {})


def differences(first: Evaluation, second: Evaluation) -> dict[str, Figure]:
    """`difference`; UserError for two models that cut a text into other windows."""
    if first.n_bytes != second.n_bytes:  # with --limit there may be as many windows, of other parts of the text
        raise UserError(
            f"The two models read the text in {windows_in_words(first)} and {windows_in_words(second)}, as their "
            "tokens or contexts differ; pairs cannot be formed. Measure each with --model, without --limit: bits "
            "per byte can be compared."
        )
    return difference(first, second)


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


def entry() -> None:
    """`python -m minigpt.evaluate` and `minigpt evaluate`."""
    command.run(Options, main, "evaluate", goes_on=True)


if __name__ == "__main__":
    entry()
