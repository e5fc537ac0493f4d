"""A vocabulary of GPT-2's kind, whoever wrote its files: ids as `tokenizers` gives them, or a refusal."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from minigpt.errors import UserError
from minigpt.text.tokenizer import CONTROL, GPT2Tokenizer, load_tokenizer

TEXTS = {
    "German": "Der schnelle braune Fuchs springt über den faulen Hund, und der Hund schläft ruhig weiter. Größe!\n" * 3,
    "Vietnamese": "Xin chào các bạn, hôm nay trời đẹp quá. Các bạn có khỏe không? Hôm nay là ngày đẹp trời.\n" * 3,
}
WORDS = [*" ".join(TEXTS.values()).split(), "\n", "  ", "!!", "Hà Nội", "[PAD]", "</s>", *CONTROL, "漢", "ß", "1234"]
ANY_TEXT = st.lists(st.sampled_from(WORDS) | st.sampled_from("aäbß ịọ\n\t!?12"), max_size=12).map(
    lambda parts: "".join(parts if len(parts) % 2 else (f"{part} " for part in parts))
)


def trained(language: str, first: list[str], last: list[str]) -> Tokenizer:
    """A byte-level BPE of a few merges, with special tokens before and behind the others."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=256 + 60, special_tokens=first, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS[language].splitlines(), trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in last])
    return tokenizer


def write(folder: Path, tokenizer: Tokenizer, kind: str) -> Path:
    """Its files: a tokenizer.json with the merges as pairs or as text, or vocab.json, merges.txt, added_tokens.json."""
    folder.mkdir(exist_ok=True)
    values = json.loads(tokenizer.to_str())
    model = values["model"]
    pairs = [" ".join(pair) for pair in model["merges"]]
    if kind == "two files":
        (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
        (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *pairs]) + "\n", encoding="utf-8")
        added = {token["content"]: token["id"] for token in values["added_tokens"]}
        (folder / "added_tokens.json").write_text(json.dumps(added))
    else:
        model["merges"] = pairs if kind == "text" else model["merges"]
        (folder / "tokenizer.json").write_text(json.dumps(values), encoding="utf-8")
    return folder


def without_specials(text: str, tokenizer: Tokenizer) -> bool:
    """transformers finds special tokens in a text, minigpt never does: the one difference that is wanted."""
    return not any(token.content in text for token in tokenizer.get_added_tokens_decoder().values() if token.special)


@pytest.fixture(scope="module", params=["pairs", "text", "two files"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


LAYOUTS = {
    "last": ([], ["<|endoftext|>"]),
    "first": (["<|endoftext|>"], []),
    "between": (["<s>", "<pad>", "<|endoftext|>", "</s>", "<mask>"], ["[PAD]", "<|im_start|>", "<|im_end|>"]),
    "absent": ([], ["[PAD]"]),
}


@pytest.mark.parametrize("language", TEXTS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_ids_are_those_of_tokenizers_wherever_the_special_tokens_are(
    language: str, layout: str, kind: str, tmp_path: Path
) -> None:
    theirs = trained(language, *LAYOUTS[layout])
    ours = load_tokenizer(write(tmp_path, theirs, kind))
    for text in [*TEXTS.values(), "", " ", "a\n\n b  c", "漢字 1234 Ünïcödé"]:
        assert ours.encode(text) == theirs.encode(text).ids
        assert ours.decode(ours.encode(text)) == text
    for token in theirs.get_added_tokens_decoder().values():
        assert ours.control[token.content] == theirs.token_to_id(token.content)
        assert ours.decode([ours.control[token.content]]) == token.content
    size = theirs.get_vocab_size()
    lacking = [token for token in CONTROL if theirs.token_to_id(token) is None]
    assert [ours.control[token] for token in lacking] == [size + i for i in range(len(lacking))], "after all others"
    assert (len(ours), ours.appended) == (size + len(lacking), len(lacking))


@settings(max_examples=150)
@given(text=ANY_TEXT)
def test_the_ids_of_any_text_are_those_of_tokenizers(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Also where ids are not in the order of merging, and where a word was added that is found before any merge."""
    theirs, ours = renumbered(tmp_path_factory)
    if without_specials(text, theirs):
        assert ours.encode(text) == theirs.encode(text).ids
    assert ours.decode(ours.encode(text)) == text
    assert set(ours.encode(text)).isdisjoint(ours.control.values())


def renumbered(factory: pytest.TempPathFactory, made: list = []) -> tuple[Tokenizer, GPT2Tokenizer]:  # noqa: B006
    """A vocabulary with ids in any order and three added words, one of which is also an ordinary token."""
    if not made:
        values = json.loads(trained("Vietnamese", ["<|endoftext|>"], ["</s>"]).to_str())
        vocab = values["model"]["vocab"]
        ids = sorted(vocab.values())
        values["model"]["vocab"] = {token: ids[(7 * i + 3) % len(ids)] for i, token in enumerate(vocab)}
        values["added_tokens"][0]["id"] = values["model"]["vocab"]["<|endoftext|>"]
        theirs = Tokenizer.from_str(json.dumps(values))
        theirs.add_tokens([AddedToken(word, normalized=False) for word in ("Hà Nội", "Hà", "!")])
        folder = write(factory.mktemp("renumbered"), theirs, "pairs")
        made += [theirs, load_tokenizer(folder)]
    return tuple(made)


def test_another_end_of_text_token_is_the_one_that_the_folder_names(tmp_path: Path) -> None:
    theirs = trained("German", ["<s>", "</s>"], [])
    write(tmp_path, theirs, "pairs")
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": {"content": "</s>"}, "bos_token": "<s>"}')
    ours = load_tokenizer(tmp_path)
    assert ours.control["<|endoftext|>"] == ours.control["</s>"] == 1
    assert ours.decode([1]) == "</s>"
    assert ours.ends == (1,)


def test_ends_are_control_tokens_that_the_folder_s_configs_name(tmp_path: Path) -> None:
    """A vocabulary's 50256 may be a word like any other: GPT-2's config.json is copied without a thought."""
    ours = load_tokenizer(write(tmp_path, trained("German", [], ["<|endoftext|>", "<|im_end|>"]), "pairs"))
    (tmp_path / "config.json").write_text('{"eos_token_id": 300}')
    (tmp_path / "generation_config.json").write_text(
        json.dumps({"eos_token_id": [ours.control["<|im_end|>"], 9, None]})
    )
    assert load_tokenizer(tmp_path).ends == (ours.control["<|endoftext|>"], ours.control["<|im_end|>"])


def test_ids_that_were_added_after_the_vocabulary_are_read_and_not_counted(gpt2_folder: Path, tmp_path: Path) -> None:
    added = {"[PAD]": 50257, "<|im_start|>": 50258, "<|im_end|>": 50259}
    for name in ("vocab.json", "merges.txt"):
        (tmp_path / name).symlink_to(gpt2_folder / name)
    (tmp_path / "added_tokens.json").write_text(json.dumps(added))
    first = load_tokenizer(tmp_path).control
    assert {name: first[name] for name in added} == added
    assert first["<|sep|>"] == 50260
    (tmp_path / "added_tokens.json").unlink()
    flags = {str(number): {"content": name, "special": False} for name, number in added.items()}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": flags, "pad_token": "[PAD]"}))
    second = load_tokenizer(tmp_path)
    assert second.control == first, "a control token is one whatever its flags say"
    assert not set(second.encode("[PAD]<|im_start|>")) & set(added.values())


Change = Callable[[dict], object]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t["model"].update(type="WordPiece"), "byte-level BPE: model.type is 'WordPiece'"),
        (lambda t: t["model"].update(type="Unigram"), "model.type is 'Unigram'"),
        (lambda t: t["model"].update(byte_fallback=True), "model.byte_fallback is True"),
        (lambda t: t["model"].update(end_of_word_suffix="</w>"), "model.end_of_word_suffix is '</w>'"),
        (lambda t: t.update(pre_tokenizer={"type": "Whitespace"}), "pre_tokenizer.type is 'Whitespace'"),
        (lambda t: t.update(pre_tokenizer=None), "pre_tokenizer.type is None"),
        (lambda t: t["pre_tokenizer"].update(add_prefix_space=True), "pre_tokenizer.add_prefix_space is True"),
        (lambda t: t["pre_tokenizer"].update(use_regex=False), "pre_tokenizer.use_regex is False"),
        (lambda t: t.update(normalizer={"type": "NFC"}), "normalizer is {'type': 'NFC'}"),
        (lambda t: t["model"]["vocab"].pop("a"), "the token 'a' has no id"),
        (lambda t: t["model"]["vocab"].update(a=-1), "'a' has the id -1"),
        (lambda t: t["model"]["vocab"].update(a=1.5), "'a' has the id 1.5"),
        (lambda t: t["model"]["vocab"].update(a=t["model"]["vocab"]["b"]), "repeats an id"),
        (lambda t: t["model"]["vocab"].update(a=10**9), "repeats an id, or leaves out more ids than it has tokens"),
        (lambda t: t["model"]["merges"].reverse(), "the merges are not those of a trained BPE"),
        (lambda t: t["model"]["merges"].append(["a", "b", "c"]), "is not in GPT-2's format"),
        (lambda t: t.pop("model"), "model.type is None"),
        (lambda t: t["added_tokens"][0].update(id=5), "disagree: one adds the token '<|endoftext|>' as 5"),
        (
            lambda t: t["added_tokens"].append({"id": 900, "content": "dog", "special": False, "lstrip": True}),
            "the added token 'dog' takes the spaces around it",
        ),
    ],
)
def test_a_tokenizer_json_of_another_kind_is_refused_by_what_it_says(change: Change, said: str, tmp_path: Path) -> None:
    values = json.loads(trained("German", ["<|endoftext|>"], []).to_str())
    change(values)
    (tmp_path / "tokenizer.json").write_text(json.dumps(values))
    with pytest.raises(UserError) as caught:
        load_tokenizer(tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_normalizer_of_tokenizers_own_is_refused(tmp_path: Path) -> None:
    theirs = trained("German", ["<|endoftext|>"], [])
    theirs.normalizer = normalizers.Lowercase()
    with pytest.raises(UserError, match=r"normalizer is \{'type': 'Lowercase'\}"):
        load_tokenizer(write(tmp_path, theirs, "pairs"))


def test_a_tokenizer_that_starts_each_text_with_a_token_is_used_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = trained("German", ["<|endoftext|>"], [])
    theirs.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", pair="$A $B", special_tokens=[("<|endoftext|>", 0)]
    )
    ours = load_tokenizer(write(tmp_path, theirs, "pairs"))
    assert theirs.encode("Hund").ids == [0, *ours.encode("Hund")]
    assert "puts special tokens around each text; minigpt does not" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("tokenizer.json", "version https://git-lfs.github.com/spec/v1\noid sha256:ab\n", "is a Git LFS pointer"),
        ("vocab.json", "version https://git-lfs.github.com/spec/v1\noid sha256:ab\n", "is a Git LFS pointer"),
        ("merges.txt", "version https://git-lfs.github.com/spec/v1\noid sha256:ab\n", "is a Git LFS pointer"),
        ("vocab.json", "<!DOCTYPE html>\n<html>404</html>", "is a web page"),
        ("tokenizer_config.json", '{"add_prefix_space": true}', "add_prefix_space is true"),
        (
            "tokenizer_config.json",
            '{"tokenizer_class": "CLIPTokenizer"}',
            "tokenizer_class is 'CLIPTokenizer'; without",
        ),
        ("tokenizer_config.json", '{"added_tokens_decoder": {"x": {"content": "a"}}}', "not in GPT-2's format"),
        ("tokenizer_config.json", '{"added_tokens_decoder": {"3": {}}}', "not in GPT-2's format"),
        ("added_tokens.json", '{"<x>": 3}', "files in .* disagree: one adds the token '<x>' as 3"),
        ("added_tokens.json", '{"<x>": "3"}', "'<x>' has the id '3'"),
        ("added_tokens.json", '["x"]', "is not a JSON object"),
        ("spiece.model", "", "needs it|SentencePiece"),
    ],
)
def test_a_folder_with_a_wrong_file_is_refused_in_words(
    name: str, content: str, said: str, gpt2_folder: Path, tmp_path: Path
) -> None:
    for other in ("vocab.json", "merges.txt") if name != "spiece.model" else ():
        (tmp_path / other).write_bytes((gpt2_folder / other).read_bytes())
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=said):
        load_tokenizer(tmp_path)
