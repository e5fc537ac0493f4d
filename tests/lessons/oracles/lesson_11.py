"""Oracles of lesson 11: rows written out by hand, byte counts, and the longest run of turns that fits."""

from collections.abc import Callable

from minigpt import Conversation, encode_within, load_template, load_tokenizer
from minigpt.text.examples import lengths
from minigpt.text.template import without_oldest_turn

TALK = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "trà?"},
    {"role": "assistant", "content": "Yes"},
    {"role": "user", "content": "2+2"},
    {"role": "assistant", "content": "4"},
]


def row_by_hand() -> None:
    """A row of two turns, byte by byte."""
    ids, _ = load_template("documents", load_tokenizer("bytes")).encode(TALK)
    assert ids == [256, *"Be short.\ntrà?".encode(), 259, *b"Yes", 256, *b"2+2", 259, *b"4", 256]


def bytes_of_the_texts() -> None:
    """Q_i and A_i as Python counts bytes."""
    rows = [Conversation(TALK, "line 1"), Conversation(TALK[1:3], "line 2")]
    counted = lengths(iter(rows), load_tokenizer("bytes"))
    assert counted.prompt == [len("Be short.trà?2+2".encode()), len("trà?".encode())]
    assert counted.response == [len("Yes4"), len("Yes")]


def newest_turns() -> None:
    """What is kept at every T_max is the longest run of newest turns that fits, else the last turn's beginning."""
    template = load_template("documents", load_tokenizer("bytes"))
    assert without_oldest_turn(TALK[:3]) is None  # else the loop of encode_within would not end
    for system in (TALK[:1], []):
        runs = [system + TALK[i:] + TALK[1:3] for i in (1, 3)] + [system + TALK[1:3]]
        rows = [template.encode(run)[0] for run in runs]
        for t_max in range(len(rows[-1]) - 2, len(rows[0]) + 1):
            (found,) = encode_within([Conversation(runs[0], "line 1")], template, t_max).examples
            assert found.ids == next((ids for ids in rows if len(ids) <= t_max), rows[-1][:t_max])


ORACLES: dict[str, Callable[[], None]] = {
    "minigpt.text.template.Documents.encode_user_turn": row_by_hand,
    "minigpt.text.examples.lengths": bytes_of_the_texts,
    "minigpt.text.template.without_oldest_turn": newest_turns,
}
