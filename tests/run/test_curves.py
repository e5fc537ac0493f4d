"""Lesson 11: the histograms of lengths show the lengths."""

from pathlib import Path

import numpy as np
import pytest

from minigpt.run import curves


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
