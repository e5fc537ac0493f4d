"""What a run of each method is made of: its data, its trainer, and what is measured and shown of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tqdm import tqdm

from minigpt.errors import UserError
from minigpt.learn.trainer import Trainer
from minigpt.measure.preferences import last_sign_alone
from minigpt.model.gpt import GPT
from minigpt.preference.likelihood import answer_row
from minigpt.preference.pair_trainers import DPOTrainer, PairRows, RewardTrainer
from minigpt.preference.policy import Draw
from minigpt.preference.reward import RewardModel
from minigpt.preference.rewards import Learned, Prompt, Reward, load_reward, unfinished
from minigpt.preference.rl_trainer import RLTrainer
from minigpt.preference.rows import EncodedPairs, encode_pairs, encode_prompts
from minigpt.run.prefer_options import PreferOptions, prefer_recipe, with_prefer_defaults
from minigpt.run.preference_measures import Measures, PairMeasures, PromptMeasures, RewardMeasures
from minigpt.run.preference_samples import PairAnswers, RewardedAnswers, RewardedPairs
from minigpt.run.samples import Samples
from minigpt.run.start import load_model, longest_row
from minigpt.text.pair_splits import PreferenceData, load_pairs, load_prompts
from minigpt.text.pairs import Pair, are_pairs
from minigpt.text.records import pair_names
from minigpt.text.template import Template


@dataclass
class Task:
    """One run's parts; `words` are the lines about them among the first lines of a run."""

    options: PreferOptions
    data: PreferenceData
    trainer: Trainer
    measures: Measures
    samples: Samples
    words: str


def task_of(options: PreferOptions, model: GPT | RewardModel, template: Template) -> Task:
    """What is learned from pairs or prompts by --method, with all defaults of the options filled in.

    UserError for data that have no usable row, and for a reward that cannot be used.
    """
    t_max = longest_row(options.max_length, model.config.n_ctx)
    if options.method == "rl":
        return prompt_task(options, model, template, t_max)
    data = load_pairs(options.data, options.valid, options.skip_bad, options.seed, options.method)
    train, valid = (encode_pairs(pairs, template, t_max, data.bad) for pairs in (data.train, data.valid))
    check_any(data, train.chosen, valid.chosen, "pair")
    options = with_prefer_defaults(options, len(train.chosen), t_max, model.config)
    make = reward_task if options.method == "reward" else dpo_task
    task = make(options, data, pair_rows(train), valid, model, template)
    return replace(task, words=data_words(data, f"{len(train.chosen):,} pairs", len(valid.chosen), train) + task.words)


def check_any(data: PreferenceData, train: Sequence, valid: Sequence, what: str) -> None:
    for rows, use in ((train, "to learn from"), (valid, "held out")):
        if not rows:
            raise UserError(
                f"{', '.join(data.names)}: no usable {what} {use}; without --skip-bad the reasons are shown."
            )


def data_words(data: PreferenceData, learned: str, held_out: int, fitted: object) -> str:
    bad = f"        {len(data.bad):,} bad rows left out, listed in bad_rows.jsonl\n" if data.bad else ""
    return f"data    {', '.join(data.names)}: {learned} to learn from, {held_out:,} held out; {fitted}\n{bad}"


def pair_rows(pairs: EncodedPairs) -> list[PairRows]:
    return [PairRows(*rows) for rows in zip(pairs.chosen, pairs.rejected, strict=True)]


def reward_task(
    options: PreferOptions,
    data: PreferenceData,
    rows: Sequence[PairRows],
    valid: EncodedPairs,
    model: RewardModel,
    template: Template,
) -> Task:
    """A reward model from pairs."""
    held_out = pair_rows(valid)
    trainer = RewardTrainer(model, rows, prefer_recipe(options), options.label_smoothing)
    measures = RewardMeasures(held_out, options.label_smoothing)
    words = f"learns  a reward from which of two answers is preferred, the weights of {options.init} among its own\n"
    return Task(options, data, trainer, measures, RewardedPairs(valid.pairs, held_out), words)


def dpo_task(
    options: PreferOptions,
    data: PreferenceData,
    rows: Sequence[PairRows],
    valid: EncodedPairs,
    model: GPT,
    template: Template,
) -> Task:
    """DPO from pairs; the model as it is given is the reference, and is read here."""
    recipe, beta, smoothing = prefer_recipe(options), options.beta, options.label_smoothing
    trainer = DPOTrainer(model, rows, recipe, beta, options.sft_weight, smoothing)
    total = min(len(rows), recipe.steps * recipe.batch_size)
    with tqdm(total=total, desc="reading the reference", unit="pair", leave=False) as bar:
        trainer.read_reference(bar.update)
    measures = PairMeasures(pair_rows(valid), valid.pairs, template, beta, smoothing, model, loader(options))
    anchor = f", and {options.sft_weight:g} times the NLL a token of the chosen answers" if options.sft_weight else ""
    words = f"learns  DPO with beta {beta:g}{anchor}; the reference is {options.init} as it is now\n"
    return Task(options, data, trainer, measures, PairAnswers(template, valid.pairs), words)


def prompt_task(options: PreferOptions, model: GPT, template: Template, t_max: int) -> Task:
    """Reinforcement learning from prompts and a reward; with --beta above 0 the reference is a second model."""
    data = load_prompts(options.data, options.valid, options.skip_bad, options.seed)
    encode = template.tokenizer.encode
    longest = max(len(encode(row.answer)) for row in [*data.train, *data.valid]) + 1
    most = options.max_new_tokens or min(longest, max(1, t_max // 2))
    if most >= t_max:
        raise UserError(f"--max-new-tokens is {most:,}; no prompt fits with it into {t_max:,} tokens.")
    train, valid = (encode_prompts(rows, template, t_max - most, data.bad) for rows in (data.train, data.valid))
    check_any(data, train.conversations, valid.conversations, "prompt")
    options = replace(options, max_new_tokens=most)
    options = with_prefer_defaults(options, len(train.conversations), t_max, model.config)
    prompts, held_out = (
        [Prompt(template.prompt(row.asked), row.asked, row.answer, row.source, row.kind) for row in rows.conversations]
        for rows in (train, valid)
    )
    wanted = [prompt.wanted for prompt in [*prompts, *held_out]]
    longest = max(len(prompt.ids) for prompt in [*prompts, *held_out]) + most
    reward = load_reward(options.reward, template, model.device, wanted, longest)
    pairs = held_out_pairs(options)
    frozen = 4 * reward.model.config.parameter_count if isinstance(reward, Learned) else 0
    options, reward = with_unfinished(options, reward, held_out, pairs, template)
    load = loader(options)
    reference = load() if options.beta else None
    trainer = RLTrainer(
        model, prompts, prefer_recipe(options), reward, reference, options.beta, template.end, options.group_size, most
    )
    trainer.frozen_bytes += frozen
    last_sign = bool(pairs) and last_sign_alone(pairs)
    measures = PromptMeasures(held_out, template, reward, (lambda: reference) if reference else load, most, last_sign)
    held = f"{options.beta:g} a nat of KL from {options.init}" if options.beta else "nothing holds it near its start"
    words = (
        f"learns  from the reward {options.reward} of {options.group_size} answers drawn to each prompt, of at most "
        f"{most:,} tokens; {held}\n"
    )
    words = data_words(data, f"{len(prompts):,} prompts", len(held_out), train) + words
    return Task(options, data, trainer, measures, RewardedAnswers(template, held_out, reward, most), words)


def loader(options: PreferOptions) -> Callable[[], GPT]:
    """Loads the model of --init, for what is measured against it while it is not held in memory."""
    return lambda: load_model(options.init, None, options.device, options.math)[0]


def held_out_pairs(options: PreferOptions) -> list[Pair]:
    """The pairs that the held-out prompts of rl are of; none where the data are conversations."""
    names = [*pair_names(options.data, "train"), *([options.valid] if options.valid else [])]
    if not all(map(are_pairs, names)):
        return []
    return load_pairs(options.data, options.valid, True, options.seed).valid


def with_unfinished(
    options: PreferOptions, reward: Reward, prompts: Sequence[Prompt], pairs: Sequence[Pair], template: Template
) -> tuple[PreferOptions, Reward]:
    """The reward with what an answer is worth that was cut off: --unfinished, else for a learned reward the lowest one
    of a held-out pair's sides, or of a held-out answer."""
    worth = options.unfinished
    if worth is None and isinstance(reward, Learned):
        encoded = encode_pairs(pairs, template, options.max_length, bad=[])  # what does not fit is no loss here
        rows = [*encoded.chosen, *encoded.rejected]
        if not rows:
            fitting = [answer_row(template, prompt.messages, prompt.wanted, prompt.source) for prompt in prompts]
            rows = [row for row in fitting if len(row.ids) <= options.max_length]
        starts = [row.supervised.index(True) for row in rows]
        asked = [Prompt(row.ids[:start], [], None, row.source) for row, start in zip(rows, starts, strict=True)]
        draws = [Draw(row.ids[:start], row.ids[start:], True) for row, start in zip(rows, starts, strict=True)]
        worth = reward(asked, draws).min().item() if rows else None
    if worth is None:
        return options, reward
    return replace(options, unfinished=worth), unfinished(reward, worth)
