"""`python -m minigpt.chat --model RUN`: a conversation in the terminal."""

import contextlib
import difflib
import json
import select
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from minigpt import command
from minigpt.errors import UserError
from minigpt.model.gpt import GPT
from minigpt.model.light import Weights
from minigpt.ranges import Count, Seed, Temperature, Text, TopP
from minigpt.run.device import Device, Math
from minigpt.run.start import load_model
from minigpt.sample.generation import stream, tee
from minigpt.sample.sampling import Sampling
from minigpt.text.template import Message, Template, without_oldest_turn


@dataclass
class Options:
    """Chat with a model that was trained on conversations; /help lists the commands.

    Several lines that are pasted into the terminal are one question. When standard input is not a terminal, each
    nonblank line of it is a user turn, and each answer is one line of standard output, with newlines written as \\n.
    Everything else then goes to standard error.
    """

    model: str
    """A run's folder, or a model's folder."""
    system: Text = ""
    """The system message, which the model reads before everything else."""
    template: str | None = None
    """How the conversation is laid out; the template that the model was trained with if left out."""
    max_new_tokens: Count = 256
    """The longest answer, in tokens."""
    temperature: Temperature = 0.7
    """The logits are divided by this before sampling; 0 always takes the most probable token."""
    top_k: Count | None = None
    """Sample from the k most probable tokens only."""
    top_p: TopP | None = None
    """Sample from the fewest most probable tokens whose total probability reaches p."""
    seed: Seed | None = None
    """The same seed gives the same answers to the same conversation."""
    device: Device = "auto"
    """Where to compute; auto takes a CUDA or Apple GPU if there is one."""
    math: Math = "auto"
    """explicit runs each formula as it is written out, fast runs torch's kernels; auto is explicit at size tiny and
    fast at the official sizes."""
    weights: Weights = "float32"
    """bfloat16 and int8 round the weights when they are loaded, to a half and a quarter of the memory."""
    compile: bool = False
    """Let torch.compile make faster loops of what each token of a single text needs; takes half a minute the first
    time, and a C++ compiler."""


HELP = """\
/system TEXT   set the system message; /system alone removes it
/reset         clear the conversation; the system message stays
/undo          remove the last question and its answer
/save FILE     write the conversation as a line of JSON, which train --data reads
/help          show this list
/quit          quit, as Ctrl-D does
Ctrl-C stops an answer. A line with a space before the slash is an ordinary message."""
COMMANDS = ("/system", "/reset", "/undo", "/save", "/help", "/quit")
PASTED_WITHIN = 0.05  # seconds between two lines that arrive at once; nobody types that fast
# An untrained model may write anything, including control characters that a terminal would act on.
UNPRINTABLE = {code: "\ufffd" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


@dataclass
class Chat:
    """A model and the conversation with it: the system message if any, then user and assistant in turn."""

    model: GPT
    template: Template
    options: Options
    system: str = ""
    turns: list[Message] = field(default_factory=list)
    meter: str = ""  # how full the context was after the last answer, and what was left out or cut
    saved: set[Path] = field(default_factory=set)

    def conversation(self, turns: list[Message]) -> list[Message]:
        return [{"role": "system", "content": self.system}] * bool(self.system) + turns

    def prompt(self, messages: list[Message]) -> tuple[list[int], int]:
        """The ids to generate from, and how many of the oldest turns were left out to make room for the answer.

        They are a prefix of what training would build from the messages that are kept. UserError if the system message
        and the last question alone leave no room.
        """
        n_ctx = self.model.config.n_ctx
        room = min(self.options.max_new_tokens, n_ctx // 4)
        ids, left_out = self.template.prompt(messages), 0
        while len(ids) + room > n_ctx and (shorter := without_oldest_turn(messages)):
            messages, left_out = shorter, left_out + 1
            ids = self.template.prompt(messages)
        if len(ids) >= n_ctx:
            raise UserError(f"That makes {len(ids):,} tokens, and the context holds {n_ctx:,}; make it shorter.")
        return ids, left_out

    def ask(self, text: str) -> Iterator[str]:
        """Yield the answer to `text`, piece by piece; what was generated of it is added to the conversation."""
        turns = [*self.turns, {"role": "user", "content": text}]
        ids, left_out = self.prompt(self.conversation(turns))
        options, n_ctx = self.options, self.model.config.n_ctx
        new: list[int] = []

        drawn = stream(
            self.model,
            ids,
            options.max_new_tokens,
            Sampling(options.temperature, options.top_k, options.top_p),
            stop=self.template.tokenizer.control.values(),
            seed=None if options.seed is None else options.seed + len(turns),
        )
        answer = ""
        try:
            for piece in self.template.tokenizer.pieces(tee(drawn, new)):
                answer += piece
                yield piece
        finally:
            if answer:  # an empty message is not a valid turn
                self.turns = [*turns, {"role": "assistant", "content": answer}]
            used = len(ids) + len(new)
            self.meter = f"{min(used, n_ctx):,} of {n_ctx:,} tokens"
            if left_out:
                self.meter += f"; the model no longer sees the first {left_out} of {len(turns) // 2 + 1} questions"
            if used > n_ctx:
                self.meter += "; the context is full, the answer was cut"
            elif len(new) == options.max_new_tokens:
                self.meter += "; the answer was cut at --max-new-tokens"

    def run_command(self, line: str) -> str:
        """Run a line that begins with a slash; return what was done. EOFError for /quit."""
        name, _, rest = line.partition(" ")
        rest = rest.strip()
        match name:
            case "/help":
                return HELP
            case "/quit":
                raise EOFError
            case "/system":
                self.system = rest
                return "The system message is set, from the first turn on." if rest else "There is no system message."
            case "/reset":
                self.turns = []
                return "Conversation cleared."
            case "/undo":
                if not self.turns:
                    raise UserError("There is nothing to undo.")
                *self.turns, question, _ = self.turns
                return f"Removed: {question['content']}"
            case "/save":
                return self.save(rest)
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        guess = f"did you mean {near[0]}?" if near else "/help lists the commands."
        raise UserError(f"There is no command {name}; {guess}")

    def save(self, name: str) -> str:
        """Write the whole conversation, left-out turns included; an existing file is never overwritten."""
        path = Path(name).expanduser()
        if not name:
            raise UserError("/save needs a file name.")
        if not self.turns:
            raise UserError("There is nothing to save yet.")
        line = json.dumps({"messages": self.conversation(self.turns)}, ensure_ascii=False)
        try:
            with path.open("w" if path in self.saved else "x", encoding="utf-8") as file:
                file.write(line + "\n")
        except FileExistsError:
            raise UserError(f"{path} already exists; choose another name.") from None
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error.strerror}.") from None
        self.saved.add(path)
        return f"Saved as {path}."


def main(options: Options) -> None:
    if unused := Sampling(options.temperature, options.top_k, options.top_p).unused(options.seed):
        print(f"chat: {unused}", file=sys.stderr)
    model, template = load_model(
        options.model, options.template, options.device, options.math, options.weights, options.compile
    )
    if template.name is None:
        raise UserError(
            f"{options.model} was trained on plain text: it has no template, so it cannot take turns. "
            "python -m minigpt.generate continues a text; a model for chat is trained on conversations, "
            "for example with python -m minigpt.train --init on this one."
        )
    template.check(model.config.tokens)
    chat = Chat(model, template, options, options.system)
    if sys.stdin.isatty():
        at_terminal(chat)
    else:
        line_by_line(chat)


def at_terminal(chat: Chat) -> None:
    """Read questions at a prompt, print each answer as it is generated and the context used; until /quit or Ctrl-D."""
    with contextlib.suppress(ImportError):  # Windows has none; its console edits lines itself
        import readline  # importing it gives `input` its editing and history

        readline.parse_and_bind("set enable-bracketed-paste on")  # what is pasted stays one input, until Enter
    print(f"{chat.options.model}, template {chat.template.name}. /help lists the commands, /quit quits.")
    waiting: list[str] = []
    while True:
        try:
            text = read_turn(waiting)
            if is_command(text):
                print(chat.run_command(text))
            elif text.strip():
                print_answer(chat, text)
        except UserError as error:
            print(error)
        except KeyboardInterrupt:
            print("\n(Ctrl-C stops an answer; /quit or Ctrl-D quits.)")
        except EOFError:
            print()
            return


def read_turn(waiting: list[str]) -> str:
    """What is typed: a line, or several that arrive at once, as pasted ones do; a command is a turn by itself.

    `waiting` keeps a command that arrived together with the lines before it, for the next call.
    """
    lines = [waiting.pop() if waiting else input("you> ")]
    while not is_command(lines[0]) and more_has_arrived():
        try:
            line = input("")
        except EOFError:
            break
        if line.split(" ")[0] in COMMANDS:
            waiting.append(line)
            break
        lines.append(line)
    return "\n".join(lines).strip("\n")


def is_command(text: str) -> bool:
    return text.startswith("/") and "\n" not in text


def more_has_arrived() -> bool:
    try:
        return bool(select.select([sys.stdin], [], [], PASTED_WITHIN)[0])
    except (OSError, ValueError):  # Windows can wait for sockets only
        return False


def print_answer(chat: Chat, text: str) -> None:
    with contextlib.closing(chat.ask(text)) as pieces:
        try:
            first = next(pieces, "(The answer is empty; the question is not kept.)")
            print("model> ", first.translate(UNPRINTABLE), sep="", end="", flush=True)
            for piece in pieces:
                print(piece.translate(UNPRINTABLE), end="", flush=True)
            print()
        except KeyboardInterrupt:
            print(" (stopped)")
    print(f"[{chat.meter}]")


def line_by_line(chat: Chat) -> None:
    """One question per input line, one answer per output line; exit status 2 if any line failed."""
    failed = False
    for line in sys.stdin:
        text = line.rstrip("\r\n")
        try:
            if text.startswith("/"):
                print(chat.run_command(text), file=sys.stderr)
            elif text.strip():
                try:
                    for piece in chat.ask(text):
                        print(piece.replace("\r", "\\r").replace("\n", "\\n"), end="", flush=True)
                finally:
                    print(flush=True)
        except UserError as error:
            failed = True
            print(f"chat: {error}", file=sys.stderr)
        except EOFError:
            break
    if failed:
        sys.exit(2)


def entry() -> None:
    """`python -m minigpt.chat` and `minigpt chat`."""
    command.run(Options, main, "chat")


if __name__ == "__main__":
    entry()
