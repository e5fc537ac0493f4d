"""Lesson 11's grader: what is asked for, on which rows, and the hint for each typical mistake."""

import random
from collections.abc import Callable
from functools import cache

from lessons.harness.grade import Exercise
from minigpt import Conversation, encode_within, read_conversations, read_row
from minigpt.errors import UserError
from minigpt.text.records import data_names
from minigpt.text.template import ChatML, Documents, Message
from minigpt.text.tokenizer import ByteTokenizer


class Bytes(ByteTokenizer):
    """A byte tokenizer that is handed out as it is, where other arguments are copied and compared."""

    def __deepcopy__(self, memo: dict) -> "Bytes":
        return self

    def __repr__(self) -> str:
        return "ByteTokenizer()"


class Laid(Documents):
    """The documents' template, likewise."""

    def __deepcopy__(self, memo: dict) -> "Laid":
        return self

    def __repr__(self) -> str:
        return 'load_template("documents", load_tokenizer("bytes"))'


DOCUMENTS, CHATML = Laid(Bytes()), ChatML(Bytes())


def say(*texts: str, system: str | None = None) -> list[Message]:
    """The user and the assistant in turn, after a system message or none."""
    messages: list[Message] = [] if system is None else [{"role": "system", "content": system}]
    return messages + [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]


def turn_cases() -> list[tuple]:
    return [
        (DOCUMENTS, None, "2+2", True), (DOCUMENTS, None, "Hi", False), (DOCUMENTS, "Be short.", "trà?", True),
        (DOCUMENTS, None, "Add.\n\n2+2", True, "2+2"), (DOCUMENTS, "S", "I\n\nX", False, "X"),
    ]  # fmt: skip


def length_cases() -> list[tuple]:
    rows = [say("2+2", "4"), say("I like", " tea."), say("Xin chào", "Chào bạn!", "trà?", "Có.", system="Be short.")]
    conversations = [Conversation(messages, f"line {i + 1}") for i, messages in enumerate(rows)]
    return [(conversations[:1], Bytes()), (conversations, Bytes()), ([], Bytes())]


ROWS: list[dict] = [
    {"instruction": "Add.", "input": "2+2", "output": "4"},
    {"instruction": "Say hi.", "input": "", "output": "Hi"},
    {"output": "4", "id": 7, "instruction": "What is 2+2?", "input": None},
    {"question": "What is 2+2?", "answer": "2+2 = 4\n#### 4"},
    {"answer": "4", "question": "What is 2+2?"},
    {"prompt": "I like", "completion": " tea. "},
    {"instruction": None, "output": None, "prompt": "I like", "completion": " tea."},
    {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]},
    {"messages": [{"role": "assistant", "content": "Hello"}, {"role": "user", "content": "Hi"}]},
    {"messages": say("a", "b", "c", "d")},
    {"messages": say("a")},
    {"question": "What is 2+2?", "answer": ""},
    {"question": "What is 2+2?", "answer": None},
    {"question": "What is 2+2?"},
    {"prompt": "", "completion": "tea"},
    {"text": "I like tea."},
    {},
]


def message_cases() -> list[tuple]:
    three = ("a", "b", "c", "d", "e", "f")
    return [
        (say(*three[:4]),), (say(*three),), (say(*three, system="S"),), (say(*three[:2]),), (say(*three[:3]),),
        (say("a", "b", system="S"),), (say(*three[:4], system="S"),), (say(*three[:5], system="S"),),
        (say("a", system="S"),),
    ]  # fmt: skip


def fit_cases() -> list[tuple]:
    talk = say("Hi", "Hello", "2+2?", "It is 4.", system="Be short.")
    three = say("abc", "xyz", "de", "uv", "f", "w")
    pairs = [(talk, (34, 33, 25, 24, 17, 16, 15)), (three, (18, 17, 12, 11, 6, 5, 4, 3)), (say("2+2", "4"), (7, 6, 5))]
    return [(messages, DOCUMENTS, t_max) for messages, sizes in pairs for t_max in sizes]


@cache
def conversations() -> list[Conversation]:
    """A fourth of the built-in ones, and 200 of up to six turns, their texts of up to 30 letters."""
    draw = random.Random(0)

    def text() -> str:
        return "".join(draw.choice("aeiou ệ") for _ in range(draw.randint(1, 30)))

    long = [
        say(*(text() for _ in range(2 * draw.randint(1, 6))), system=text() if draw.random() < 0.5 else None)
        for _ in range(200)
    ]
    builtin = read_conversations(data_names(["builtin"], "train"))
    return [Conversation(messages, "a long one") for messages in long] + builtin[::4]


@cache
def fitted(name: str, t_max: int, count: int) -> list[list[int] | None]:
    """The ids that the package makes of the first `count`, with None for what it refuses."""
    found: list[list[int] | None] = []
    for row in conversations()[:count]:
        examples = encode_within([row], {"documents": DOCUMENTS, "chatml": CHATML}[name], t_max, bad=[]).examples
        found.append(examples[0].ids if examples else None)
    return found


def as_the_package(mine: Callable) -> str | None:
    """In both templates: the long conversations at several T_max, the built-in ones at one."""
    for template, t_max, count in [(DOCUMENTS, 40, None), *((CHATML, t_max, 200) for t_max in (30, 60, 100, 160))]:
        rows = conversations()[:count]
        for row, wanted in zip(rows, fitted(template.name, t_max, len(rows)), strict=True):
            if (found := mine(list(row.messages), template, t_max)) != wanted:
                return (
                    f"With the template {template.name} and T_max = {t_max}, encode_within makes {wanted} of the "
                    f"messages {row.messages}; fit gave {found}."
                )
    return None


def as_read_row(mine: Callable) -> str | None:
    """On rows of two short texts under each pair of names, in both orders."""
    draw = random.Random(0)
    words = ["tea", "tea ", " tea", "a b\n", "à"]
    for _ in range(200):
        ask, answer = draw.choice([("instruction", "output"), ("question", "answer"), ("prompt", "completion")])
        row = {ask: draw.choice(words), answer: draw.choice([*words, "", None]), "id": 3}
        if ask == "instruction":
            row["input"] = draw.choice([*words, "", None])
        row = dict(draw.sample([*row.items()], len(row)))
        try:
            user, said = read_row(row)
        except UserError:
            wanted = None
        else:
            X = user.get("input", "")
            asked = user["content"]
            wanted = asked.removesuffix(f"\n\n{X}") if X else asked, X, said["content"]
        if (found := mine(dict(row))) != wanted:
            return f"The package reads {row} as {wanted}; triple gave {found}."
    return None


EXERCISES = [
    Exercise("documents_turn", "turtle", 10, turn_cases, {
        "bos_every_turn": "You begin every turn with BOS. One is enough: later turns come after the EOS of an answer, "
        "and a second <|endoftext|> in a row was never seen in pretraining.",
        "no_bos": "BOS is missing in the first turn.",
        "no_sep": "SEP is missing. Without it nothing says where the request ends and the answer has to begin.",
        "sep_as_text": "You encoded the seven characters <|sep|> as text. A user can type them too; the real one is a "
        "single id, in self.tokenizer.control.",
        "sep_before": "SEP stands before the instruction. It separates: between I and Y.",
        "end_for_sep": "You put EOS where SEP belongs. EOS says that the *answer* is complete.",
        "system_lost": "The system message is missing.",
        "system_after": "The system message comes before the user's text.",
        "no_line": "The system message and the user's text run into each other. A newline parts them.",
        "none_as_text": "Where there is no system message, your text begins with 'None'. Add the line only if there is "
        "one.",
        "ended": "You closed the request with EOS as well. EOS says that the *answer* is complete: the model would "
        "have to begin an answer after the end.",
        "context_twice": "X is in there twice: `user` already ends with it.",
        "context_lost": "X is missing. `context` only says which part of `user` it is.",
        "characters": "You took numbers of characters. They are ids for ASCII only: let the tokenizer encode the text.",
    }, places=("minigpt.text.template.Documents.encode_user_turn",)),
    Exercise("lengths", "turtle", 10, length_cases, {
        "characters": "You counted characters. Lengths are in tokens here, and 'à' is two bytes.",
        "words": "You counted words. Lengths are in tokens: ask the tokenizer.",
        "system_lost": "The system message is not counted. It is part of what the model reads, so of Q.",
        "last_turn": "You counted the last turn only. Q_i and A_i are of the whole conversation.",
        "end_counted": "You counted an end token for each answer. Here it is the texts alone.",
        "joined": "You joined the messages by something before you counted, and counted that too. Encode each by "
        "itself.",
        "swapped": "Prompt and response are swapped.",
        "added_up": "You returned the totals N_Q and N_A. Wanted are the lists, a number for each conversation; their "
        "sums come later.",
        "without_answers": "Your Q_i is the length of the whole conversation. The answers are not part of it.",
    }, places=("minigpt.text.examples.lengths",)),
    Exercise("triple", "dog", 25, lambda: [(row,) for row in ROWS], {
        "joined": "Your I has X at its end. In the triple they are apart; the template joins them.",
        "input_lost": "You lose the input: I alone does not say what it is about.",
        "input_none": "Where there is no input, X is the empty text, not None.",
        "none_as_text": "You made the text 'None' of a missing value, and a model would learn to write it.",
        "by_order": "You trust the order of the keys: the first is not always the question. Go by their names.",
        "roles_ignored": "You take the first message as the request, whoever said it. Look at the roles.",
        "empty_kept": "You keep a row with an empty request or answer. What would it teach? None.",
        "stripped": "You stripped the texts. What is around the words belongs to the answer: ' tea' and 'tea' are "
        "different tokens.",
        "longer_kept": "You take the last two of more messages. Without what was said before, they are another "
        "conversation.",
        "swapped": "Your order is (I, Y, X). The context comes before the response.",
        "first_key_only": "You look at the question's key only. A row without its answer teaches nothing.",
    }, judge=as_read_row),
    Exercise("without_oldest_turn", "dog", 15, message_cases, {
        "newest": "You dropped the newest turn. It is the one that the last answer needs; the oldest goes.",
        "system_dropped": "The system message is gone. It holds for the whole conversation.",
        "system_counted": "You took the system message for a part of the first turn. Start after it.",
        "question_only": "You dropped the question and kept its answer: now the assistant speaks first.",
        "answer_only": "You dropped the answer and kept its question: now the user speaks twice.",
        "empty": "You dropped the only turn. There is nothing left to shorten then: None.",
        "last_stays": "You gave back a conversation of one turn as it was. A loop that shortens would never end: None.",
        "too_early": "You give up one turn too early: of two turns, one can go.",
        "only_last": "You dropped all turns but the last. Only the oldest goes; the caller asks again if need be.",
    }, places=("minigpt.text.template.without_oldest_turn",)),
    Exercise("fit", "lion", 30, fit_cases, {
        "from_the_left": "You kept the last t_max ids. That cuts the beginning: BOS, the system message and the "
        "instruction.",
        "only_cut": "You cut at the end before you dropped old turns. First whole turns go, the oldest first.",
        "end_added": "You put an end token where you cut. The answer did not end there, and a model would learn to "
        "stop in the middle of a sentence.",
        "newest_dropped": "You dropped the newest turns and kept the oldest. The last answer is the one to learn.",
        "system_dropped": "The system message went with the oldest turn. It stays.",
        "all_but_last": "You went to the last turn alone at once. As few turns go as possible.",
        "never_cut": "Your row is longer than t_max: where the last turn alone is too long, its answer is cut.",
        "never_refused": "You keep a row without a token of the answer. Nothing in it would be trained on: None.",
        "less_than": "You drop a turn of a row that just fits: t_max tokens are allowed.",
        "question_cut": "You cut the request to make room for the answer. Then the model learns an answer to something "
        "else; cut the answer.",
        "whole_turns_only": "You refuse a row whose last turn is too long. As long as one token of its answer fits, it "
        "is kept, cut at the end.",
        "too_soon": "You refuse a row in which exactly one token of the answer fits. It is kept.",
        "texts_only": "You measured the texts without their control tokens. These take room as well.",
    }, judge=as_the_package),
]  # fmt: skip
