"""The options of `python -m minigpt.evaluate`."""

from dataclasses import dataclass
from pathlib import Path

from minigpt.errors import UserError
from minigpt.model.light import Weights
from minigpt.ranges import AtOnce, Count, Seed
from minigpt.run.device import Device, Math
from minigpt.writing import check_apart, check_writable


@dataclass
class EvaluateOptions:
    """Evaluate a model on conversations: perplexity of the reference responses, and exact match. Or on plain text:
    perplexity and bits per byte. Or on pairs of answers and by a reward: what it prefers, and what that costs.

    Baselines: the untrained model and the most frequent answer; of preferences, the reference. Every figure has a 95%
    interval: a share Wilson's, the others by bootstrap over the conversations, the pairs or the windows of the text.
    """

    model: str | None = None
    """A run's folder, a model's folder, or the name of an official size; with --pairs also a reward model's."""
    compare: tuple[str, str] | None = None
    """Two models instead of --model, measured on the same rows; their difference gets a paired interval."""
    data: tuple[str, ...] | None = None
    """Files of conversations or of plain text, hf:owner/name[:config][:split], or builtin, the built-in test split;
    builtin if left out, or none with --pairs."""
    pairs: tuple[str, ...] | None = None
    """Files of pairs (prompt, chosen, rejected), hf:owner/name[:config][:split], or builtin, the built-in test pairs:
    measures how often the chosen answer is ahead, and by how much."""
    reward: str | None = None
    """Also draw one answer to each prompt, of --pairs or else of --data, and give its mean reward: exact, a run of
    prefer --method reward, or FILE.py:NAME, a function (messages, answer, ended) that gives a number."""
    reference: str | None = None
    """The model from which the divergence is measured, and against which pairs are; the --init of the run if left
    out."""
    template: str | None = None
    """How a conversation is laid out; the template that the model was trained with if left out."""
    max_length: Count | None = None
    """T_max, the most tokens of a conversation; the model's context if left out."""
    limit: Count | None = None
    """Use only the first N conversations or pairs, or the first N windows of plain text."""
    stride: Count | None = None
    """For plain text, how far the window of T_max tokens moves; T_max if left out, so that windows are disjoint. With
    less the window slides, and each token is predicted from at least T_max minus this many before it."""
    answers: bool = True
    """Also answer them, greedily, and count the exact matches (and GSM8K's correct numbers); of pairs if these differ
    in their last sign alone."""
    seed: Seed = 0
    """Fixes the answers that are drawn for --pairs and --reward."""
    batch_size: AtOnce = 32
    """Conversations in a batch; it changes the time taken, not the figures, but which answers a large model draws."""
    device: Device = "auto"
    """Where to compute; auto takes a CUDA or Apple GPU if there is one."""
    math: Math = "auto"
    """explicit runs each formula as it is written out, fast runs torch's kernels; auto is explicit at size tiny and
    fast at the official sizes."""
    weights: Weights = "float32"
    """bfloat16 and int8 round the weights of what is measured when they are loaded, to a half and a quarter of the
    memory; the untrained model and the reference stay as they are."""
    compile: bool = False
    """Let torch.compile make faster loops of what each token of a single answer needs: for --batch-size 1. Takes half a
    minute the first time, and a C++ compiler."""
    json: Path | None = None
    """Also write the figures to this file, and the answers to a .predictions.jsonl beside it."""

    @property
    def of_preferences(self) -> bool:
        """Whether anything is measured of preferences."""
        return bool(self.pairs or self.reward)

    @property
    def data_names(self) -> tuple[str, ...]:
        return self.data or (() if self.pairs else ("builtin",))


def check(options: EvaluateOptions) -> None:
    """UserError for options that make no sense alone or together, and for a file that cannot be written, before
    anything is read."""
    if (options.model is None) == (options.compare is None):
        raise UserError("Give either --model or --compare; --help says what they take.")
    if options.json:
        written = options.json, predictions_beside(options.json)
        check_apart(written, [*options.data_names, *(options.pairs or ())])
        for path in written:
            check_writable(path)
    for flag, given in (("--reference", options.reference), ("--seed", options.seed)):
        if given and not options.of_preferences:
            raise UserError(f"{flag} is for --pairs and --reward; give one of them too.")


def check_reward_model(options: EvaluateOptions, name: str) -> None:
    """UserError for what a reward model, which writes no answers, cannot be measured by."""
    if not options.pairs:
        raise UserError(
            f"A language model is needed where there are no --pairs, and {name} is a reward model: it gives an answer "
            "a number and writes none. Give --pairs builtin, or files of pairs, and no --data."
        )
    others = ("data", "reward", "reference")
    if given := [f"--{option}" for option in others if getattr(options, option)]:
        raise UserError(f"{name} is a reward model, which is measured by --pairs alone; leave out {', '.join(given)}.")


def predictions_beside(path: Path) -> Path:
    return path.with_suffix(".predictions.jsonl")
