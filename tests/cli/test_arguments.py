"""What a command line gives: each option once, whatever the words."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigpt import chat, command, download, plot
from minigpt.cli.arguments import POSITIONAL
from minigpt.errors import UserError
from minigpt.ranges import Text
from minigpt.run.options import Options as TrainOptions
from minigpt.run.options import as_arguments


@dataclass
class Options:
    """An example of every type."""

    files: tuple[Path, ...] = field(default=(), metadata=POSITIONAL)
    """Files."""
    data: tuple[str, ...] = ("builtin",)
    """A list."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Two numbers."""
    lr: float | None = None
    """A number."""
    batch_size: int = 16
    """A whole number."""
    color: Literal["auto", "gray"] = "auto"
    """A choice."""
    text: Text = ""
    """A text."""
    compile: bool = False
    """A switch."""


def parse(*args: str, earlier: tuple[str, ...] = ()) -> Options:
    return command.parse(Options, "prog", args, earlier)


def refused(*args: str) -> str:
    with pytest.raises(UserError) as error:
        parse(*args)
    return str(error.value)


def test_an_option_that_takes_a_list_may_be_given_in_parts_and_loses_none():
    assert parse("--data", "a", "b", "--lr", "1", "--data=c", "--data", "d").data == ("a", "b", "c", "d")
    assert parse("--data=a", "b", "--betas=0", "0.5").data == ("a", "b")
    assert parse("x", "--data", "a", "--", "y").files == (Path("x"), Path("y"))


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (["--lr", "1", "--lr", "2"], ["--lr is given twice", "as 1 and as 2"]),
        (["--lr=1", "--lr", "1"], ["--lr is given twice", "as 1 and as 1"]),
        (["--batch-size", "1", "--batch_size", "2"], ["--batch-size is given twice", "as 1 and as 2"]),
        (["--color", "auto", "--colour", "gray"], ["--color is given twice", "as auto and as gray"]),
        (["--text", "", "--text", "a"], ["--text is given twice", "as '' and as a"]),
        (["--betas", "0", "0.5", "--betas", "0.1", "0.2"], ["--betas is given twice", "as 0 0.5 and as 0.1 0.2"]),
        (["--compile", "--compile"], ["--compile is given twice"]),
        (["--compile", "--no-compile"], ["--compile and --no-compile contradict each other"]),
        (["--config", "a", "--config", "b"], ["--config is given twice", "as a and as b"]),
    ],
    ids=" ".join,
)
def test_any_other_option_given_twice_is_an_error_that_names_both_values(args, parts):
    for part in parts:
        assert part in refused(*args)


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["--lr"], "--lr needs a value: a number."),
        (["--lr", "--compile"], "--lr needs a value: a number."),
        (["--data"], "--data needs at least one value: text."),
        (["--betas", "0.9"], "--betas needs 2 values."),
        (["--lr", "fast"], "--lr is 'fast'; it takes a number."),
        (["--betas", "0.9", "x"], "--betas is 'x'; it takes a number."),
        (["--batch-size", "1.5"], "--batch-size is '1.5'; it takes a whole number."),
        (["--colour", "red"], "--colour is 'red'; it takes one of auto, gray."),
        (["--compile=yes"], "--compile takes no value; --compile is on, --no-compile is off."),
        (["--no-lr"], "There is no option --no-lr; prog --help lists the options."),
        (["-hx"], "There is no option -hx; prog --help lists the options."),
        (["--lrr", "x", "--lr"], "There is no option --lrr; did you mean --lr?"),
        (["-x"], "There is no option -x; prog --help lists the options."),
        (["-lr", "1"], "There is no option -lr; did you mean --lr?"),
        (["--files", "a"], "There is no option --files; here it is called --data."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_value_that_does_not_fit_is_answered_in_the_words_that_were_used(args, sentence):
    assert refused(*args) == sentence


def test_an_unknown_option_is_named_and_not_what_its_value_was_taken_for():
    with pytest.raises(UserError, match=r"^There is no option --outt; did you mean --out\?$"):
        command.parse(plot.Options, "prog", ["--outt", "", "x"])
    with pytest.raises(UserError, match=r"^There is no option --to;"):
        command.parse(download.Options, "prog", ["--to", "x", "gpt2"])


def test_an_empty_path_is_not_the_current_folder():
    assert refused("") == refused("a", "") == "files is empty; leave it out, or give it a value."
    assert refused("--config=") == "--config is empty; leave it out, or give it a value."


def test_a_word_that_belongs_to_no_option_is_shown_as_it_was_given():
    for args, word in ([("a",), "a"], [("--batch-size", "1", "-1"), "-1"], [("--", "--lr"), "--lr"], [("",), ""]):
        with pytest.raises(UserError) as error:
            command.parse(TrainOptions, "prog", args)
        assert str(error.value) == f"Unexpected argument {word!r}; prog --help lists the options."


def test_every_spelling_of_a_name_works():
    for flag in ("--batch-size", "--batch_size"):
        assert refused(flag, "x") == f"{flag} is 'x'; it takes a whole number."
        assert parse(flag, "3").batch_size == 3
    for flag in ("--no-skip-bad", "--no_skip_bad"):
        assert command.parse(TrainOptions, "prog", [flag], ["--skip_bad"]).skip_bad is False


def test_british_spelling_works_in_names_and_values():
    assert parse("--colour", "grey").color == "gray"
    assert parse("--color=gray").color == "gray"


def test_a_value_may_look_like_a_number_or_a_sentence_that_begins_with_a_dash():
    assert parse("--lr", "-1", "--text", "--- a list").text == "--- a list"
    assert parse("--lr", "-1e-3").lr == -1e-3
    assert parse("--lr", "-inf").lr == float("-inf")
    assert parse("--text=--lr").text == "--lr"
    assert parse("--text", "-- --data x").text == "-- --data x"
    assert parse("--text=--").text == "--"
    assert parse("--betas", "-1e-3", "-inf", "--text", "->").betas == (-1e-3, float("-inf"))
    assert parse("--data", "-1", "--", "--lr", "-").files == (Path("--lr"), Path("-"))
    assert parse("--").files == ()


def test_what_the_user_gives_replaces_what_was_saved_and_is_not_given_twice():
    saved = ("--lr", "1", "--data", "a", "b", "--compile", "--batch-size", "4")
    options = parse("--lr", "2", "--data", "c", "--no-compile", earlier=saved)
    assert (options.lr, options.data, options.compile, options.batch_size) == (2.0, ("c",), False, 4)


def test_a_missing_option_that_has_no_default_is_explained():
    with pytest.raises(UserError, match=r"^--model is missing\. It takes: A run's folder, or a model's folder\. See"):
        command.parse(chat.Options, "prog", [])
    with pytest.raises(UserError, match=r"^runs is missing\. It takes: The runs' folders\. See prog --help\.$"):
        command.parse(plot.Options, "prog", ["--out", "x"])


VALUES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(
    data=st.lists(VALUES, min_size=1, max_size=3),
    valid=VALUES,
    lr=st.floats(1e-12, 1e30),
    skip_bad=st.booleans(),
)
def test_saved_options_are_read_back_as_they_were(data, valid, lr, skip_bad):
    """Whatever a file is called: a dash in front, blanks, an equals sign."""
    options = TrainOptions(data=tuple(data), valid=valid, lr=lr, skip_bad=skip_bad)
    written = json.loads(json.dumps(vars(options)))
    assert command.parse(TrainOptions, "train", [], as_arguments(TrainOptions, written)) == options
