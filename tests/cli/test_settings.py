"""--config: options from a file."""

from pathlib import Path

import pytest

from minigpt import command
from minigpt.errors import UserError
from tests.cli.test_arguments import Options


def read(tmp_path: Path, text: str | bytes, *args: str, earlier: tuple[str, ...] = ()) -> Options:
    path = tmp_path / "settings.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return command.parse(Options, "prog", ["--config", str(path), *args], earlier)


def test_every_type_is_read_by_its_name_with_dashes_or_underscores(tmp_path):
    text = (
        'lr = 1e-3\nbatch-size = 8\ndata = ["a", "-b"]\nbetas = [0, 0.5]\ncolour = "grey"\ncompile = true\ntext = "x"'
    )
    for spelled in (text, text.replace("batch-size", "batch_size"), "\ufeff" + text, text.replace("\n", "\r\n")):
        options = read(tmp_path, spelled)
        assert (options.lr, options.batch_size, options.data, options.betas) == (1e-3, 8, ("a", "-b"), (0.0, 0.5))
        assert (options.color, options.compile, options.text) == ("gray", True, "x")
    assert read(tmp_path, "").batch_size == 16
    assert read(tmp_path, 'lr = 3\ndata = "one"').data == ("one",)
    assert read(tmp_path, 'files = ["a"]').files == (Path("a"),)


def test_saved_options_give_way_to_the_file_and_the_file_to_the_command_line(tmp_path):
    saved = ("--lr", "1", "--batch-size", "1", "--text", "saved")
    options = read(tmp_path, "lr = 2\nbatch-size = 2\ncompile = true", "--lr", "3", "--no-compile", earlier=saved)
    assert (options.lr, options.batch_size, options.text, options.compile) == (3.0, 2, "saved", False)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("learning-rate = 1", "there is no option learning-rate; here it is called lr."),
        ("batch-sise = 1", "there is no option batch-sise; did you mean batch-size?"),
        ("zzz = 1", "there is no option zzz; prog --help lists the options."),
        ("[train]\nlr = 1", "[train] is a table; options stand at the top of the file, without tables."),
        ('lr = "1"', "lr is '1'; it takes a number."),
        ("lr = true", "lr is true; it takes a number."),
        ("lr = [1]", "lr is [1]; it takes a number."),
        ("batch_size = 1.5", "batch_size is 1.5; it takes a whole number."),
        ("batch-size = true", "batch-size is true; it takes a whole number."),
        ('compile = "yes"', "compile is 'yes'; it takes true or false."),
        ("text = 5", "text is 5; it takes text, in quotes."),
        ("text = 2026-01-01", "text is 2026-01-01; it takes text, in quotes."),
        ("text = {a = 1}", "text is a table; it takes text."),
        ('color = "red"', "color is 'red'; it takes one of auto, gray."),
        ("data = []", "data has 0 values; it takes at least one value."),
        ("data = [1]", "data is [1]; it takes a list, each text."),
        ("betas = [0.9]", "betas has 1 values; it takes 2 values."),
        ("batch-size = 1\nbatch_size = 2", "batch-size and batch_size are the same option; keep one of them."),
        ('config = "other.toml"', "config names another file; the options of only one are read."),
    ],
    ids=lambda text: text.split(";")[0],
)  # fmt: skip
def test_what_does_not_fit_is_a_sentence_that_names_the_file(tmp_path, text, end):
    with pytest.raises(UserError) as error:
        read(tmp_path, text)
    assert str(error.value) == f"{tmp_path / 'settings.toml'}: {end}"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("lr = 1\nbatch-size 3\n", "line 2"),
        ("lr = 1\nlr = 2\n", "line 2"),
        ('lr = 1\ntext = "unclosed', "line 2"),
        ("text = 1\n# caf\xe9".encode("latin-1"), "line 2 is not UTF-8"),
        ("lr = 1".encode("utf-16"), "line 1 is not UTF-8"),
        (b"lr = 1\n\x00", "line 2"),
        ("data = " + "[" * 5000, "is not TOML"),
    ],
)  # fmt: skip
def test_a_broken_file_is_named_with_the_line(tmp_path, text, part):
    with pytest.raises(UserError, match=r"settings\.toml") as error:
        read(tmp_path, text)
    assert part in str(error.value)


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=rf"--config {name} cannot be read: "):
        command.parse(Options, "prog", ["--config", name])
