"""Lesson 15: which pairs and prompts are held out, and what other data is told."""

import json
from pathlib import Path

import pytest

from minigpt.errors import UserError
from minigpt.reading import sha256
from minigpt.text.pair_splits import load_pairs, load_prompts
from minigpt.text.pairs import as_conversations, read_pairs
from minigpt.text.records import BUILTIN, read_conversations
from minigpt.text.splits import Data, load_data
from tests.text.test_records import write

FILES = [str(BUILTIN / f"pairs-{split}.jsonl") for split in ("train", "test")]


def row(i: int) -> dict[str, str]:
    return {"prompt": f"What is {i}?", "chosen": f"{i}!", "rejected": f"{i}"}


def write_pairs(path: Path, n: int) -> str:
    return str(write(path, *map(row, range(n))))


def write_questions(path: Path, n: int) -> str:
    return str(write(path, *({"question": f"What is {i}?", "answer": str(i)} for i in range(n))))


def load(*names: str, **options: object) -> Data:
    """What `train` would learn from."""
    data = load_data(names, options.pop("valid", None), **options)
    assert isinstance(data, Data)
    return data


@pytest.mark.parametrize("name", ["builtin", "builtin-pairs"])
def test_the_built_in_pairs_have_their_own_held_out_ones(name: str) -> None:
    pairs, prompts = load_pairs([name]), load_prompts([name])
    assert [pairs.train, pairs.valid] == [read_pairs([file]) for file in FILES]
    assert [prompts.train, prompts.valid] == [as_conversations(read_pairs([file])) for file in FILES]
    assert pairs.files == prompts.files == {file: sha256(Path(file)) for file in FILES}
    assert (pairs.names, pairs.bad) == ([name], None)
    for arguments in (([name, FILES[0]],), ([name], FILES[1])):
        for read in (load_pairs, load_prompts):
            with pytest.raises(UserError, match=f"--data {name} has its own held-out pairs; give it alone"):
                read(*arguments)


@pytest.mark.parametrize(("n", "held_out"), [(2, 1), (39, 1), (40, 2), (100, 5)])
def test_a_twentieth_is_held_out_and_the_seed_alone_says_which(tmp_path: Path, n: int, held_out: int) -> None:
    name = write_pairs(tmp_path / "pairs.jsonl", n)
    data = load_pairs([name], seed=3)
    assert (len(data.train), len(data.valid)) == (n - held_out, held_out)
    assert sorted(pair.chosen for pair in (*data.train, *data.valid)) == sorted(f"{i}!" for i in range(n))
    assert load_pairs([name], seed=3) == data
    assert n < 40 or load_pairs([name], seed=4).valid != data.valid
    prompts = load_prompts([name], seed=3)
    assert (prompts.train, prompts.valid) == (as_conversations(data.train), as_conversations(data.valid))


def test_named_pairs_are_held_out_whole(tmp_path: Path) -> None:
    name, valid = write_pairs(tmp_path / "pairs.jsonl", 3), write_pairs(tmp_path / "valid.jsonl", 5)
    data = load_pairs([name], valid)
    assert data.train == read_pairs([name])
    assert sorted(pair.source for pair in data.valid) == [pair.source for pair in read_pairs([valid])]
    assert list(data.files) == [name, valid]


@pytest.mark.parametrize("method", ["dpo", "reward"])
def test_other_data_than_pairs_is_refused_by_what_it_is(tmp_path: Path, method: str) -> None:
    pairs, others = write_pairs(tmp_path / "pairs.jsonl", 3), write_questions(tmp_path / "q.jsonl", 3)
    (tmp_path / "text.txt").write_text("A text.")
    sharegpt = str(write(tmp_path / "list.jsonl", [{"role": "user", "content": "u"}]))
    for names, valid, named, what in (
        ([others], None, others, "conversations"),
        ([pairs, others], None, others, "conversations"),
        ([pairs], others, others, "conversations"),
        ([sharegpt], None, sharegpt, "conversations"),
        ([str(tmp_path / "text.txt")], None, str(tmp_path / "text.txt"), "plain text"),
        ([str(tmp_path)], None, str(tmp_path), "plain text"),
    ):
        with pytest.raises(UserError) as caught:
            load_pairs(names, valid, method=method)
        assert str(caught.value) == f"{named} holds {what}; {method} needs pairs: prompt, chosen, rejected."
    half = str(write(tmp_path / "half.jsonl", {"question": "Q?", "chosen": "A."}))
    with pytest.raises(UserError, match=r'half\.jsonl, line 1: has the keys .*, and here "rejected" is missing'):
        load_pairs([half])


def test_prompts_are_those_of_pairs_and_of_conversations(tmp_path: Path) -> None:
    pairs, others = write_pairs(tmp_path / "pairs.jsonl", 1), write_questions(tmp_path / "q.jsonl", 1)
    data = load_prompts([pairs, others], pairs)
    assert [(one.asked[0]["content"], one.answer) for one in data.train] == [("What is 0?", "0!"), ("What is 0?", "0")]
    (tmp_path / "text.txt").write_text("A text.")
    with pytest.raises(UserError, match=r"text\.txt holds plain text; rl needs prompts: pairs or conversations\."):
        load_prompts([str(tmp_path / "text.txt")])


def test_bad_rows_stop_the_run_or_are_left_out_and_listed(tmp_path: Path) -> None:
    name = str(write(tmp_path / "pairs.jsonl", *map(row, range(4)), row(5) | {"rejected": "5!"}))
    for read in (load_pairs, load_prompts):
        with pytest.raises(UserError, match=r"line 5: chosen and rejected are the same(?s:.)*--skip-bad leaves such"):
            read([name])
        data = read([name], skip_bad=True)
        assert len(data.train) + len(data.valid) == 4
        assert [one.source for one in data.bad] == [f"{name}, line 5"]
    name = str(write(tmp_path / "pairs.jsonl", row(5) | {"rejected": "5!"}))
    with pytest.raises(UserError, match="no usable row to train on; without --skip-bad the reasons are shown"):
        load_pairs([name], FILES[1], skip_bad=True)


@pytest.mark.parametrize("side", [None, "chosen", "both"])
def test_train_learns_from_the_sides_that_are_asked_for(tmp_path: Path, side: str | None) -> None:
    """A pair is held out as a whole: its one side is not trained on while the other is held out."""
    name = write_pairs(tmp_path / "pairs.jsonl", 40)
    pairs, data = load_pairs([name], seed=1), load(name, seed=1, side=side)
    learned = side or "chosen"
    assert (data.train, data.valid) == (as_conversations(pairs.train, learned), as_conversations(pairs.valid, learned))
    assert data.test == as_conversations(pairs.valid)
    assert data.side == learned
    assert len(data.train) == 38 * (1 + (side == "both"))
    assert [one.answer for one in data.train[:2]] == [pairs.train[0].chosen, {"both": pairs.train[0].rejected}.get(
        side, pairs.train[1].chosen)]  # fmt: skip


def test_train_holds_out_the_built_in_test_pairs_and_answers_all_of_them() -> None:
    train, test = (as_conversations(read_pairs([file])) for file in FILES)
    data = load("builtin-pairs")
    assert (data.train, data.valid, data.test) == (train, test, test)
    assert list(data.files) == FILES
    assert load("builtin-pairs", accuracy_rows=7).test == test[:7]
    with pytest.raises(UserError, match="--data builtin-pairs has its own held-out conversations; give it alone"):
        load("builtin-pairs", FILES[0])


def test_pairs_and_conversations_may_be_learned_from_together(tmp_path: Path) -> None:
    pairs, others = write_pairs(tmp_path / "pairs.jsonl", 2), write_questions(tmp_path / "q.jsonl", 2)
    data = load(pairs, others, valid=others, side="both")
    assert data.train == [*as_conversations(read_pairs([pairs]), "both"), *read_conversations([others])]


def test_a_side_is_refused_where_there_are_no_pairs(tmp_path: Path) -> None:
    others = write_questions(tmp_path / "q.jsonl", 3)
    (tmp_path / "text.txt").write_text("A text.")
    for name in (others, str(tmp_path / "text.txt"), "builtin"):
        with pytest.raises(UserError) as caught:
            load(name, side="chosen")
        assert str(caught.value) == (
            f"--side is for pairs, a prompt with a chosen and a rejected answer; {name} holds none."
        )
        assert load_data([name], None).side is None


def test_the_pairs_of_a_file_are_read_though_a_text_stands_beside_them(tmp_path: Path) -> None:
    name = str(write(tmp_path / "pairs.jsonl", *(row(i) | {"text": "x", "kind": "k"} for i in range(3))))
    assert [one.kind for one in load(name).train] == ["k", "k"]
    assert json.loads(Path(name).read_text().splitlines()[0])["text"] == "x"
