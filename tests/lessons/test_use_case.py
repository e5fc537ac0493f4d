"""Lesson 14's lion: of each thing that is missing or wrong in a use case's folder, the judge says what to do."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lessons.harness.grade import Lesson
from lessons.harness.links import LESSONS
from minigpt.measure.evaluation import Evaluation
from minigpt.text.records import read_conversations

LESSON = Lesson("14_evaluation")
EXAMPLE = LESSONS / "14_evaluation" / "bins"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "bins"))


def said(folder: object) -> str | None:
    return LESSON.graders["use_case"].verdict(lambda: folder, LESSON)


def change(path: Path, how: Callable[[dict], object]) -> None:
    value = json.loads(path.read_text("utf-8"))
    how(value)
    path.write_text(json.dumps(value), "utf-8")


def lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines(keepends=True)


def test_the_example_is_a_use_case(folder: Path) -> None:
    assert said(folder) is None
    assert said(str(folder)) is None
    assert sum(path.stat().st_size for path in EXAMPLE.rglob("*")) < 60_000


@pytest.mark.parametrize("answer", [None, 3, Path("nowhere")])
def test_no_folder(answer: object) -> None:
    assert said(answer) == f"use_case gave {answer!r}; wanted the path of your folder, which is there."


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("train.jsonl", "Write your conversations into it"),
        ("held_out.jsonl", "Write your conversations into it"),
        ("run/options.json", "This writes it: python -m minigpt.train"),
        ("run/result.json", "This writes it: python -m minigpt.train"),
        ("figures.json", "This writes it: python -m minigpt.evaluate"),
        ("figures.predictions.jsonl", "This writes it: python -m minigpt.evaluate"),
    ],
)
def test_a_file_that_is_missing(folder: Path, name: str, words: str) -> None:
    (folder / name).unlink()
    assert f"{name} is missing. {words}" in said(folder).replace("\\", "/")


def test_an_unusable_row_is_named(folder: Path) -> None:
    path = folder / "train.jsonl"
    path.write_text("".join([*lines(path), '{"messages": []}\n']), "utf-8")
    assert "train.jsonl, line 97" in said(folder)


@pytest.mark.parametrize(("name", "least"), [("train", 50), ("held_out", 20)])
def test_too_few_rows_and_the_same_row_many_times(folder: Path, name: str, least: int) -> None:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(lines(path)[: least - 1] * 3), "utf-8")
    assert said(folder) == f"use_case: {name}.jsonl asks {least - 1} different questions; write {least} or more."


def test_a_held_out_question_that_occurs_in_training(folder: Path) -> None:
    path = folder / "train.jsonl"
    path.write_text("".join([*lines(path), lines(folder / "held_out.jsonl")[3]]), "utf-8")
    sentence = said(folder)
    assert sentence.startswith("use_case: 1 held-out questions occur in training; the first, ")
    assert "held_out.jsonl, line 4, asks what" in sentence


def test_a_run_on_other_data(folder: Path) -> None:
    path = folder / "train.jsonl"
    path.write_text("".join(lines(path)[:-1]), "utf-8")
    assert "run/options.json names the SHA-256 of other data" in said(folder)


def test_a_result_of_another_run(folder: Path) -> None:
    change(folder / "run" / "result.json", lambda result: result.update(steps=7))
    assert said(folder) == "use_case: run/result.json and run/options.json are of two runs."


def test_figures_that_are_not_json(folder: Path) -> None:
    (folder / "figures.json").write_text("75 %", "utf-8")
    assert "figures.json is not what the command wrote" in said(folder)


@pytest.mark.parametrize("name", ["accuracy", "accuracy_interval", "perplexity_interval"])
def test_figures_without_intervals(folder: Path, name: str) -> None:
    change(folder / "figures.json", lambda figures: figures.pop(name))
    assert f"figures.json has no {name.split('_')[0]} with its interval" in said(folder)


def test_figures_of_a_part(folder: Path) -> None:
    change(folder / "figures.json", lambda figures: figures.update(rows=10))
    assert "figures.json is of 10 rows, and held_out.jsonl has 24" in said(folder)


def test_figures_that_were_written_by_hand(folder: Path) -> None:
    change(folder / "figures.json", lambda figures: figures.update(accuracy=1.0))
    assert "figures.json says accuracy 1.0000, and the answers beside it give 0.7500" in said(folder)


def test_answers_to_other_questions(folder: Path) -> None:
    path = folder / "held_out.jsonl"
    path.write_text("".join(lines(path)).replace("tin foil", "a tin lid"), "utf-8")
    assert "is of other conversations than held_out.jsonl" in said(folder)


def rewritten(folder: Path, how: Callable[[int, dict], object]) -> None:
    """The predictions after `how` has changed each side's answer, and the figures that follow from them."""
    path = folder / "figures.predictions.jsonl"
    rows = [json.loads(line) for line in lines(path)]
    for i, row in enumerate(rows):
        how(i, row)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    mine = [row["predictions"]["bins/run/model"] for row in rows]
    evaluation = Evaluation(
        read_conversations([folder / "held_out.jsonl"]),
        [(one["nll"], one["supervised_tokens"]) for one in mine],
        [one["answer"] for one in mine],
    )
    change(folder / "figures.json", lambda figures: figures.update(evaluation.as_json()))


def test_no_better_than_the_most_frequent_answer(folder: Path) -> None:
    rewritten(folder, lambda i, row: row["predictions"]["bins/run/model"].update(answer="glass" if i % 2 else "paper"))
    sentence = said(folder)
    assert "The first interval must lie above the second: that takes 16 right of 24." in sentence
    assert "always saying 'glass' has 25.0%, at most 44.9%" in sentence


def open_answers(folder: Path) -> None:
    """Every held-out answer a text of its own; the losses stay."""
    path = folder / "held_out.jsonl"
    rows = [json.loads(line) for line in lines(path)]
    for i, row in enumerate(rows):
        row["messages"][-1]["content"] += f", number {i}"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def test_open_answers_are_measured_by_perplexity(folder: Path) -> None:
    open_answers(folder)
    rewritten(folder, lambda i, row: row.update(wanted=f"{row['wanted']}, number {i}"))
    assert json.loads((folder / "figures.json").read_text("utf-8"))["accuracy"] == 0
    assert said(folder) is None


def test_open_answers_that_surprise_as_much_as_before(folder: Path) -> None:
    open_answers(folder)

    def as_before(i: int, row: dict) -> None:
        row["wanted"] += f", number {i}"
        row["predictions"]["bins/run/model"]["nll"] = row["predictions"]["untrained start"]["nll"]

    rewritten(folder, as_before)
    assert "The first interval must lie below the second" in said(folder)
    rewritten(folder, lambda i, row: row["predictions"].pop("untrained start"))
    assert "has no untrained start to compare with" in said(folder)


def test_two_models_in_one_file(folder: Path) -> None:
    rewritten(folder, lambda i, row: row["predictions"].update(other=row["predictions"]["bins/run/model"]))
    assert "has 2 models; measure your run alone" in said(folder)


def test_a_use_case_that_stops_is_told_with_its_line() -> None:
    def broken() -> Path:
        raise KeyError("bins")

    verdict = LESSON.graders["use_case"].verdict(broken, LESSON)
    assert verdict.startswith("use_case stopped: KeyError: 'bins'\nin ")
    assert "test_use_case.py, line" in verdict
