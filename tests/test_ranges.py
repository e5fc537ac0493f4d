"""Every number on a command line has a range, and one outside of it is a sentence that names option and range."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigpt import command
from minigpt.errors import UserError
from minigpt.ranges import BelowOne, Count, Range, Temperature, Text, check_used, check_values
from tests.every_command import EVERY

NEEDED = {
    "export": ["--model=x", "--out=y"],
    "generate": ["--model=x"],
    "chat": ["--model=x"],
    "plot": ["x"],
    "download": ["gpt2"],
    "rate prepare": ["--models=x"],
    "rate summarize": ["x", "y"],
}
OPTIONS = [(name, field.name) for name, options in EVERY.items() for field in fields(options)]


def of(name: str, *arguments: str) -> object:
    """The parsed options of a command."""
    return command.parse(EVERY[name], name, [*arguments, *NEEDED.get(name, [])])


def hint(name: str, option: str) -> object:
    return get_type_hints(EVERY[name], include_extras=True)[option]


def is_number(hint: object) -> bool:
    return hint in (int, float) or any(map(is_number, get_args(hint)))


NUMBERS = [(name, option) for name, option in OPTIONS if is_number(hint(name, option))]


@pytest.mark.parametrize(("name", "option"), NUMBERS)
def test_every_number_of_every_command_has_a_range_and_one_outside_is_a_sentence(name: str, option: str) -> None:
    """Whoever adds an option adds its range."""
    flag, count = "--" + option.replace("_", "-"), 2 if option == "betas" else 1
    below = [] if option == "unfinished" else ["-1"]  # what an answer is worth may be below 0
    for value in (*below, "nan", "inf", "-inf", "1e400", "1" + 60 * "0"):
        with pytest.raises(UserError) as caught:
            of(name, flag, *[value] * count)
        assert str(caught.value).startswith(f"{flag} is ")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", EVERY)
def test_the_defaults_are_within_their_ranges(name: str) -> None:
    of(name)


@dataclass
class Some:
    """Some options."""

    count: Count | None = 3
    """A count."""
    rates: tuple[BelowOne, BelowOne] = (0.5, 0.5)
    """Two rates."""
    heat: Temperature = 1.0
    """A temperature."""
    text: Text = ""
    """Any text."""
    name: str = "x"
    """A name."""
    names: tuple[str, ...] = ("x",)
    """Several."""
    path: Path | None = None
    """A path."""


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"count": 0}, "--count is 0; it must be from 1 to 1,000,000,000."),
        ({"rates": (0.5, 1.0)}, "--rates is 1.0; it must be at least 0 and below 1."),
        ({"heat": 1e-7}, "--heat is 1e-07; it must be 0, or from 1e-06 to 1,000,000."),
    ],
    ids=str,
)
def test_the_sentence_says_the_value_and_the_range(wrong: dict, said: str) -> None:
    with pytest.raises(UserError) as caught:
        check_values(replace(Some(), **wrong))
    assert str(caught.value) == said
    check_values(Some(count=None, heat=0.0, rates=(0.0, 0.999)))


@pytest.mark.parametrize("arguments", [["--path", ""], ["--path="], ["--names", "a", ""], ["--name="]], ids=str)
def test_an_empty_name_is_refused_though_an_empty_path_is_the_current_folder(arguments: list[str]) -> None:
    with pytest.raises(UserError, match=r"^--(path|names?) is empty; leave it out, or give it a value\.$"):
        command.parse(Some, "some", arguments)


def test_an_empty_path_in_a_file_of_options_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "some.toml").write_text('path = ""\n')
    with pytest.raises(UserError, match="path is empty; leave it out"):
        command.parse(Some, "some", ["--config", str(tmp_path / "some.toml")])


def test_an_empty_text_and_the_current_folder_by_its_name_are_none() -> None:
    chosen = command.parse(Some, "some", ["--path", ".", "--text", "", "--name=a="])
    assert chosen == Some(path=Path(), text="", name="a=")


def test_an_option_without_effect_is_refused_if_it_was_given_another_value() -> None:
    check_used(Some(), ["count", "name"], "here")
    with pytest.raises(UserError, match=r"^--count has no effect here; leave it out\.$"):
        check_used(Some(count=4), ["count", "name"], "here")


@given(low=st.floats(-1e9, 1e9), width=st.floats(0, 1e9), value=st.floats())
def test_a_range_holds_what_lies_between_its_ends_and_never_nan(low: float, width: float, value: float) -> None:
    high = low + width
    assert (value in Range(low, high)) == (low <= value <= high)
    assert (value in Range(low, high, without_low=True)) == (low < value <= high)
    assert (value in Range(low, high, without_high=True)) == (low <= value < high)
    assert 0 in Range(5, 6, or_zero=True)
    assert float("nan") not in Range(low, high, or_zero=True)
