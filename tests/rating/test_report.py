"""The report and the picture say what the figures are, whatever the texts say."""

import random
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from minigpt.rating.files import Judgment, Rater
from minigpt.rating.key import BOTH_BAD, CANNOT_JUDGE, CRITERIA, EQUAL, REFERENCE, Key
from minigpt.rating.picture import draw_means, draw_ratings, draw_shares
from minigpt.rating.report import number, report, table
from minigpt.rating.summarize import pairs_in_words
from minigpt.rating.summary import CHOICES, Summary
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
    assert "`runs/a` has 2, `runs/b` 0, and 0 went to neither: the sign test's p is 0.5." in said
    assert "4.00 (4.00 to 4.00) | 3.00 (3.00 to 3.00) | +1.00 (+1.00 to +1.00) | 6 " in said
    assert "(2 of 3 votes; accuracy 4 4 4; naturalness 4 4 4; reasoning 4 4 4): `yes`" in said


def test_no_text_of_a_model_or_a_rater_is_markup_or_reaches_the_terminal_as_a_control_character():
    said = report(summary(TWO, 0, 1, remark=STRANGE))
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert "\n# no heading" not in said
    assert said.count("`` `code` | pipe\\n# no heading\\x1b[31m\\u202e <script> ``") == 1 + 4
    assert "## Remarks" in said
    assert "## Remarks" not in report(summary(TWO, 0, remark=" \n"))


def test_one_rater_leaves_agreement_unknown_and_says_so():
    said = report(summary(TWO, 0))
    assert "One rater, who judged 2 of 2 items." in said
    assert "That cannot be known from one rater." in said
    assert "alpha" not in said


def test_no_vote_and_no_difference_are_said_in_words():
    assert "Nobody chose." in report(summary(TWO, None))
    assert "There is no lead of either." in report(summary(TWO, EQUAL, BOTH_BAD))
    assert "for the one on the left" not in report(summary(TWO, EQUAL, BOTH_BAD))
    one = report(summary(key_of([("yes", "no")]), 0))
    assert "There is no lead" not in one
    assert "How many items it takes to see a lead of this size cannot be known from one." in one
    assert "-: not known, as no answer was judged by two raters, or all that were got the same." in report(
        summary(TWO, 0, 0)
    )


def uneven() -> Summary:
    """Figures that all differ, so that none can stand in another's place."""
    key, draw = key_of([(f"a{i}", f"b{i}") for i in range(9)], equal=2), random.Random(1)
    votes = [0, 0, 0, 0, 1, 1, EQUAL, BOTH_BAD, CANNOT_JUDGE]
    both = [(model, criterion) for model in range(2) for criterion in CRITERIA]
    raters = [
        Rater(
            f"{j}", {i.id: Judgment(draw.choice(votes), {one: draw.randint(1, 5) for one in both}) for i in key.items}
        )
        for j in range(3)
    ]
    return Summary(key, raters)


def test_every_figure_is_where_its_words_are():
    found = uneven()
    said = report(found)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in said.splitlines()]
    for name, choice in {"`runs/a`": 0, "`runs/b`": 1, "equal": EQUAL, "both bad": BOTH_BAD}.items():
        assert [name, "{:.1%} ({:.1%} to {:.1%})".format(*found.shares[choice])] in rows
    for name in CRITERIA:
        gap, needed = found.differences[name]
        of_models = ["{:.2f} ({:.2f} to {:.2f})".format(*found.ratings[model, name]) for model in range(2)]
        assert [name, *of_models, "{:+.2f} ({:+.2f} to {:+.2f})".format(*gap), f"{needed:,}"] in rows
    for name, alpha in found.agreement.items():
        assert [name, f"{alpha:.2f}"] in rows
    assert f"takes about {found.needed:,} items, with as many raters." in said
    assert "Of the votes for one answer, {} of {} were for the one on the left.".format(*found.on_the_left) in said
    assert len({*found.shares.values(), *found.ratings.values(), found.needed, *found.agreement.values()}) == 15


def test_who_cannot_judge_has_no_vote_on_an_item_in_dispute():
    assert "**`runs/a`** (1 of 2 votes; " in report(summary(TWO, 0, 1, CANNOT_JUDGE, None))


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
    assert "`runs/a` has 1, `runs/b` 1, and 2 went to neither" in report(found)
    assert pairs_in_words(found, 1, Path("pairs.jsonl")) == (
        "Pairs in pairs.jsonl: 1; left out: 1 with a split vote, 1 with a majority for neither, 1 with no vote, "
        "1 with an empty answer."
    )


def test_a_difference_that_rounds_to_nothing_has_no_minus():
    assert number((-1e-17, -0.5, 0.004), "+") == "+0.00 (-0.50 to +0.00)"


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


def test_the_picture_shows_the_figures_and_their_intervals():
    found = uneven()
    means, shares = Figure().subplots(1, 2)
    draw_means(means, found)
    draw_shares(shares, found)
    for model, bars in enumerate(means.containers):
        expected = [found.ratings[model, criterion] for criterion in CRITERIA]
        assert spans(bars, along=1) == pytest.approx(np.array(expected)[:, 1:])
        assert bars.lines[0].get_ydata() == pytest.approx([mean for mean, _, _ in expected])
    lengths = [bar.get_width() for bar in shares.patches]
    assert lengths == pytest.approx([found.shares[choice][0] for choice in CHOICES])
    ends = [spans(bars, along=0)[0] for bars in shares.containers if isinstance(bars, ErrorbarContainer)]
    assert np.array(ends) == pytest.approx(np.array([found.shares[choice][1:] for choice in CHOICES]))


def spans(bars: ErrorbarContainer, along: int) -> np.ndarray:
    """The ends of error bars along an axis."""
    return np.array([segment[:, along] for segment in bars.lines[2][0].get_segments()])


def test_the_picture_leaves_out_what_nobody_rated(tmp_path: Path):
    rater = Rater("0", {item.id: Judgment(None, {(0, "accuracy"): 5}) for item in TWO.items})
    draw_ratings(Summary(TWO, [rater]), tmp_path / "ratings.svg")
    assert "<svg" in (tmp_path / "ratings.svg").read_text()
