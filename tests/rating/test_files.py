"""What the raters have sent is read whole, or refused in a sentence."""

import contextlib
import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigpt.errors import UserError
from minigpt.rating.files import read_key, read_raters
from minigpt.rating.key import CRITERIA
from tests.rating.raters import key_of, saved, write_key, write_ratings

KEY = key_of([("yes", "no"), ("two", "three"), ("\ud800 </script>", "\x00")])
FULL = {(model, criterion): 3 + model for model in (0, 1) for criterion in CRITERIA}


def anna() -> dict:
    return copy.deepcopy(saved(KEY, "Anna", lambda item: (0, FULL)))


def test_a_key_is_read_as_it_was_written(tmp_path: Path):
    assert read_key(write_key(tmp_path / "key.json", KEY)) == KEY


def test_what_a_rater_said_is_read_by_model_whatever_side_it_was_on(tmp_path: Path):
    said = {"0" * 16: (1, {(0, "accuracy"): 2, (1, "accuracy"): "cannot judge"}), "0" * 15 + "1": ("both bad", {})}
    values = saved(KEY, "Anna", lambda item: said.get(item.id), remark="so so")
    [rater] = read_raters([write_ratings(tmp_path, values)], KEY)
    assert (rater.name, set(rater.judgments)) == ("Anna", set(said))
    first, second = (rater.judgments[name] for name in said)
    assert (first.preference, first.ratings, first.remark) == (1, {(0, "accuracy"): 2}, "so so")
    assert (second.preference, second.ratings) == ("both bad", {})


@pytest.mark.parametrize(
    "changed",
    [
        {"models": ["runs/b", "runs/a"]},
        {"seed": 2},
        {"equal": 1},
        {"items": []},
        {"items": None},
        {"models": 3},
        {"page": "0" * 32},
        {"temperature": [1]},
    ],
    ids=str,
)
def test_a_key_that_was_changed_is_refused(tmp_path: Path, changed: dict):
    path = tmp_path / "key.json"
    path.write_text(json.dumps(json.loads(json.dumps(KEY.as_json())) | changed))
    with pytest.raises(UserError, match=r"key.json was changed after it was written"):
        read_key(path)


def test_a_key_with_one_side_or_one_letter_of_an_answer_changed_is_refused(tmp_path: Path):
    for path in (("items", 0, "sides", 0, "model"), ("items", 1, "sides", 1, "answer"), ("items", 2, "id")):
        values = json.loads(json.dumps(KEY.as_json()))
        *above, last = path
        place = values
        for step in above:
            place = place[step]
        place[last] = 1 - place[last] if last == "model" else place[last] + "x"
        (tmp_path / "key.json").write_text(json.dumps(values))
        with pytest.raises(UserError, match="was changed"):
            read_key(tmp_path / "key.json")


def test_files_in_each_others_place_are_refused(tmp_path: Path):
    key, ratings = write_key(tmp_path / "key.json", KEY), write_ratings(tmp_path, anna())
    with pytest.raises(UserError, match="the key of the page comes first"):
        read_key(ratings)
    with pytest.raises(UserError, match="is a key; after the first come the files"):
        read_raters([key], KEY)
    (tmp_path / "other.json").write_text('{"a": 1}')
    with pytest.raises(UserError, match="is not the key"):
        read_key(tmp_path / "other.json")
    with pytest.raises(UserError, match="is not a file of ratings"):
        read_raters([tmp_path / "other.json"], KEY)


def test_ratings_of_another_page_are_refused(tmp_path: Path):
    path = write_ratings(tmp_path, anna())
    with pytest.raises(UserError, match="another page"):
        read_raters([path], replace(KEY, seed=2))


def test_every_half_of_a_file_is_refused(tmp_path: Path):
    whole = json.dumps(anna())
    for end in range(0, len(whole) - 1, 37):
        (tmp_path / "half.json").write_text(whole[:end])
        with pytest.raises(UserError, match=r"half\.json is not JSON: .*; it may be cut off; ask for the file"):
            read_raters([tmp_path / "half.json"], KEY)


def test_a_file_that_is_not_there_is_not_called_cut_off(tmp_path: Path):
    with pytest.raises(UserError, match=r"no\.json cannot be read: No such file or directory\.$"):
        read_raters([tmp_path / "no.json"], KEY)


def test_two_files_of_one_rater_are_refused_by_identity_and_by_name(tmp_path: Path):
    first = write_ratings(tmp_path, anna())
    again = anna()
    again["rater"]["name"] = "Anna (1)"
    with pytest.raises(UserError, match="are of the same rater; leave out the older one"):
        read_raters([first, write_ratings(tmp_path, again)], KEY)
    other = anna()
    other["rater"] = {"id": "0" * 32, "name": " anna "}
    with pytest.raises(UserError, match="both have the name 'anna'"):
        read_raters([first, write_ratings(tmp_path, other)], KEY)


def first_entry(values: dict) -> dict:
    return next(iter(values["items"].values()))


BREAK = {
    "no rater": lambda v: v.pop("rater"),
    "rater is text": lambda v: v.update(rater="Anna"),
    "no name": lambda v: v["rater"].pop("name"),
    "name is a number": lambda v: v["rater"].update(name=3),
    "no items": lambda v: v.pop("items"),
    "items is a list": lambda v: v.update(items=[]),
    "an unknown item": lambda v: v["items"].update({"f" * 16: first_entry(v)}),
    "an item is null": lambda v: v["items"].update({"0" * 16: None}),
    "an unknown side": lambda v: first_entry(v).update(preference="f" * 16),
    "a preference that is a number": lambda v: first_entry(v).update(preference=0),
    "a preference that is a list": lambda v: first_entry(v).update(preference=[]),
    "no ratings": lambda v: first_entry(v).pop("ratings"),
    "a side is missing": lambda v: first_entry(v)["ratings"].popitem(),
    "a rating of 0": lambda v: next(iter(first_entry(v)["ratings"].values())).update(accuracy=0),
    "a rating of 6": lambda v: next(iter(first_entry(v)["ratings"].values())).update(accuracy=6),
    "half a rating": lambda v: next(iter(first_entry(v)["ratings"].values())).update(reasoning=4.0),
    "true": lambda v: next(iter(first_entry(v)["ratings"].values())).update(reasoning=True),
    "a rating in words": lambda v: next(iter(first_entry(v)["ratings"].values())).update(naturalness="good"),
    "a rating of many digits": lambda v: next(iter(first_entry(v)["ratings"].values())).update(accuracy=10**4000),
    "a preference that is long": lambda v: first_entry(v).update(preference="x" * 9999),
    "an item with a long name": lambda v: v["items"].update({"x" * 9999: {}}),
    "no remark": lambda v: first_entry(v).pop("remark"),
}


@pytest.mark.parametrize("name", BREAK)
def test_a_value_that_the_page_cannot_have_saved_is_a_sentence_with_the_file(tmp_path: Path, name: str):
    values = anna()
    BREAK[name](values)
    (tmp_path / "broken.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"broken\.json: ") as caught:
        read_raters([tmp_path / "broken.json"], KEY)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(tmp_path)) + 250


def test_the_choice_between_two_is_none_where_there_is_one_answer(tmp_path: Path):
    one = key_of([("yes",), ("two",)], models=("runs/a",))
    rated = {(0, criterion): 5 for criterion in CRITERIA}
    [rater] = read_raters([write_ratings(tmp_path, saved(one, "Anna", lambda item: (None, rated)))], one)
    assert all(judgment.ratings == rated for judgment in rater.judgments.values())
    with pytest.raises(UserError, match="the page has no such answer"):
        read_raters([write_ratings(tmp_path, saved(one, "Bao", lambda item: ("equal", rated)))], one)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(where=st.sampled_from([(), ("rater",), ("rater", "id"), ("items",), ("items", "0" * 16)]), what=JSON)
def test_whatever_stands_in_a_file_it_is_read_or_a_sentence(tmp_path_factory, where: tuple, what: object):
    values = anna()
    place = values
    for step in where[:-1]:
        place = place[step]
    if where:
        place[where[-1]] = what
    else:
        values = what
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(values))
    with contextlib.suppress(UserError):
        read_raters([path], KEY)


def test_a_page_has_another_name_for_every_change_of_its_key():
    others = [replace(KEY, models=("runs/b", "runs/a")), replace(KEY, seed=2), replace(KEY, items=KEY.items[:2])]
    assert len({key.page for key in (KEY, *others)}) == 4
