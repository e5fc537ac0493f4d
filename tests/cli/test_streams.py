"""A command's work does not depend on who reads what it prints."""

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from minigpt import command
from minigpt.cli import streams
from tests.cli.test_arguments import Options

ROOT = Path(__file__).parents[2]


@pytest.fixture
def no_reader():
    """A text stream into a pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as stream:
        yield stream
        streams.discard(stream)


def test_a_stream_that_goes_on_swallows_everything_after_the_reader_went(no_reader):
    lasting = streams.Lasting(no_reader)
    for _ in range(3):
        print("x" * 100_000, file=lasting, flush=True)
    assert isinstance(lasting.error, BrokenPipeError)
    assert lasting.error.filename == "standard output"
    no_reader.close()  # and nothing is raised at the end of the process


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_stream_that_goes_on_does_so_on_a_full_disk():
    with open("/dev/full", "w") as full:
        lasting = streams.Lasting(full)
        print("x", file=lasting, flush=True)
        print("x", file=lasting, flush=True)
    assert lasting.error.errno == errno.ENOSPC


def test_a_stream_that_goes_on_is_otherwise_the_stream_itself(tmp_path):
    with open(tmp_path / "out", "w", encoding="utf-8") as stream:
        lasting = streams.Lasting(stream)
        assert (lasting.encoding, lasting.isatty(), lasting.fileno()) == ("utf-8", False, stream.fileno())
        assert lasting.write("ạ") == 1
    assert (tmp_path / "out").read_text("utf-8") == "ạ"
    assert lasting.error is None


def status_of(monkeypatch: pytest.MonkeyPatch, stdout: io.TextIOBase, goes_on: bool, done: list[str]) -> int:
    """The exit status of a command that prints much and then does its work, with this standard output."""

    def main(options: Options) -> None:
        print("ạ" * 100_000, flush=True)
        done.append("work")

    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr(sys, "__stdout__", stdout)
    monkeypatch.setattr(sys, "argv", ["prog"])
    try:
        command.run(Options, main, "prog", goes_on=goes_on)
    except SystemExit as stop:
        return stop.code
    return 0


@pytest.mark.parametrize(("goes_on", "work"), [(False, []), (True, ["work"])])
def test_a_reader_that_goes_away_ends_a_command_with_141_after_its_work_if_that_leaves_files(
    monkeypatch, capsys, no_reader, goes_on, work
):
    done: list[str] = []
    assert status_of(monkeypatch, no_reader, goes_on, done) == 141
    assert done == work
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("goes_on", [False, True])
def test_output_that_cannot_be_written_is_a_sentence(monkeypatch, capsys, goes_on):
    with open("/dev/full", "w") as full:
        assert status_of(monkeypatch, full, goes_on, []) == 2
    assert capsys.readouterr().err.startswith("prog: cannot write to ")


def test_a_ctrl_c_outside_a_run_is_acknowledged(monkeypatch, capsys):
    def main(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "argv", ["prog"])
    with pytest.raises(SystemExit) as ended:
        command.run(Options, main, "prog")
    assert ended.value.code == 130
    assert capsys.readouterr().err == "prog: interrupted.\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_what_the_terminal_cannot_show_becomes_a_question_mark(monkeypatch, encoding):
    shown = io.BytesIO()
    assert status_of(monkeypatch, io.TextIOWrapper(shown, encoding=encoding), False, []) == 0
    assert shown.getvalue().strip() == b"?" * 100_000


def test_input_that_is_not_text_is_read_all_the_same(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\xff"), encoding="utf-8"))
    streams.prepare()
    assert sys.stdin.read() == "a\ufffd"


CLOSED = """
import os, sys
from minigpt.cli import streams
streams.prepare()
print("out"); print("err", file=sys.stderr); assert sys.stdin.read() == ""
file = open("file", "w")
os.system("true >&2 || echo child > failed")
assert file.fileno() > 2, file.fileno()
os.write(1, b"a library's"); os.write(2, b"a library's")
"""


def test_closed_streams_are_empty_ones_and_no_file_takes_their_numbers(tmp_path):
    """Or what a library prints would end up in a checkpoint."""
    code = [sys.executable, "-c", CLOSED]
    shell = ["sh", "-c", '"$@" <&- >&- 2>&-', "sh", *code]
    done = subprocess.run(shell, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=120)
    assert done.returncode == 0
    assert (tmp_path / "file").read_bytes() == b""
    assert not (tmp_path / "failed").exists()
