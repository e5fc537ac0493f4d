"""Lesson 12's judge of converted files writes what the command writes, and its files have the formats they say."""

import json
from importlib import import_module
from pathlib import Path

import pytest

from minigpt import view
from minigpt.measure.accuracy import GSM8K_ANSWER
from minigpt.text.records import read_conversations

grader = import_module("lessons.12_chat.grader")


@pytest.mark.parametrize("name", ["everyday.jsonl", "gsm8k_like.jsonl"])
def test_the_judge_s_lines_are_those_of_the_command(name: str, tmp_path: Path) -> None:
    given, out = grader.HERE / name, tmp_path / "out.jsonl"
    view.main(view.Options(data=(str(given),), to_chatml=out))
    assert out.read_text("utf-8") == "".join(grader.as_view_writes(given.read_text("utf-8")))


def test_the_files_have_the_columns_of_the_data_sets_and_every_answer_its_result() -> None:
    rows = [json.loads(line) for line in grader.gsm8k_lines()]
    assert all(row.keys() == {"question", "answer"} and GSM8K_ANSWER.search(row["answer"]) for row in rows)
    everyday = read_conversations([grader.HERE / "everyday.jsonl"])
    assert len(everyday) == len(rows) == 10
    assert {message.keys() == {"role", "content"} for row in everyday for message in row.messages} == {True}
