"""The conversation in the terminal."""

import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minigpt import GPT, GPTConfig, load_template, load_tokenizer
from minigpt.chat import Chat, Options, at_terminal
from minigpt.errors import UserError
from minigpt.text.examples import encode_within
from minigpt.text.records import Conversation
from minigpt.text.template import TEMPLATES, save_template
from tests.conftest import only_says_a, two_layers

BYTES = load_tokenizer("bytes")
# The command, with its standard input for controlling terminal: what makes Ctrl-C a signal.
IN_TERMINAL = """
import fcntl, runpy, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
runpy.run_module("minigpt.chat", run_name="__main__")
"""
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


def new_chat(n_ctx: int = 512, template: str = "chatml", **options: object) -> Chat:
    """A conversation with an untrained model."""
    torch.manual_seed(0)
    model = GPT(GPTConfig.named("tiny", n_ctx=n_ctx, n_embd=16, n_head=2, n_layer=1)).eval()
    return Chat(model, load_template(template, BYTES), Options(model="small", **{"seed": 0} | options))


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch):
    """`says("Hello!", 2)`: the model's next answers; an int instead of a text breaks the one before off there."""
    prompts: list[list[int]] = []

    def script(*answers: str | int | None) -> list[list[int]]:
        queue = list(answers)

        def stream(model, ids, max_new_tokens, sampling, **settings):
            prompts.append(ids)
            text = queue.pop(0)
            stop = queue.pop(0) if queue and isinstance(queue[0], int) else None
            for i, token in enumerate(BYTES.encode(text)[:max_new_tokens]):
                if i == stop:
                    raise KeyboardInterrupt
                yield token

        monkeypatch.setattr("minigpt.chat.stream", stream)
        return prompts

    return script


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """`typed(chat, "Hi", "/quit")`: what the terminal shows for these lines."""

    def run(chat: Chat, *lines: str | type) -> str:
        queue = list(lines)

        def read(prompt: str) -> str:
            line = queue.pop(0) if queue else EOFError
            if isinstance(line, type):
                raise line
            return line

        monkeypatch.setattr("builtins.input", read)
        at_terminal(chat)
        return capsys.readouterr().out

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder as a run leaves it."""
    two_layers().save_pretrained(tmp_path / "model")
    save_template(tmp_path / "model", load_template("chatml", BYTES))
    return tmp_path / "model"


@pytest.fixture
def piped(cli, monkeypatch: pytest.MonkeyPatch):
    """`piped(text, *options)`: the command with `text` as its standard input."""

    def call(text: str, *args: object):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode("utf-8", "surrogateescape"))))
        return cli("chat", *args)

    return call


@given(
    texts=st.lists(TEXT, min_size=1, max_size=8),
    system=st.one_of(st.just(""), TEXT),
    n_ctx=st.integers(200, 700),
    name=st.sampled_from(sorted(TEMPLATES)),
)
def test_a_prompt_begins_what_training_would_have_built(texts, system, n_ctx, name):
    """From the turns that are kept: the newest ones, with the system message, and no fewer than have to go."""
    chat = new_chat(n_ctx, name, system=system)
    chat.system = system
    roles = ["user", "assistant"] * len(texts)
    turns = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]
    turns = turns[: len(turns) - (len(turns) + 1) % 2]  # the user speaks last
    try:
        prompt, left_out = chat.prompt(chat.conversation(turns))
    except UserError:
        assert len(chat.template.prompt(chat.conversation(turns[-1:]))) >= n_ctx
        return
    kept = chat.conversation(turns[2 * left_out :])
    (row,) = encode_within(
        [Conversation([*kept, {"role": "assistant", "content": "Yes."}], "here", "kind")], chat.template, 10**6
    ).examples
    assert row.ids[: len(prompt)] == prompt
    assert row.supervised[: len(prompt) + 1] == [
        *row.supervised[: len(prompt)],
        True,
    ]  # and the answer's first token is next
    if left_out:
        longer = chat.conversation(turns[2 * left_out - 2 :])
        assert len(chat.template.prompt(longer)) + min(256, n_ctx // 4) > n_ctx


def test_the_model_reads_the_conversation_and_the_answer_joins_it(says):
    prompts = says("Xin chào 👋", "Minh")
    chat = new_chat()
    chat.system = "Be brief."
    assert "".join(chat.ask("I'm Minh.")) == "Xin chào 👋"
    assert "".join(chat.ask("Who am I?")) == "Minh"
    expected = chat.template.prompt(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "I'm Minh."},
            {"role": "assistant", "content": "Xin chào 👋"},
            {"role": "user", "content": "Who am I?"},
        ]
    )
    assert prompts[-1] == expected
    assert chat.meter == f"{len(expected) + 4} of 512 tokens"


def test_when_the_context_is_full_the_oldest_turns_go_and_the_system_message_stays(says):
    prompts = says(*["a" * 30] * 12)
    chat = new_chat(n_ctx=256)
    chat.system = "Stay."
    for i in range(12):
        list(chat.ask(f"question {i}"))
    read = BYTES.decode(prompts[-1])
    assert read.startswith("<|im_start|>system\nStay.")
    assert "question 11" in read
    assert "question 0" not in read
    assert len(prompts[-1]) + 64 <= 256
    assert len(chat.turns) == 24  # for /save and /undo nothing is lost
    left_out = 12 - read.count("question")
    assert f"no longer sees the first {left_out} of 12 questions" in chat.meter


def test_a_question_that_cannot_fit_is_refused_and_leaves_the_conversation_alone(says):
    says("Yes.")
    chat = new_chat(n_ctx=100)
    with pytest.raises(UserError, match="the context holds 100; make it shorter"):
        list(chat.ask("long " * 40))
    assert chat.turns == []
    assert "".join(chat.ask("Hi")) == "Yes."


def test_an_answer_says_when_it_was_cut():
    chat = new_chat(n_ctx=200, max_new_tokens=5)
    only_says_a(chat.model)
    assert "".join(chat.ask("Hi")) == "aaaaa"
    assert chat.meter.endswith("the answer was cut at --max-new-tokens")
    chat = new_chat(n_ctx=100, max_new_tokens=300)
    only_says_a(chat.model)
    list(chat.ask("Hi"))
    assert chat.meter == "100 of 100 tokens; the context is full, the answer was cut"


def test_the_same_seed_gives_the_same_conversation_and_another_seed_another():
    texts = {}
    for seed in (1, 1, 2):
        chat = new_chat(seed=seed, max_new_tokens=20)
        chat.model.ln_f.weight.data.zero_()  # every token as likely as any other, whatever was said before
        texts.setdefault(seed, []).append(["".join(chat.ask(text)) for text in ("Hi", "Hi")])
    assert texts[1][0] == texts[1][1]
    assert texts[1][0] != texts[2][0]
    assert texts[1][0][0] != texts[1][0][1]  # the second answer is not drawn with the first one's numbers


def test_ctrl_c_stops_the_answer_and_keeps_what_was_given(says, typed):
    says("Hello there!", 5, "Bye.")
    chat = new_chat()
    shown = typed(chat, "Hi", "Again", KeyboardInterrupt)
    assert "model> Hello (stopped)\n" in shown
    assert "model> Bye.\n" in shown
    assert "Ctrl-C stops an answer; /quit or Ctrl-D quits." in shown
    assert [turn["content"] for turn in chat.turns] == ["Hi", "Hello", "Again", "Bye."]


def test_an_answer_without_a_word_is_no_turn(says, typed):
    says("")
    chat = new_chat()
    assert "The answer is empty; the question is not kept" in typed(chat, "Hi")
    assert chat.turns == []


def test_control_characters_are_not_written_to_the_terminal(says, typed):
    says("\x1b[2Jred\x07\n\ttab")
    shown = typed(new_chat(), "Hi")
    assert "model> \ufffd[2Jred\ufffd\n\ttab\n" in shown


def test_the_commands(says, typed, tmp_path):
    prompts = says("One.", "Two.", "Three.")
    chat = new_chat()
    path = tmp_path / "talk.jsonl"
    shown = typed(
        chat, "/help", "", "/undo", f"/save {path}", "A", "/system Be brief.", "B", "/undo", "/system", "/quik",
        "/nothing-like-it", f"/save {path}", f"/save {path}", "/save", f"/save {tmp_path}", "/reset", " /usr/bin?",
        "/quit", "never read",
    )  # fmt: skip
    for line in (
        "/save FILE",
        "There is nothing to undo.",
        "There is nothing to save yet.",
        "Removed: B",
        "did you mean /quit?",
        "There is no command /nothing-like-it; /help lists",
        f"Saved as {path}.",
        "/save needs a file name.",
        f"{tmp_path} already exists",
        "Conversation cleared.",
    ):
        assert line in shown
    assert json.loads(path.read_text()) == {
        "messages": [{"role": "user", "content": "A"}, {"role": "assistant", "content": "One."}]
    }
    assert BYTES.decode(prompts[1]).startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nA<|im_end|>")
    assert BYTES.decode(prompts[2]).startswith("<|im_start|>user\n /usr/bin?<|im_end|>")


def test_lines_that_arrive_at_once_are_one_turn_and_a_command_among_them_is_done(says, typed, monkeypatch):
    """A slash that begins no command is text, of one line or several."""
    prompts = says("One.", "Two.", "Three.")
    arrived = iter([True, True, True, False, False, True, False])
    monkeypatch.setattr("minigpt.chat.more_has_arrived", lambda: next(arrived, False))
    chat = new_chat()
    shown = typed(chat, "a", "", "/etc/b\n", "/undo", "c\n\nd\n", "/e is a path", "f")
    assert "Removed: a\n\n/etc/b\n" in shown
    assert "There is no command /e; /help lists" in shown
    assert [turn["content"] for turn in chat.turns[::2]] == ["c\n\nd", "f"]
    assert len(prompts) == 3


def test_pasted_lines_that_begin_with_a_slash_are_a_question(says, typed):
    says("One.")
    chat = new_chat()
    typed(chat, "/etc/hosts\nWhat is it?")
    assert chat.turns[0]["content"] == "/etc/hosts\nWhat is it?"


def test_saving_never_replaces_a_file_that_was_there(says, tmp_path):
    says("One.")
    chat = new_chat()
    list(chat.ask("A"))
    precious = tmp_path / "precious"
    precious.write_text("x")
    with pytest.raises(UserError, match="already exists"):
        chat.run_command(f"/save {precious}")
    assert precious.read_text() == "x"


def test_a_line_in_is_a_line_out(piped, says, folder):
    """Commands and mistakes speak on standard error, and blank lines are no turns."""
    says("Two\nlines.", "Xin chào 👋")
    outcome = piped("Hi\n\n/system Be brief.\nMinh đây\r\n/sav\n", "--model", folder)
    assert outcome.status == 2
    assert outcome.out == "Two\\nlines.\nXin chào 👋\n"
    assert "The system message is set" in outcome.err
    assert "chat: There is no command /sav; did you mean /save?" in outcome.err


def test_a_script_ends_with_its_last_line_or_with_quit(piped, says, folder):
    says("One.", "Two.")
    assert piped("A\n/quit\nB\n", "--model", folder).out == "One.\n"
    assert piped("B", "--model", folder, "--system", "Be brief.").out == "Two.\n"


def test_a_line_that_does_not_fit_is_still_answered_by_a_line(piped, says, folder):
    says("One.")
    outcome = piped(f"{'long ' * 50}\nA\n", "--model", folder)
    assert outcome.status == 2
    assert outcome.out == "\nOne.\n"
    assert "the context holds 64" in outcome.err


def test_bytes_that_are_no_text_do_not_end_it(piped, says, folder):
    says("One.")
    outcome = piped("\udcff\n", "--model", folder)
    assert outcome.status == 0, outcome.err
    assert outcome.out == "One.\n"


def test_a_model_that_was_never_taught_conversations_is_refused(piped, tmp_path, gpt2_folder):
    """As the official models are: their vocabulary ends before <|im_start|>."""
    folder = tmp_path / "plain"
    GPT(GPTConfig(n_embd=8, n_head=2, n_layer=1, n_ctx=16)).save_pretrained(folder)
    for name in ("vocab.json", "merges.txt"):
        (folder / name).write_bytes((gpt2_folder / name).read_bytes())
    outcome = piped("Hi\n", "--model", folder)
    assert outcome.status == 2
    assert "vocabulary of 50,257 lacks the control tokens of the template chatml" in outcome.err
    assert len(outcome.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (["--model", "nowhere"], "nowhere"),
        (["--model", ".", "--max-new-tokens", "0"], "--max-new-tokens"),
        (["--model", ".", "--temperature", "-1"], "temperature"),
        (["--modle", "."], "--model"),
    ],
)
def test_a_mistyped_option_is_a_sentence(piped, args, part):
    outcome = piped("Hi\n", *args)
    assert outcome.status == 2
    assert part in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_in_a_real_terminal_ctrl_c_stops_the_answer_and_not_the_program(tmp_path):
    """The whole command in a pseudo-terminal: Vietnamese typed, an answer interrupted, another given, Ctrl-D."""
    model = GPT(GPTConfig.named("tiny", n_ctx=30_000, n_embd=16, n_head=2, n_layer=1))
    only_says_a(model).save_pretrained(tmp_path / "model")
    save_template(tmp_path / "model", load_template("chatml", BYTES))
    args = ["--model", str(tmp_path / "model"), "--max-new-tokens", "20000"]
    ours, theirs = pty.openpty()
    there = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "LC_ALL": "C.UTF-8", "TERM": "dumb"}
    process = subprocess.Popen(
        [sys.executable, "-c", IN_TERMINAL, *args], stdin=theirs, stdout=theirs, stderr=theirs, env=there,
        cwd=tmp_path, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    seen = b""

    def until(text: str) -> None:
        nonlocal seen
        while text.encode() not in seen:
            assert select.select([ours], [], [], 60)[0], f"waited for {text!r}; saw {seen!r}"
            seen += os.read(ours, 4096)
        seen = seen.split(text.encode(), 1)[1]

    try:
        until("you> ")
        os.write(ours, "Trái nghĩa với old? 👋\n".encode())
        until("Trái nghĩa với old? 👋")
        until("model> ")
        os.write(ours, b"\x03")  # as the keyboard sends it
        until(" (stopped)")
        until("of 30,000 tokens]")
        until("you> ")
        os.write(ours, b"/undo\n")
        until("Removed: Trái nghĩa với old? 👋")
        until("you> ")
        os.write(ours, "Một dòng,\n\nand another.\n".encode())  # pasted: all at once
        until("model> ")
        os.write(ours, b"\x03")
        until("you> ")
        os.write(ours, b"/undo\n")
        until("Removed: Một dòng,\r\n\r\nand another.\r\n")
        until("you> ")
        os.write(ours, b"\x04")
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        os.close(ours)
