"""Wrong verdicts of the loss-curve detective of lesson 13."""

import importlib
from collections.abc import Callable

solve = importlib.import_module("lessons.13_response_loss.detective_grader").solve


def taken(for_whom: dict[str, str], letters: str = "ABCDEFGHIJ") -> dict[str, str]:
    """The right verdict, but for some suspects who are taken for others."""
    return {letter: for_whom.get(bug, bug) for letter, bug in solve().items() if letter in letters}


def nobody_did_it() -> dict[str, str]:
    return dict.fromkeys("ABCDEFGHIJ", "no bug")


def what_learns_nothing_has_the_wrong_learning_rate() -> dict[str, str]:
    return taken({"residual lost at attention": "learning rate / 30", "gradients never zeroed": "learning rate x 30"})


def only_one_run_can_be_right() -> dict[str, str]:
    """So the other right run must have the suspect that is left over."""
    first = next(letter for letter, bug in solve().items() if bug == "no bug")
    return solve() | {first: "mask after the softmax"}


def both_right_runs_accused() -> dict[str, str]:
    return taken({"no bug": "learning rate / 30"})


def a_loss_near_zero_is_success() -> dict[str, str]:
    return taken({"targets not shifted": "no bug"})


def all_that_breaks_parity_is_unmasked() -> dict[str, str]:
    return taken({"scores not scaled": "attention sees the future"})


def endless_answers_are_the_end_token() -> dict[str, str]:
    return taken({"supervision one token late": "end token not supervised"})


def climbing_norm_is_the_learning_rate_and_the_rest_is_the_network() -> dict[str, str]:
    return taken({
        "gradients never zeroed": "learning rate x 30", "learning rate x 30": "residual lost at attention",
    })  # fmt: skip


def repeated_tokens_are_the_future() -> dict[str, str]:
    return taken({"targets not shifted": "attention sees the future"})


def future_is_a_matter_of_the_data() -> dict[str, str]:
    return taken({"attention sees the future": "supervision one token late"})


def unscaled_is_let_go() -> dict[str, str]:
    return taken({"scores not scaled": "no bug"})


def five_only() -> dict[str, str]:
    return taken({}, "ABCDE")


def in_capitals() -> dict[str, str]:
    return {letter: bug.capitalize() for letter, bug in solve().items()}


ANSWERS: dict[tuple[str, str], list[Callable]] = {
    ("13_response_loss", "detective"): [
        nobody_did_it, what_learns_nothing_has_the_wrong_learning_rate, only_one_run_can_be_right,
        both_right_runs_accused, a_loss_near_zero_is_success, all_that_breaks_parity_is_unmasked,
        endless_answers_are_the_end_token, climbing_norm_is_the_learning_rate_and_the_rest_is_the_network,
        repeated_tokens_are_the_future, future_is_a_matter_of_the_data, unscaled_is_let_go, five_only, in_capitals,
    ],
}  # fmt: skip
