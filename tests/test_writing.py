"""Where a result is to be written is looked at before the work."""

import os
from pathlib import Path

import pytest

from minigpt.errors import UserError
from minigpt.writing import check_apart, check_new, check_writable


@pytest.mark.parametrize("check", [check_writable, check_new])
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nowhere/out.json", "cannot be written: there is no folder nowhere"),
        (".", "is a folder"),
        ("precious/out.json", "cannot be written: Not a directory"),
        ("n" * 300, "cannot be written: File name too long"),
    ],
)
def test_what_cannot_be_written_is_a_sentence_and_nothing_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check, name: str, why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("precious").write_text("x")
    with pytest.raises(UserError, match=why):
        check(Path(name))
    check(Path("out.json"))
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_an_existing_file_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "out.json").write_text("x")
    check_writable(tmp_path / "out.json")
    with pytest.raises(UserError, match="already exists; choose another name"):
        check_new(tmp_path / "out.json")
    assert (tmp_path / "out.json").read_text() == "x"


def test_a_folder_that_may_only_be_read_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By trying: what the permissions say is not what a read-only file system does."""

    def refused(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(UserError, match="cannot be written: Read-only file system"):
        check_writable(tmp_path / "out.json")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with a name")
def test_a_pipe_is_not_opened_before_there_is_something_to_write(tmp_path: Path) -> None:
    """Opening one waits for its reader, and closing it tells the reader that all is written."""
    os.mkfifo(tmp_path / "pipe")
    check_writable(tmp_path / "pipe")


def test_a_result_replaces_neither_what_is_read_nor_another_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("data.json").write_text("[]")
    Path("link.json").symlink_to("data.json")
    check_apart([None, Path("out.json"), Path("more.json")], ["builtin", "data.json"])
    for written in (["link.json"], [tmp_path / "data.json"], ["out.json", "./out.json"]):
        with pytest.raises(UserError, match="would replace a file that is read, or another result"):
            check_apart(map(Path, written), ["builtin", "data.json"])
