"""The loss-curve detective's record is real, its page and pictures agree with it, and the riddle has a solution."""

import importlib
import itertools
import json
from pkgutil import resolve_name

import pytest
import torch

from lessons.harness.links import LESSONS

detective = importlib.import_module("lessons.13_response_loss.detective")
grader = importlib.import_module("lessons.13_response_loss.detective_grader")
FOLDER = LESSONS / "13_response_loss"
PAGE = (FOLDER / "detective.md").read_text("utf-8")
CASES, SOLUTION = detective.cases(), grader.solve()
# What `detective.case(bug, 0)` gives for the suspects without a run, shortened to the losses and norms of the beginning
# and the end.
INNOCENT = {
    "learning rate / 30": {
        "first": [5.5402], "losses": [5.524, 5.428, 5.285, 5.151, 5.043, 4.941, 4.837, 3.128], "norms": [4.189, 1.668],
        "ended": 0, "right": 0, "parity": [0.0, 0.0],
    },
    "mask after the softmax": {
        "first": [5.5394], "losses": [5.277, 4.613, 3.689, 2.871, 2.313, 1.974, 1.771, 0.075], "norms": [2.934, 0.427],
        "ended": 40, "right": 8, "parity": [9.560412, 12.629656],
    },
}  # fmt: skip
BY_BUG = {bug: [CASES[letter] for letter in SOLUTION if SOLUTION[letter] == bug] for bug in detective.BUGS}


def verdict(answers: object) -> str:
    """What the grader says of a wrong answer that equals no typical one."""
    return grader.DETECTIVE.difference([answers], [SOLUTION])


def test_the_clues_tell_each_bug() -> None:
    """By rules that know nothing of how the runs were made."""
    assert {letter: bug for letter, (bug, _) in detective.runs().items()} == SOLUTION


def test_who_has_no_run_would_be_told_too() -> None:
    assert set(INNOCENT) == set(detective.INNOCENT)
    assert {bug: grader.accuse(found) for bug, found in INNOCENT.items()} == {bug: bug for bug in INNOCENT}


def test_every_suspect_but_two_has_a_run_and_one_has_two() -> None:
    assert {bug: len(found) for bug, found in BY_BUG.items() if len(found) != 1} == {
        "no bug": 2, **dict.fromkeys(detective.INNOCENT, 0),
    }  # fmt: skip


@pytest.mark.parametrize("letter", CASES)
def test_the_record_is_that_of_a_run(letter: str) -> None:
    bug, seed = detective.runs()[letter]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with detective.buggy(bug) as recipe:
        trainer, _ = detective.begin(recipe, seed)
        again = [trainer.train_step().loss for _ in CASES[letter]["first"]]
    torch.set_num_threads(threads)
    print(again, CASES[letter]["first"])
    assert again == pytest.approx(CASES[letter]["first"], abs=1e-3)


def test_the_package_is_whole_again_after_each_bug() -> None:
    places = [place for _, patched in detective.BUGS.values() for place in patched]
    before = [resolve_name(place) for place in places]
    for bug in detective.BUGS:
        with detective.buggy(bug):
            pass
    assert [resolve_name(place) for place in places] == before


def test_page_and_pictures_are_drawn_from_the_record() -> None:
    """`python -m lessons.13_response_loss.detective` writes the clues, `python -m lessons --fix` the pictures."""
    assert detective.with_clues(PAGE) == PAGE
    assert PAGE.count("<summary>parity</summary>") == len(CASES) == 10
    for name, draw in detective.FIGURES.items():
        assert (FOLDER / "figures" / name).read_text("utf-8") == draw()
        assert f"](figures/{name})" in PAGE
        assert len(draw().encode()) <= 10_000


def test_the_page_names_every_suspect_in_its_list() -> None:
    for bug in detective.BUGS:
        assert f"\n| `{bug}` | " in PAGE


def test_no_answer_is_in_the_clear() -> None:
    runs = PAGE[PAGE.index("\n### A\n") : PAGE.index("\n## Your verdict")]
    explained = PAGE[PAGE.index("\n## What each clue can tell") :]
    record = (FOLDER / "cases.json").read_text("utf-8")
    for text in [runs, explained, record, *(draw() for draw in detective.FIGURES.values())]:
        for bug in detective.BUGS:
            assert bug not in text
    keys = {"first", "losses", "norms", "held_out", "sample", "ended", "right", "asked", "parity"}
    assert all(set(found) == keys for found in CASES.values())
    assert list(json.loads(record)) == sorted(CASES)
    assert len(record.encode()) < 40_000


def test_the_curve_alone_does_not_tell() -> None:
    """Three bugs lie nearer to a right curve than the right curves of two seeds to one another; none of these is told
    by its final loss."""
    one, two = (torch.tensor(found["losses"]) for found in BY_BUG["no bug"])
    seeds = (one - two).abs().max()
    for bug in ("scores not scaled", "attention sees the future", "supervision one token late"):
        found = torch.tensor(BY_BUG[bug][0]["losses"])
        distance = min((found - right).abs().max() for right in (one, two))
        print(f"{bug}: {distance:.3f} from a right curve, which are {seeds:.3f} apart")
        assert distance < 0.7 * seeds
        assert (found - one)[-5:].abs().max() < 0.05


def test_a_held_out_loss_by_the_same_program_tells_nothing_more() -> None:
    for found in CASES.values():
        last = sum(found["losses"][-5:]) / 5
        print(f"{last:.3f} {found['held_out']:.3f}")
        assert abs(found["held_out"] - last) < 0.1


def test_bugs_that_keep_a_model_from_learning_need_a_second_clue() -> None:
    """Three learn next to nothing; of these the norm tells one and parity another."""
    flat = {bug: found[0] for bug, found in BY_BUG.items() if found and found[0]["losses"][-1] > 2}
    assert set(flat) == {"learning rate x 30", "gradients never zeroed", "residual lost at attention"}
    assert [bug for bug, found in flat.items() if found["norms"][-1] > 10] == ["gradients never zeroed"]
    assert [bug for bug, found in flat.items() if found["parity"][1] > 0.1] == ["residual lost at attention"]


def test_parity_sees_the_bugs_of_the_network_and_no_others() -> None:
    network = ("residual lost at attention", "scores not scaled", "attention sees the future")
    for bug, found in BY_BUG.items():
        for case in found:
            assert (case["parity"][1] > 0.1) == (bug in network)
            assert case["parity"][1] > 0.1 or case["parity"][1] < 1e-6


def test_a_verdict_does_not_give_the_answer_away() -> None:
    for letter, bug in itertools.product(SOLUTION, detective.BUGS):
        if bug != SOLUTION[letter]:
            said = verdict(SOLUTION | {letter: bug})
            assert "9 of 10 are right." in said
            if SOLUTION[letter] == "no bug":
                assert letter not in said.split("\n")[-1].replace("You accuse a run that has no bug", "")
            else:
                assert SOLUTION[letter] not in said


def test_what_is_no_verdict_at_all_is_told() -> None:
    assert verdict(["no bug"]) == "detective gave ['no bug']; wanted a dict from letters to suspects."
    assert verdict({"A": "no bug"}) == "detective says nothing of B, C, D, E, F, G, H, I, J."
    assert verdict(SOLUTION | {"K": "no bug"}) == "There is no run 'K'; the runs are A, B, C, D, E, F, G, H, I, J."
    said = verdict(SOLUTION | {"C": "No bug"})
    assert said.startswith("C: 'No bug' is not on the list of suspects, which are: no bug; ")
    assert verdict(SOLUTION | {"C": ["no bug"]}).startswith("C: ['no bug'] is not on the list")
    assert verdict(dict.fromkeys(SOLUTION, "no bug")).endswith("One suspect cannot have done everything.")


def test_every_suspect_has_a_clue_to_look_at() -> None:
    assert set(grader.LOOK) == set(detective.BUGS)
    assert set(grader.HINTS) == set(grader.CONFUSIONS)
