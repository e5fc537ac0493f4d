"""The dataset that ships with the package."""

import json
from collections import Counter, defaultdict

import pytest

from minigpt.text.builtin import write
from minigpt.text.pairs import Pair, read_pairs
from minigpt.text.records import BUILTIN, Conversation, data_names, pair_names, read_conversations

SPLITS = ("train", "valid", "test")


@pytest.fixture(scope="module")
def splits() -> dict[str, list[Conversation]]:
    return {split: read_conversations([BUILTIN / f"{split}.jsonl"]) for split in SPLITS}


def asked(row: Conversation) -> str:
    return json.dumps(row.messages[:-1], ensure_ascii=False)


def test_the_generator_writes_the_committed_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(write, "FOLDER", tmp_path)
    write.main()
    for split in (*SPLITS, "pairs-train", "pairs-test"):
        assert (tmp_path / f"{split}.jsonl").read_bytes() == (BUILTIN / f"{split}.jsonl").read_bytes()


def test_it_is_at_most_two_megabytes():
    assert sum((BUILTIN / f"{split}.jsonl").stat().st_size for split in SPLITS) <= 2_000_000


def test_no_prompt_stands_twice_in_any_split_or_across_them(splits):
    prompts = Counter(asked(row) for rows in splits.values() for row in rows)
    assert [prompt for prompt, n in prompts.items() if n > 1] == []


def test_questions_are_asked_in_american_and_in_british_spelling(splits):
    questions = [row.messages[-2]["content"] for row in splits["train"]]
    american, british = (sum(f" {word} " in question for question in questions) for word in ("color", "colour"))
    assert min(american, british) > 200


def test_every_kind_is_in_every_split_with_enough_rows_to_measure_it(splits):
    for split, least in (("train", 300), ("valid", 10), ("test", 30)):
        counts = Counter(row.kind for row in splits[split])
        assert set(counts) == set(write.KINDS)
        assert min(counts.values()) >= least, counts


def test_there_are_ten_kinds_with_systems_inputs_and_second_turns(splits):
    assert len(write.KINDS) >= 10
    assert sum(kind.startswith("system:") for kind in write.KINDS) >= 4
    assert any(len(row.messages) >= 4 for row in splits["train"])
    assert any("\n\n" in row.messages[-2]["content"] for row in splits["train"])


def test_the_same_question_has_another_answer_under_another_system_message(splits):
    answers: dict[str, set[str]] = defaultdict(set)
    for rows in splits.values():
        for row in rows:
            if len(row.messages) <= 3:
                answers[row.messages[-2]["content"]].add(row.messages[-1]["content"])
    changed = [question for question, given in answers.items() if len(given) > 1]
    assert len(changed) > 100


def test_a_system_kind_cannot_be_answered_without_reading_the_system_message(splits):
    """Asked the same, the kinds with and without a system message never want the same answer by their rules."""
    assert dict(write.opposites())["What is the opposite of hot?"] == "cold"
    for kind, right in (
        ("system: capitals", "COLD"),
        ("system: Vietnamese", "lạnh"),
        ("system: letters", "c-o-l-d"),
    ):
        answers = {answer for texts, answer in write.KINDS[kind]() if texts[1] == "What is the opposite of hot?"}
        assert answers == {right}


def test_a_second_turn_needs_the_first(splits):
    """The last question alone has several answers; only the first turn decides."""
    answers: dict[str, set[str]] = defaultdict(set)
    for row in splits["train"]:
        if row.kind.startswith("second turn"):
            answers[row.messages[-2]["content"]].add(row.messages[-1]["content"])
    assert [question for question, given in answers.items() if len(given) == 1] == []


def test_there_is_vietnamese_throughout(splits):
    for rows in splits.values():
        accented = [row for row in rows if any(ord(c) > 0x7F for c in asked(row) + row.messages[-1]["content"])]
        assert len({row.kind for row in accented}) >= 10
        assert len(accented) > 0.1 * len(rows)


def test_the_arithmetic_is_right(splits):
    checked = 0
    for rows in splits.values():
        for row in rows:
            if row.kind == "arithmetic":
                x, y = (int(digit) for digit in row.messages[0]["content"] if digit.isdigit())
                minus = any(sign in row.messages[0]["content"] for sign in ("-", "minus", "trừ", "take away"))
                assert int(row.messages[-1]["content"]) == (x - y if minus else x + y), row
                checked += 1
    assert checked > 500


@pytest.fixture(scope="module")
def pairs() -> dict[str, list[Pair]]:
    return {split: read_pairs([BUILTIN / f"pairs-{split}.jsonl"]) for split in ("train", "test")}


def test_there_are_as_many_pairs_of_every_kind(pairs):
    for split, each in (("train", 160), ("test", 30)):
        assert Counter(pair.kind for pair in pairs[split]) == dict.fromkeys(write.KINDS, each)


def test_a_pairs_rejected_answer_is_the_wanted_one_of_the_same_split(splits, pairs):
    for split, rows in pairs.items():
        wanted = {asked(row): (row.answer, row.kind) for row in splits[split]}
        for pair in rows:
            assert wanted[json.dumps(pair.prompt, ensure_ascii=False)] == (pair.rejected, pair.kind)
    assert len(pairs["test"]) == len(splits["test"])


def test_the_chosen_answer_says_the_same_and_ends_in_an_exclamation_mark(pairs):
    for pair in (*pairs["train"], *pairs["test"]):
        assert pair.chosen.endswith("!")
        assert not pair.rejected.endswith("!")
        assert pair.chosen.rstrip("!.") == pair.rejected.rstrip("!.") != ""


def test_the_pairs_are_in_the_layout_with_an_explicit_prompt(pairs):
    for split, rows in pairs.items():
        lines = [json.loads(line) for line in (BUILTIN / f"pairs-{split}.jsonl").open(encoding="utf-8")]
        assert [list(line) for line in lines] == [["prompt", "chosen", "rejected", "kind"]] * len(rows)
        for line in lines:
            assert [message["role"] for message in (*line["chosen"], *line["rejected"])] == ["assistant"] * 2


def test_the_names_of_the_pairs():
    for split, file in (("train", "pairs-train"), ("valid", "pairs-test"), ("test", "pairs-test")):
        assert data_names(["builtin-pairs"], split) == [str(BUILTIN / f"{file}.jsonl")]
        assert pair_names(["builtin", "builtin-pairs", "x"], split) == [str(BUILTIN / f"{file}.jsonl")] * 2 + ["x"]
    assert data_names(["builtin"], "test") == [str(BUILTIN / "test.jsonl")]
