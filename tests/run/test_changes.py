"""Lesson 09: what a resumed or repeated run says of its options, its data and its versions."""

from pathlib import Path

import pytest

from minigpt.errors import UserError
from minigpt.run.changes import Changes
from minigpt.run.identity import check_present, check_same
from minigpt.run.options import Options

A, B, C = "a" * 64, "b" * 64, "c" * 64
RUN = {
    "data": ["rows.jsonl"],
    "valid": None,
    "init": "scratch",
    "tokenizer": "bytes",
    "sha256": {"rows.jsonl": A},
    "init_sha256": {},
    "tokenizer_sha256": {"bytes": "bytes"},
    "version": "0.1.0",
    "torch": "2.9",
    "derived": [],
}


@pytest.mark.parametrize("other", [{"version": "0.0.9"}, {"torch": "2.6"}], ids=str)
def test_other_versions_are_reported_where_the_same_losses_are_expected(
    other: dict, capsys: pytest.CaptureFixture
) -> None:
    """And only there: the last digits of a resumed run may differ too, but nobody compares them."""
    for earlier, repeating, is_reported in ((RUN | other, True, True), (RUN, True, False), (RUN | other, False, False)):
        Changes(earlier, {}, repeating).check_files(RUN)
        assert ("the last digits may differ" in capsys.readouterr().out) == is_reported


def data(*files: tuple[str, str], valid: tuple[str, str] | None = None) -> dict:
    """A run on these files."""
    named = dict([*files, valid] if valid else files)
    return RUN | {"data": [name for name, _ in files], "valid": valid and valid[0], "sha256": named}


def initial(**weights: str) -> dict:
    """A run from the weights in the folder start."""
    return RUN | {"init": "start", "init_sha256": {name.replace("__", "/"): sha for name, sha in weights.items()}}


def tokenizer(folder: str, vocabulary: str) -> dict:
    return RUN | {"tokenizer": folder, "tokenizer_sha256": {f"{folder}/vocab.json": vocabulary}}


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (data(("rows.jsonl", A)), data(("elsewhere/ren amed.jsonl", A))),
        (data(("a", A), ("b", B)), data(("c", A), ("d", B))),
        (data(("a", A), ("a", A)), data(("c", A), ("d", A))),
        (data(("a", A), valid=("v", B)), data(("a", A), valid=("w", B))),
        (data(("a", A), valid=("a", A)), data(("b", A), valid=("c", A))),
        (RUN | {"data": ["builtin"], "sha256": {"/old/t": A, "/old/v": B}},
         RUN | {"data": ["builtin"], "sha256": {"/new/t": A, "/new/v": B}}),
        (initial(start__model=A), initial(moved__model=A) | {"init": "moved"}),
        (tokenizer("old", A), tokenizer("new", A)),
        (RUN | {"tokenizer": "old"}, RUN | {"tokenizer": "new"}),
    ],
)  # fmt: skip
def test_the_same_bytes_are_accepted_under_any_name(was: dict, becomes: dict) -> None:
    check_same(was, becomes)
    without = {key: value for key, value in was.items() if key != "tokenizer_sha256"}
    if was["tokenizer"] == becomes["tokenizer"]:
        check_same(without, becomes)


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        (data(("a", A)), data(("a", B)), "^a changed since the run was started"),
        (data(("a", A)), data(("b", B)), "^b is not the a with which the run was started"),
        (data(("a", A), ("b", B)), data(("b", B), ("a", A)), "^b is not the a "),
        (data(("a", A), ("b", B)), data(("a", A), ("b", C)), "^b changed"),
        (data(("a", A)), data(("a", A), ("a", A)), "started with a for --data and would go on with a, a"),
        (data(("a", A), ("b", B)), data(("a", A), valid=("b", B)), "started with a, b for --data"),
        (data(("a", A), valid=("v", B)), data(("a", A), valid=("v", C)), "^v changed"),
        (data(("a", A)), data(("a", A), valid=("v", C)), "with nothing for --valid and would go on with v"),
        (initial(model=A), initial(model=B), "^model changed"),
        (initial(x__model=A), initial(y__model=B), "^y/model is not the x/model with which"),
        (RUN, initial(model=A), "started with nothing for --init"),
        (initial(model=A), RUN, "started with model for --init and would go on with nothing"),
        (tokenizer("x", A), tokenizer("y", B), "^y/vocab.json is not the x/vocab.json"),
        (RUN, tokenizer("x", A), "^x/vocab.json is not the bytes"),
        (RUN, RUN | {"tokenizer_sha256": {"gpt2": "gpt2"}}, "^gpt2 is not the bytes"),
    ],
)
@pytest.mark.parametrize("repeating", [True, False])
def test_other_bytes_are_refused_and_the_sentence_says_which(was: dict, becomes: dict, said: str, repeating) -> None:
    with pytest.raises(UserError, match=said):
        Changes(was, {}, repeating).check_files(becomes)


def test_the_tokenizer_of_an_earlier_versions_run_is_known_by_its_name() -> None:
    earlier = {key: value for key, value in RUN.items() if key != "tokenizer_sha256"}
    check_same(earlier, RUN)
    with pytest.raises(UserError, match=r"^other is not the bytes with which"):
        check_same(earlier, tokenizer("other", A))
    moved = earlier | {"init": "old", "tokenizer": "old"}
    check_same(moved, RUN | {"init": "new", "tokenizer": "new"})


@pytest.mark.parametrize(
    ("chosen", "option"),
    [
        ({"data": ("gone.jsonl",)}, "data"),
        ({"data": ("builtin",), "valid": "gone.jsonl"}, "valid"),
        ({"init": "runs/gone"}, "init"),
        ({"tokenizer": "gone"}, "tokenizer"),
    ],
)
def test_a_file_that_was_moved_is_missed_at_once_and_the_sentence_says_how_to_name_its_new_place(
    chosen: dict, option: str
) -> None:
    with pytest.raises(UserError, match=rf"gone\S* is not where the run found it.* --{option} with its new path"):
        check_present(Options(**chosen))


def test_what_lies_nowhere_is_not_missed(tmp_path: Path) -> None:
    check_present(Options(data=("builtin",), init="gpt2", tokenizer="bytes"))
    check_present(Options(data=("hf:owner/name",), valid="hf:owner/name:test", tokenizer="gpt2"))
    (tmp_path / "here").touch()
    check_present(Options(data=(str(tmp_path / "here"),), init=str(tmp_path), tokenizer=str(tmp_path)))


def test_an_option_that_an_earlier_version_did_not_have_had_its_default() -> None:
    assert Changes.between(RUN, {"clip": 1.0, "n_layer": None}, repeating=True).found == {}
    assert Changes.between(RUN, {"clip": 2.0}, repeating=False).found == {"clip": (1.0, 2.0)}


def test_what_was_derived_is_said_to_be_and_what_only_names_files_is_no_change_of_the_training() -> None:
    now = {"warmup_steps": 40, "data": ("new.jsonl",), "betas": (0.8, 0.9)}
    changes = Changes.between(RUN | {"warmup_steps": 4}, now, repeating=False, derived=["warmup_steps"])
    assert changes.in_words(20).splitlines() == [
        "changed --warmup-steps 4 to 40, which follows from the others: from step 21 on the training differs from the "
        "original run",
        "changed --data rows.jsonl to new.jsonl: the same bytes, so the training is the same",
        "changed --betas 0.9 0.99 to 0.8 0.9: from step 21 on the training differs from the original run",
    ]
    assert [change["option"] for change in changes.recorded({}, 20)["changes"]] == ["warmup_steps", "betas"]


@pytest.mark.parametrize(("option", "was", "becomes"), [("lora_rank", 8, 16), ("lora_alpha", 16.0, 8.0)])
def test_the_low_rank_change_that_a_run_learns_keeps_its_shape_and_scale(option: str, was, becomes) -> None:
    earlier = RUN | {"init": "gpt2", "lora_rank": 8, "lora_alpha": 16.0}
    Changes.between(earlier, {option: was}, repeating=False)
    with pytest.raises(UserError) as caught:
        Changes.between(earlier, {option: becomes}, repeating=False)
    flag = option.replace("_", "-")
    said = f"--{flag} was {was} when the run was started and cannot become {becomes} within it; start a new run"
    assert said in str(caught.value)


def test_a_run_from_before_the_schedule_changed_is_told_so() -> None:
    earlier = {key: value for key, value in RUN.items() if key != "derived"}
    assert Changes(RUN, {}, False).in_words(3) == ""
    assert "in whose schedule the last step had the rate 0" in Changes(earlier, {}, False).in_words(3)


@pytest.mark.parametrize(("option", "is_repeated"), [("keep", True), ("device", True), ("lr", False)])
def test_a_change_that_the_training_did_not_feel_is_no_obstacle_to_repeating(option: str, is_repeated: bool) -> None:
    earlier = RUN | {"changes": [{"step": 4, "option": option, "from": 1, "to": 2}]}
    if is_repeated:
        Changes.between(earlier, {}, repeating=True)
    else:
        with pytest.raises(UserError, match=f"--{option} was changed at step 4"):
            Changes.between(earlier, {}, repeating=True)
