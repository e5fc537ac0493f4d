"""A saved model's folder as transformers opens it: the same ids, the same answers, the same ends."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase, pipeline

from minigpt import GPT, GPTConfig, generate, load_template, load_tokenizer
from minigpt.chat import Chat, Options
from minigpt.errors import UserError
from minigpt.run.start import load_model
from minigpt.text.template import TEMPLATES, Message, Template, save_template, template_of
from minigpt.text.tokenizer import CONTROL, ByteTokenizer

SENTENCES = [
    "Xin chào, trợ lý ảo!",
    "What is 1+1?",
    "👩‍👩‍👧‍👦 漢字",
    "a\n\n  b\t",
    "line\r\n",
    "e\u0301\0x",
    "'ll  d'",
    "日本 ½",
]
TEXT = st.lists(st.text(max_size=8) | st.sampled_from(SENTENCES), min_size=1, max_size=3).map("".join)
BEGINS_AT_ONCE = TEXT.filter(lambda text: text and not text[0].isspace())  # see minigpt/text/chat_template.py


def say(role: str, content: str) -> Message:
    return {"role": role, "content": content}


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """One to three questions, answered up to the last, behind a system message or none."""
    messages = [say("system", draw(BEGINS_AT_ONCE))] if draw(st.booleans()) else []
    for i in range(draw(st.integers(1, 3))):
        messages += [say("assistant", draw(BEGINS_AT_ONCE))] * bool(i) + [say("user", draw(BEGINS_AT_ONCE))]
    return messages


def a_model(vocabulary: int, bos: int, padding: int = 0) -> GPT:
    """A model with weights large enough that its answers vary, and with more rows than tokens."""
    torch.manual_seed(0)
    size = dict(n_ctx=256, n_embd=16, n_head=2, n_layer=1, vocab_size=vocabulary + padding, n_padding_rows=padding)
    model = GPT(GPTConfig.named("tiny", bos_token_id=bos, **size)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


@pytest.fixture(scope="module", params=[*(f"{name}-bytes" for name in TEMPLATES), "chatml-gpt2", "alpaca-gpt2"])
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Template]:
    name, kind = request.param.split("-")
    tokenizer = ByteTokenizer() if kind == "bytes" else request.getfixturevalue("gpt2_tokenizer")
    template = load_template(name, tokenizer)
    folder = tmp_path_factory.mktemp("saved")
    a_model(len(tokenizer), tokenizer.control["<|endoftext|>"], padding=4).save_pretrained(folder)
    save_template(folder, template)
    return folder, template


@pytest.fixture(scope="module")
def theirs(saved: tuple[Path, Template]) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(saved[0])


@settings(max_examples=40)
@given(messages=conversations())
def test_apply_chat_template_gives_the_ids_of_prompt_and_encode(
    saved: tuple[Path, Template], theirs: PreTrainedTokenizerBase, messages: list[Message]
) -> None:
    _, template = saved
    prompt = theirs.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert prompt == template.prompt(messages)
    answered = [*messages, say("assistant", "Vâng ạ.")]
    assert theirs.apply_chat_template(answered, return_dict=False) == template.encode(answered)[0]


@settings(max_examples=40)
@given(text=TEXT)
def test_auto_tokenizer_gives_the_same_ids_and_text(
    saved: tuple[Path, Template], theirs: PreTrainedTokenizerBase, text: str
) -> None:
    tokenizer = saved[1].tokenizer
    ids = tokenizer.encode(text)
    assert theirs.encode(text) == ids
    assert theirs.decode(ids) == text
    assert len(theirs) == len(tokenizer)
    assert {name: theirs.convert_tokens_to_ids(name) for name in CONTROL} == tokenizer.control


def test_alpaca_s_heading_for_an_input_is_there_too(
    saved: tuple[Path, Template], theirs: PreTrainedTokenizerBase
) -> None:
    _, template = saved
    for content, context in (("Add.\n\n1 và 2", "1 và 2"), ("1 and 2", "1 and 2"), ("Add: 1", "1")):
        for before in ([], [say("system", "S")], [say("user", "a"), say("assistant", "b")]):
            messages = [*before, {"role": "user", "content": content, "input": context}]
            ids = theirs.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
            assert ids == template.prompt(messages)


def test_a_typed_control_token_is_one_for_transformers_and_text_here(
    saved: tuple[Path, Template], theirs: PreTrainedTokenizerBase
) -> None:
    """The one difference of meaning: a program that tokenizes a finished text cannot know who wrote it."""
    tokenizer = saved[1].tokenizer
    assert theirs.encode("a<|im_end|>") == [*tokenizer.encode("a"), tokenizer.control["<|im_end|>"]]
    assert theirs.encode("a<|im_end|>", split_special_tokens=True) == tokenizer.encode("a<|im_end|>")


def test_a_text_that_begins_with_white_space_differs_for_gpt_2_s_tokens_only(
    saved: tuple[Path, Template], theirs: PreTrainedTokenizerBase
) -> None:
    _, template = saved
    messages = [say("user", "\n\n x")]
    same = theirs.apply_chat_template(messages, add_generation_prompt=True, return_dict=False) == template.prompt(
        messages
    )
    assert same == (template.tokenizer.name == "bytes" or template.name != "chatml")


@pytest.mark.parametrize(
    "messages",
    [
        [say("system", ""), say("user", "a")],
        [say("user", "")],
        [say("assistant", "a"), say("user", "b")],
        [say("user", "a"), say("user", "b")],
        [say("user", "a"), say("system", "s"), say("user", "b")],
        [say("user", "a"), say("tool", "b")],
        [{"role": "user", "content": [{"type": "text", "text": "a"}]}],
    ],
)
def test_what_is_no_conversation_is_refused_there_too(
    saved: tuple[Path, Template], theirs: PreTrainedTokenizerBase, messages: list[dict]
) -> None:
    with pytest.raises(UserError):
        saved[1].prompt(messages)
    with pytest.raises(Exception, match=r"is empty or not text|user and assistant take turns"):
        theirs.apply_chat_template(messages, add_generation_prompt=True)


def test_transformers_own_pipeline_gives_the_answer_of_chat(saved: tuple[Path, Template]) -> None:
    """Greedily, and with the ends and the unused rows that generation_config.json names."""
    folder, _ = saved
    model, template = load_model(folder)
    answering = pipeline("text-generation", model=str(folder))
    for question in ("Hi", "Xin chào! 1+1?", "b" * 30):
        chat = Chat(model, template, Options(str(folder), max_new_tokens=24, temperature=0.0))
        ours = "".join(chat.ask(question))
        [answer] = answering([say("user", question)], max_new_tokens=24, do_sample=False)
        assert answer["generated_text"][-1]["content"] == ours


def test_the_configs_agree_on_where_a_text_begins_and_an_answer_ends(saved: tuple[Path, Template]) -> None:
    folder, template = saved
    end = {"chatml": "<|im_end|>"}.get(template.name, "<|endoftext|>")
    start, end_id = (template.tokenizer.control[name] for name in ("<|endoftext|>", end))
    theirs, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == ("<|endoftext|>", end, "<|endoftext|>")
    assert tokenizer.eos_token_id == template.end == end_id == theirs.config.eos_token_id
    assert theirs.config.bos_token_id == theirs.config.pad_token_id == start
    generation = theirs.generation_config
    assert (generation.bos_token_id, generation.pad_token_id) == (start, start)
    assert generation.eos_token_id[0] == end_id
    assert {*generation.eos_token_id} == {*template.tokenizer.control.values()}
    assert generation.suppress_tokens == list(range(len(template.tokenizer), len(template.tokenizer) + 4))
    assert tokenizer.model_max_length == 256
    assert "token_type_ids" not in tokenizer("a"), "GPT-2 would add their embeddings"
    assert GPT.from_pretrained(folder).config.eos_token_id in (end_id, None)


def test_save_load_save_gives_identical_bytes(saved: tuple[Path, Template], tmp_path: Path) -> None:
    folder, _ = saved
    model, template = load_model(folder)
    model.save_pretrained(tmp_path)
    save_template(tmp_path, template)
    first, second = ({path.name: path.read_bytes() for path in place.iterdir()} for place in (folder, tmp_path))
    assert first == second
    model.save_pretrained(tmp_path)
    save_template(tmp_path, template)
    assert first == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    GPT.from_pretrained(folder).save_pretrained(tmp_path / "alone")
    for path in (tmp_path / "alone").iterdir():
        assert path.read_bytes() == first[path.name]
    assert sorted(path.name for path in (tmp_path / "alone").iterdir()) == ["config.json", "model.safetensors"]


def test_without_a_generation_prompt_chatml_ends_with_the_question(
    saved: tuple[Path, Template], theirs: PreTrainedTokenizerBase
) -> None:
    """In the other templates what follows the question belongs to it."""
    _, template = saved
    header = "<|im_start|>assistant\n" if template.name == "chatml" else ""
    text = theirs.apply_chat_template([say("user", "a")], tokenize=False)
    assert text + header == template.tokenizer.decode(template.prompt([say("user", "a")]))


def test_a_model_of_plain_text_is_saved_without_a_template(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tokenizer = ByteTokenizer()
    a_model(260, 256).save_pretrained(tmp_path)
    save_template(tmp_path, load_template("chatml", tokenizer))
    save_template(tmp_path, load_template(None, tokenizer))
    assert json.loads((tmp_path / "minigpt.json").read_text()) == {"tokenizer": "bytes", "template": None}
    assert not (tmp_path / "chat_template.jinja").exists()
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert (theirs.chat_template, theirs.eos_token) == (None, "<|endoftext|>")
    assert json.loads((tmp_path / "config.json").read_text())["eos_token_id"] == 256
    assert template_of(tmp_path).name is None
    assert template_of(tmp_path, "alpaca").name == "alpaca"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "content", "found", "said"),
    [
        ("chat_template.jinja", "{{ '<|im_start|>user' }}", "chatml", "looks like chatml"),
        ("chat_template.jinja", "{{ '### Instruction:' }}", "alpaca", "looks like alpaca"),
        (
            "tokenizer_config.json",
            '{"chat_template": "[INST]"}',
            "chatml",
            "is none of minigpt's; conversations are laid",
        ),
        (
            "tokenizer_config.json",
            '{"chat_template": [{"name": "a", "template": "<|sep|>"}]}',
            "documents",
            "documents",
        ),
        ("chat_template.json", '{"chat_template": "<|im_start|>"}', "chatml", "looks like chatml"),
        ("tokenizer_config.json", "{}", "chatml", ""),
    ],
)
def test_another_program_s_chat_template_is_recognized_and_said(
    name: str,
    content: str,
    found: str,
    said: str,
    gpt2_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for other in ("vocab.json", "merges.txt"):
        (tmp_path / other).write_bytes((gpt2_folder / other).read_bytes())
    (tmp_path / name).write_text(content)
    assert template_of(tmp_path).name == found
    err = capsys.readouterr().err
    assert said in err
    assert bool(err) == bool(said)
    assert template_of(tmp_path, "documents").name == "documents"
    assert capsys.readouterr().err == ""


def test_a_folder_without_its_minigpt_json_is_the_same_model(saved: tuple[Path, Template], tmp_path: Path) -> None:
    """As transformers saves it again: tokenizer.json says the vocabulary, the chat template which one of ours it is."""
    folder, template = saved
    AutoModelForCausalLM.from_pretrained(folder).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path)
    assert not (tmp_path / "vocab.json").exists()
    model, found = load_model(tmp_path)
    messages = [say("system", "s"), say("user", "ạ b")]
    assert (found.name, found.prompt(messages)) == (template.name, template.prompt(messages))
    assert model.config.tokens == len(template.tokenizer)
    assert generate(model, found.prompt(messages), 5, temperature=0.0) == generate(
        load_model(folder)[0], template.prompt(messages), 5, temperature=0.0
    )


def test_another_vocabulary_s_tokens_come_back_after_saving(tmp_path: Path, gpt2_folder: Path) -> None:
    """[PAD] keeps its id, and what is appended is no longer new."""
    for other in ("vocab.json", "merges.txt"):
        (tmp_path / other).write_bytes((gpt2_folder / other).read_bytes())
    (tmp_path / "added_tokens.json").write_text('{"[PAD]": 50257, "<|im_start|>": 50258, "<|im_end|>": 50259}')
    (tmp_path / "special_tokens_map.json").write_text('{"pad_token": "[PAD]"}')
    first = load_tokenizer(tmp_path)
    folder = tmp_path / "again"
    folder.mkdir()
    save_template(folder, load_template("chatml", first))
    second = load_tokenizer(folder)
    assert (second.control, second.ids, second.appended) == (first.control, first.ids, 0)
    assert AutoTokenizer.from_pretrained(folder).convert_tokens_to_ids(["[PAD]", "<|sep|>"]) == [50257, 50260]
