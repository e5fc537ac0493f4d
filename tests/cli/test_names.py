"""An unknown option is answered with the one that was meant, and with none where nothing is close."""

import importlib

import pytest

from minigpt.cli.arguments import options_of
from minigpt.cli.names import SYNONYMS, american, suggestion
from minigpt.run.options import Options
from tests.every_command import EVERY


@pytest.fixture(scope="module")
def flags() -> list[str]:
    return [option.flag[2:] for option in options_of(Options).values()]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("learning-rate", "lr"), ("epoch", "epochs"), ("batch", "batch-size"), ("bs", "batch-size"),
        ("output", "run"), ("output-dir", "run"), ("out-dir", "run"), ("model", "init"), ("max-steps", "steps"),
        ("context", "n-ctx"), ("wd", "weight-decay"), ("warmup", "warmup-steps"), ("eval-interval", "eval-every"),
        ("vocab", "tokenizer"), ("num-layers", "n-layer"), ("early-stopping", "patience"), ("validation", "valid"),
        ("precision", "dtype"), ("settings", "config"),
        ("stepz", "steps"), ("warmup-step", "warmup-steps"), ("accuracy", "accuracy-rows"), ("ckeckpoint-every",
        "checkpoint-every"), ("seeed", "seed"), ("n-layer-", "n-layer"),
    ],
)  # fmt: skip
def test_what_is_called_otherwise_elsewhere_or_mistyped_finds_its_option(flags, given, meant):
    end = suggestion(given, flags, "--", "prog")
    assert end in (f"here it is called --{meant}.", f"did you mean --{meant}?")


@pytest.mark.parametrize("given", ["nothing-like-it", "x", "verbose", "lambda", "ids", "top-k", "n"])
def test_nothing_is_suggested_for_what_is_only_short_or_shares_a_few_letters(flags, given):
    assert suggestion(given, flags, "--", "prog") == "prog --help lists the options."


def test_no_layer_suggests_the_learning_rate():
    """Without --n-layer among the options: two letters in common are no slip."""
    assert "lr" not in suggestion("n-layer", ["lr", "min-lr", "seed"], "--", "prog")


def test_the_same_word_finds_what_each_command_has():
    for name, word, option in (
        ("generate", "max-tokens", "max-new-tokens"),
        ("generate", "temp", "temperature"),
        ("evaluate", "output", "json"),
        ("plot", "output", "out"),
        ("view", "limit", "rows"),
        ("chat", "system-prompt", "system"),
    ):
        known = options_of(importlib.import_module(f"minigpt.{name}").Options)
        names = [one.flag[2:] for one in known.values() if not one.positional]
        assert suggestion(word, names, "--", "prog") == f"here it is called --{option}."


def test_every_name_in_the_table_is_an_option_of_some_command_and_never_its_own_synonym():
    known = {option.flag.removeprefix("--") for options in EVERY.values() for option in options_of(options).values()}
    assert SYNONYMS.keys() <= known
    assert not [ours for ours, others in SYNONYMS.items() if ours in others.split()]


def test_no_option_is_spelled_in_british():
    """Or its American spelling would not be found."""
    for options in EVERY.values():
        for field in options_of(options):
            assert american(field.replace("_", "-")) == field.replace("_", "-")
