"""The file of tokens beside a text: made once, again when text or tokenizer change, whole or not there."""

import os
from pathlib import Path
from threading import Barrier, Thread

import numpy as np
import pytest

from minigpt.errors import UserError
from minigpt.text import token_cache
from minigpt.text.token_cache import byte_lengths, tokens_of
from minigpt.text.tokenizer import ByteTokenizer, Tokenizer, load_tokenizer


@pytest.fixture
def book(tmp_path: Path) -> Path:
    (tmp_path / "book.txt").write_text("Một ngày. One day.\n")
    return tmp_path / "book.txt"


def caches(book: Path) -> list[Path]:
    return sorted(path for path in book.parent.iterdir() if path != book)


def forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_cache, "encode", lambda *_: pytest.fail("encoded again"))


def test_the_tokens_are_those_of_the_text_after_an_end_of_text(book: Path, gpt2_tokenizer: Tokenizer) -> None:
    for tokenizer, kind in ((load_tokenizer("bytes"), np.uint16), (gpt2_tokenizer, np.uint16)):
        ids = tokens_of(str(book), tokenizer)
        assert ids.tolist() == [tokenizer.control["<|endoftext|>"], *tokenizer.encode(book.read_text())]
        assert isinstance(ids, np.memmap)
        assert ids.dtype == kind
        assert byte_lengths(tokenizer)[ids].sum() == len(book.read_bytes())


def test_a_text_is_encoded_once_and_says_how_fast(
    book: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    first = tokens_of(str(book), ByteTokenizer())
    assert f"encoded {book}: 22 bytes, 23 tokens, " in capsys.readouterr().out
    forbid(monkeypatch)
    monkeypatch.chdir(book.parent)
    assert tokens_of("book.txt", ByteTokenizer()).tolist() == first.tolist()
    assert not capsys.readouterr().out


def test_a_changed_text_or_tokenizer_is_encoded_again(book: Path) -> None:
    tokens_of(str(book), ByteTokenizer())
    book.write_text("Another text.")
    assert len(tokens_of(str(book), ByteTokenizer())) == 14

    class Shifted(ByteTokenizer):
        def __init__(self) -> None:
            super().__init__()
            self.control = {name: i + 1 for name, i in self.control.items()}

    assert tokens_of(str(book), Shifted())[0] == 257


def test_an_encoding_that_is_interrupted_leaves_nothing(book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ByteTokenizer, "_encode", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        tokens_of(str(book), ByteTokenizer())
    assert caches(book) == []


def test_two_that_encode_at_once_both_get_the_tokens(book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have found no file and started before either has finished."""
    both, encode, found = Barrier(2), token_cache.encode, []

    def at_once(*arguments: object) -> None:
        both.wait(timeout=30)
        encode(*arguments)
        both.wait(timeout=30)

    monkeypatch.setattr(token_cache, "encode", at_once)
    threads = [Thread(target=lambda: found.append(tokens_of(str(book), ByteTokenizer()).tolist())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[256, *book.read_bytes()]] * 2
    assert len(caches(book)) == 1


def test_a_folder_that_cannot_be_written_to_is_left_alone(
    book: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    aside, real = tmp_path_factory.mktemp("cache"), Path.open

    def read_only(path: Path, mode: str = "r", *more: object, **others: object) -> object:
        if path.parent == book.parent and mode == "xb":
            raise PermissionError(13, "Permission denied")
        return real(path, mode, *more, **others)

    monkeypatch.setenv("XDG_CACHE_HOME", str(aside))
    monkeypatch.setattr(Path, "open", read_only)
    first = tokens_of(str(book), ByteTokenizer()).tolist()
    assert caches(book) == []
    forbid(monkeypatch)
    assert tokens_of(str(book), ByteTokenizer()).tolist() == first
    assert len(os.listdir(aside / "minigpt")) == 1


def test_a_text_of_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(UserError, match="holds no text"):
        tokens_of(str(tmp_path / "empty.txt"), ByteTokenizer())
    assert [path.name for path in tmp_path.iterdir()] == ["empty.txt"]


@pytest.mark.parametrize("left", [0, 1, 60, -2, -1])
def test_tokens_that_were_cut_short_are_written_again(book: Path, left: int) -> None:
    whole = tokens_of(str(book), ByteTokenizer()).tolist()
    [file] = caches(book)
    os.truncate(file, left if left >= 0 else file.stat().st_size + left)
    assert tokens_of(str(book), ByteTokenizer()).tolist() == whole


def test_a_text_with_as_long_a_name_as_there_may_be_is_encoded_beside_it(tmp_path: Path) -> None:
    book = tmp_path / ("ệ" * 83 + ".txt")
    book.write_text("A text.")
    assert len(tokens_of(str(book), ByteTokenizer())) == 8
    assert len(caches(book)) == 1


def test_a_user_without_a_home_can_encode_a_text(book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert len(tokens_of(str(book), ByteTokenizer())) == 23


def test_where_tokens_can_be_written_is_asked_for(book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(path: Path, *_: object, **others: object) -> object:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", read_only)
    monkeypatch.setattr(token_cache, "text_sha256", lambda name: name)
    with pytest.raises(UserError, match=r"cannot be written to .*: Permission denied\. Set XDG_CACHE_HOME"):
        tokens_of(str(book), ByteTokenizer())
