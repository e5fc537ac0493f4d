"""The report and the picture say what the figures are, whatever the texts say."""

from pathlib import Path

import matplotlib.image
import pytest

from minigpt.rating.files import Judgment, Rater
from minigpt.rating.key import BOTH_BAD, CANNOT_JUDGE, CRITERIA, EQUAL, REFERENCE, Key
from minigpt.rating.picture import draw_ratings
from minigpt.rating.report import number, report, table
from minigpt.rating.summarize import pairs_in_words
from minigpt.rating.summary import Summary
from tests.rating.raters import key_of

STRANGE = "`code` | pipe\n# no heading\x1b[31m\u202e <script>"


def summary(key: Key, *votes: int | str | None, rating: int = 4, remark: str = "") -> Summary:
    """A rater for each vote, who says the same of every item."""
    rated = {(model, criterion): rating - model for model in range(len(key.models)) for criterion in CRITERIA}
    return Summary(
        key,
        [Rater(f"{j}", {item.id: Judgment(vote, rated, remark) for item in key.items}) for j, vote in enumerate(votes)],
    )


TWO = key_of([("yes", STRANGE), ("two", "three")], equal=3)


def test_the_report_says_how_many_judged_what_they_prefer_and_how_sure_that_is():
    said = report(summary(TWO, 0, 0, EQUAL))
    assert "# Ratings of `runs/a` and `runs/b`\n" in said
    assert "3 raters, each of whom judged 2 of 2 items. " in said
    assert "Conversations that nobody was shown, as both answers are the same: 3." in said
    assert "The score of `runs/a`, its share with half of the votes for neither, is 83.3% (" in said
    assert "`runs/a` has 2, `runs/b` 0, and 0 are undecided: the sign test's p is 0.5." in said
    assert "4.00 (4.00 to 4.00) | 3.00 (3.00 to 3.00) | +1.00 (+1.00 to +1.00) | 2 " in said
    assert "(2 of 3 votes; accuracy 4 4 4; naturalness 4 4 4; reasoning 4 4 4): `yes`" in said


def test_no_text_of_a_model_or_a_rater_is_markup_or_reaches_the_terminal_as_a_control_character():
    said = report(summary(TWO, 0, 1, remark=STRANGE))
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert "\n# no heading" not in said
    assert said.count("`` `code` | pipe\\n# no heading\\x1b[31m\\u202e <script> ``") == 1 + 4
    assert "## Remarks" in said


def test_one_rater_leaves_agreement_unknown_and_says_so():
    said = report(summary(TWO, 0))
    assert "One rater, who judged 2 of 2 items." in said
    assert "That cannot be known from one rater." in said
    assert "alpha" not in said


def test_no_vote_and_no_difference_are_said_in_words():
    assert "Nobody chose." in report(summary(TWO, None))
    assert "There is no lead of either." in report(summary(TWO, EQUAL, BOTH_BAD))


def test_one_item_does_not_say_that_nobody_leads_or_how_many_a_lead_takes():
    said = report(summary(key_of([("yes", "no")]), 0))
    assert "There is no lead" not in said
    assert "How many items it takes to see a lead of this size cannot be known from one." in said


def test_an_interval_that_says_nothing_is_called_so():
    warning = "One that is a point comes from judgments that are all the same"
    assert warning in report(summary(TWO, EQUAL))
    key = key_of([("yes", "no")] * 3)
    said = [(0, {}), (EQUAL, {}), (1, {})]
    rater = Rater("0", {item.id: Judgment(*one) for item, one in zip(key.items, said, strict=True)})
    assert warning not in report(Summary(key, [rater]))


def test_only_choices_are_counted_as_votes():
    said = report(summary(TWO, 0, 1, CANNOT_JUDGE))
    assert said.count("(1 of 2 votes; ") == 4
    assert "Of the votes for one answer, 2 of 4 were for the one on the left." in said
    assert "for the one on the left" not in report(summary(TWO, EQUAL, CANNOT_JUDGE))


def test_ratings_without_a_choice_are_judgments_and_remarks_are_not():
    assert summary(TWO, None).judged == [2]
    assert "One rater, who judged 2 of 2 items." in report(summary(TWO, None))
    rater = Rater("0", {item.id: Judgment(None, {}, "so so") for item in TWO.items})
    assert Summary(TWO, [rater]).judged == [0]


def test_no_figure_is_less_than_nothing():
    assert number((-0.001, -0.5, 0.001), "+") == "+0.00 (-0.50 to +0.00)"


def test_items_without_a_vote_are_not_among_the_undecided_and_give_no_pair():
    key = key_of([("yes", "no"), ("two", "three"), ("a", "b"), ("c", "d"), ("", "e")])
    votes = (0, EQUAL, None, "split", 1)
    raters = [
        Rater(
            f"{j}",
            {i.id: Judgment(j if vote == "split" else vote, {}) for i, vote in zip(key.items, votes, strict=True)},
        )
        for j in range(2)
    ]
    found = Summary(key, raters)
    assert "`runs/a` has 1, `runs/b` 1, and 2 are undecided" in report(found)
    assert pairs_in_words(found, 1, Path("pairs.jsonl")) == (
        "1 pairs in pairs.jsonl; left out: 1 with a split vote, 1 with a majority for neither, 1 with no vote, "
        "1 with an empty answer."
    )


def test_one_model_is_rated_without_a_choice():
    said = report(summary(key_of([("yes",), ("no",)], models=(REFERENCE,)), None, None))
    assert said.startswith("# Ratings of the reference\n")
    assert "Which answer" not in said
    assert "| accuracy    | 4.00 (4.00 to 4.00) |" in said


def test_a_table_of_markdown_has_columns_and_escapes_its_own_sign():
    assert table([["a", "b|c"], ["longer", "d"]]) == "| a      | b\\|c |\n| ------ | ---- |\n| longer | d    |"


@pytest.mark.parametrize("models", [("runs/a", "runs/b"), ("runs/$a_1$ " + 60 * "long",)], ids=len)
def test_the_picture_is_drawn_of_two_models_and_of_one(tmp_path: Path, models: tuple[str, ...]):
    key = key_of([("yes", "no")[: len(models)]] * 3, models=models)
    draw_ratings(summary(key, *([0, EQUAL] if len(models) == 2 else [None, None])), tmp_path / "ratings.png")
    height, width, _ = matplotlib.image.imread(tmp_path / "ratings.png").shape
    assert width > height > 400


def test_the_picture_leaves_out_what_nobody_rated(tmp_path: Path):
    rater = Rater("0", {item.id: Judgment(None, {(0, "accuracy"): 5}) for item in TWO.items})
    draw_ratings(Summary(TWO, [rater]), tmp_path / "ratings.svg")
    assert "<svg" in (tmp_path / "ratings.svg").read_text()
