"""Lesson 11: the histograms of lengths show the lengths, and the curves what was measured."""

import json
import math
import warnings
from pathlib import Path

import numpy as np
import pytest

from minigpt.errors import UserError
from minigpt.run import curves
from minigpt.run.picture import COLORS, check_picture, optional


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list:
    """The figures, as they are made."""
    figures = []
    savefig = curves.Figure.savefig
    monkeypatch.setattr(
        curves.Figure, "savefig", lambda figure, *args, **more: (figures.append(figure), savefig(figure, *args, **more))
    )
    return figures


@pytest.mark.parametrize("most", [1, 2, 49, 50, 51, 60, 68, 100, 444, 1024])
def test_equally_many_lengths_fall_into_every_bin_and_none_is_lost(most: int) -> None:
    lengths = np.arange(1, most + 1)
    edges = curves.integer_bins(lengths.tolist())
    counts, _ = np.histogram(lengths, edges)
    assert counts.sum() == most
    assert len(set(counts[:-1])) <= 1, "the bars of a smooth histogram would go up and down"
    assert len(counts) <= 50
    assert not set(edges) & set(lengths), "an edge on a length gives it to a bin by chance"


def test_the_picture_has_every_row_the_means_and_t_max(tmp_path: Path, drawn: list) -> None:
    prompt, response, rows = [3, 5, 5, 40], [1, 2, 2, 90], [10, 20, 20, 140]
    curves.draw_lengths(prompt, response, rows, 1024, tmp_path / "lengths.png")
    texts, sequences = drawn[0].axes
    assert [sum(bar.get_height() for bar in bars) for bars in texts.containers] == [4, 4]
    assert [text.get_text() for text in texts.get_legend().get_texts()] == ["prompt, mean 13.2", "response, mean 23.8"]
    assert sum(bar.get_height() for bar in sequences.containers[0]) == 4
    assert [line.get_xdata()[0] for line in sequences.lines] == [1024]
    assert [text.get_text() for text in sequences.get_legend().get_texts()] == ["T_max 1,024"]
    assert (tmp_path / "lengths.png").read_bytes().startswith(b"\x89PNG")


def test_rows_of_one_length_are_drawn_too(tmp_path: Path, drawn: list) -> None:
    curves.draw_lengths([4, 4], [4, 4], [8, 8], 8, tmp_path / "lengths.png")
    assert [bar.get_height() for bar in drawn[0].axes[1].containers[0]] == [2]


def test_t_max_far_to_the_right_leaves_no_empty_half_of_the_panel(tmp_path: Path, drawn: list) -> None:
    rows = [100, 120, 150, 190]
    curves.draw_lengths(rows, rows, rows, 1024, tmp_path / "far.png")
    curves.draw_lengths(rows, rows, rows, 130, tmp_path / "near.png")
    far, near = (figure.axes[1] for figure in drawn)
    assert far.get_xlim()[1] < 200
    assert far.get_title("left") == "all fit into T_max, which is beyond the right edge"
    assert near.get_title("left") == "2 of 4 are longer than T_max"
    assert (far.lines[0].get_visible(), near.lines[0].get_visible()) == (False, True)


def test_one_row_far_longer_than_the_others_is_named_and_does_not_squeeze_them(tmp_path: Path, drawn: list) -> None:
    rows = [*range(50, 450), 90_000]
    curves.draw_lengths(rows, rows, rows, 512, tmp_path / "lengths.png")
    axis = drawn[0].axes[1]
    assert axis.get_xlim()[1] < 500
    assert "1 longer, up to 90,000, are not shown" in axis.get_xlabel() or "3 longer" in axis.get_xlabel()


def write_run(
    folder: Path, steps: int, pretrained: int = 0, kinds: dict[str, float] | None = None, low: float = 1.0
) -> Path:
    """A run's metrics: losses from 5 down to `low`, measured at the start and at the end."""
    folder.mkdir(parents=True)
    losses = np.geomspace(5.0, low, steps + 1).tolist()
    events = [{"step": 0, "split": "valid", "loss": losses[0]}]
    if kinds is not None:
        events.append({"step": 0, "split": "test", "accuracy": 0.0, "accuracy_by_kind": dict.fromkeys(kinds, 0.0)})
    events += [
        {"step": s, "split": "train", "loss": losses[s], "pretraining": s <= pretrained} for s in range(1, steps + 1)
    ]
    if kinds is not None:
        events.append({"step": steps, "split": "test", "accuracy": 0.5, "accuracy_by_kind": kinds})
    events.append({"step": steps, "split": "valid", "loss": losses[-1]})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return folder


def texts(legend) -> list[str]:
    return [text.get_text() for text in legend.get_texts()]


NASTY = ["coupons: $5% off, $6", "$x^2$", "\\frac{1}{2}", "_private", "a\nb\t\x1b[31m", "%s {0}", "k" * 5000, "مرحبا",
         "中文 👩‍👩‍👧", "\ud800", "", "<b>"]  # fmt: skip


def test_names_from_files_are_drawn_as_they_are_and_warn_of_nothing(tmp_path: Path, drawn: list) -> None:
    """Neither as formulas, nor with their control characters, nor wider than the picture."""
    run = write_run(tmp_path / "$run_of_5% $", 3, kinds=dict.fromkeys(NASTY, 0.5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        curves.draw([run], tmp_path / "loss.png")
    shown = [tick.get_text() for tick in drawn[0].axes[1].get_yticklabels()]
    assert len(shown) == len(NASTY)
    for name in ("coupons: $5% off, $6", "$x^2$", "\\frac{1}{2}", "_private", "a\\nb\\t\\x1b[31m", "\\ud800"):
        assert name in shown
    assert max(map(len, shown)) <= 34


def test_runs_are_told_apart_whatever_their_names_begin_with(tmp_path: Path, drawn: list) -> None:
    """matplotlib leaves out of a legend what begins with an underscore."""
    runs = [write_run(tmp_path / name, 3) for name in ("_a", "b/x", "c/x")]
    curves.draw(runs[:2], tmp_path / "loss.png")
    curves.draw(runs[1:], tmp_path / "loss.png")
    first, second = (texts(figure.axes[0].get_legend()) for figure in drawn)
    assert first[:2] == ["_a", "x"]
    assert len(set(second[:2])) == 2, "two runs of one name are shown by their paths"
    colors = [line.get_color() for line in drawn[0].axes[0].get_legend().get_lines()[:2]]
    assert colors == list(COLORS[:2])


def test_the_two_losses_of_a_run_have_two_colors_and_two_kinds_of_line(tmp_path: Path, drawn: list) -> None:
    curves.draw([write_run(tmp_path / "run", 100)], tmp_path / "loss.png")
    legend = drawn[0].axes[0].get_legend()
    assert texts(legend) == ["training, mean of 5 steps", "held-out"]
    training, held_out = legend.get_lines()
    assert training.get_color() != held_out.get_color()
    assert training.get_linestyle() != held_out.get_linestyle()


@pytest.mark.parametrize("steps", [0, 1, 2, 30])
def test_a_short_run_is_drawn_step_by_step(tmp_path: Path, drawn: list, steps: int) -> None:
    curves.draw([write_run(tmp_path / "run", steps)], tmp_path / "loss.png")
    [axis] = drawn[0].axes
    assert texts(axis.get_legend())[0] == "training"
    lines = [line for line in axis.lines if line.get_marker() == "."]
    assert sum(len(line.get_xdata()) for line in lines) == steps


def test_no_mean_is_taken_over_the_two_stages_and_their_names_are_clear_of_the_curves(
    tmp_path: Path, drawn: list
) -> None:
    curves.draw([write_run(tmp_path / "run", 100, pretrained=40)], tmp_path / "loss.png")
    [axis] = drawn[0].axes
    ends = {(line.get_xdata()[0], line.get_xdata()[-1]) for line in axis.lines if len(line.get_xdata()) > 2}
    assert ends == {(1, 40), (41, 100)}
    assert [text.get_text() for text in axis.texts] == ["every token", "responses only"]
    assert all(text.xy[1] == 1 and text.xyann[1] > 0 for text in axis.texts), "above the axis"


def test_a_wide_range_of_losses_has_a_logarithmic_axis_unless_it_is_chosen(tmp_path: Path, drawn: list) -> None:
    wide, narrow = write_run(tmp_path / "wide", 10, low=0.01), write_run(tmp_path / "narrow", 10, low=0.5)
    for run, log_y in ((wide, None), (narrow, None), (wide, False), (narrow, True)):
        curves.draw([run], tmp_path / "loss.png", log_y)
    assert [figure.axes[0].get_yscale() for figure in drawn] == ["log", "linear", "linear", "log"]
    drawn[0].canvas.draw()
    assert not any("$" in tick.get_text() for tick in drawn[0].axes[0].get_yticklabels())


def test_a_share_of_nothing_is_a_bar_with_its_figure(tmp_path: Path, drawn: list) -> None:
    curves.draw([write_run(tmp_path / "run", 3, kinds={"a": 0.0, "b": 0.0})], tmp_path / "loss.png")
    assert [text.get_text() for text in drawn[0].axes[1].texts] == ["0", "0"]


def test_one_kind_needs_no_panel_and_no_kind_has_none(tmp_path: Path, drawn: list) -> None:
    curves.draw([write_run(tmp_path / "one", 3, kinds={"all": 0.0})], tmp_path / "loss.png")
    curves.draw([write_run(tmp_path / "none", 3)], tmp_path / "loss.png")
    assert [len(figure.axes) for figure in drawn] == [1, 1]
    assert drawn[0].axes[0].get_title("right") == "exact match on the test: 0.0%"
    assert drawn[1].axes[0].get_title("right") == ""


def test_of_a_thousand_kinds_the_lowest_are_shown_and_the_others_counted(tmp_path: Path, drawn: list) -> None:
    kinds = {f"kind {i}": i / 1000 for i in range(1000)}
    curves.draw([write_run(tmp_path / "run", 3, kinds=kinds)], tmp_path / "loss.png")
    axis = drawn[0].axes[1]
    assert [tick.get_text() for tick in axis.get_yticklabels()] == [f"kind {i}" for i in range(40)]
    assert axis.get_title() == "the lowest 40 of 1,000 kinds"


def test_a_mean_leaves_out_what_is_no_number() -> None:
    means = curves.smoothed([1.0, math.nan, 3.0, math.inf, math.nan, math.nan], 2)
    assert means[:4].tolist() == [1.0, 1.0, 3.0, 3.0]
    assert np.isnan(means[5])
    assert len(curves.smoothed([], 3)) == 0


def test_a_picture_that_fails_is_a_warning_in_one_line(tmp_path: Path, capsys) -> None:
    for error in (ValueError("\n$5\n  ^\nParseException"), UserError("x"), MemoryError()):
        with optional(tmp_path / "loss.png"):
            raise error
    warned = capsys.readouterr().err.splitlines()
    assert len(warned) == 3
    assert all(line.startswith(f"warning: {tmp_path}/loss.png could not be drawn (") for line in warned)
    with pytest.raises(KeyboardInterrupt), optional(tmp_path / "loss.png"):
        raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["x.xyz", "nowhere/x.png", ".", "file/x.png"])
def test_where_no_picture_can_be_written_is_found_out_before_drawing(tmp_path: Path, monkeypatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    with pytest.raises(UserError, match=r"cannot be written|is a folder"):
        check_picture(Path(name))
    for fine in ("x.png", "x.PDF", "x"):
        check_picture(Path(fine))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
