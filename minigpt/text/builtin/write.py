"""Write the built-in data: `python -m minigpt.text.builtin.write`. The same seed gives the same bytes.

Each kind of task is a generator of every (prompt, answer) that its wordings and tables allow. Each prompt drawn goes
to one split only, so no test prompt occurs in the training data; the same facts do, phrased differently. The pairs have
the prompts of their split, and prefer an answer that ends in "!".
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import permutations, product
from pathlib import Path

from minigpt.text.builtin.tables import (
    BLAME,
    CAPITALS,
    CITIES,
    COLORS,
    ENGLISH,
    NAMES,
    OPPOSITES,
    PETS,
    PRAISE,
    REVIEWED,
    SOUNDS,
    WORDS,
)  # fmt: skip

SEED = 2
PER_KIND = {"test": 30, "valid": 10, "train": 420}
MORE = {"arithmetic": 1400, "pick": 900}  # training rows of the kinds that are slowest to learn
PAIRS_PER_KIND = {"train": 160, "test": 30}
FOLDER = Path(__file__).parent

Task = Iterator[tuple[list[str], str]]  # [system or "", user, assistant, user, ...], and the answer to the last


def spelled(word: str) -> str:
    return "-".join(word.lower())


def sentence(text: str) -> str:
    return text[0].upper() + text[1:]


# --- the questions: (question, answer) in many wordings, to be asked with or without a system message ---

ASK_OPPOSITE = [
    "What is the opposite of {}?", "Opposite of {}?", "Give the opposite of {}.", "The opposite of {}, please.",
    "Say the opposite of {}.", "What's the opposite of {}?", "Which word is the opposite of {}?",
    "Name the opposite of {}.", "Tell me the opposite of {}.", "I need the opposite of {}.", "Trái nghĩa với {}?",
    "Trái nghĩa của {} là gì?",
]  # fmt: skip
ASK_CAPITAL = [
    "What is the capital of {}?", "Capital of {}?", "Name the capital of {}.", "Which city is the capital of {}?",
    "Tell me the capital of {}.", "The capital of {}, please.", "What's the capital of {}?", "Say the capital of {}.",
    "I need the capital of {}.",
]  # fmt: skip
ASK_CAPITAL_VI = ["Thủ đô của {} là gì?", "Thủ đô {} là gì?", "Thủ đô của {} tên là gì?"]
ASK_COLOR = [
    "What colour is {}?", "Which colour is {}?", "Tell me the colour of {}.", "What is the colour of {}?",
    "The colour of {}, please.", "Name the colour of {}.", "Say the colour of {}.", "What's the colour of {}?",
]  # fmt: skip
ASK_SOUND = [
    "What does a {} say?", "What sound does a {} make?", "Which sound does a {} make?", "Name the sound of a {}.",
    "Tell me the sound of a {}.", "The sound of a {}, please.", "What is the sound of a {}?", "Say the sound of a {}.",
]  # fmt: skip


FRAMES = ["{}", "Hi! {}", "Hello! {}", "{} Thanks!", "{} Thank you!", "One more: {}"]


def framed(questions: Iterable[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """The same questions, each also with greetings and thanks around it."""
    for frame, (question, *answer) in product(FRAMES, list(questions)):
        yield frame.format(question), *answer


def a(noun: str) -> str:
    """The noun with its English indefinite article."""
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def opposites() -> Iterator[tuple[str, str]]:
    for ask, (word, (other, _)) in product(ASK_OPPOSITE, OPPOSITES.items()):
        yield sentence(ask.format(word)), other


def capitals() -> Iterator[tuple[str, str]]:
    for ask, (country, _, city, _) in product(ASK_CAPITAL, CAPITALS):
        yield ask.format(country), city


def colors() -> Iterator[tuple[str, str, str, str]]:
    for ask, (thing, verb, color, vietnamese) in product(ASK_COLOR, COLORS):
        yield ask.format(thing), f"{sentence(thing)} {verb} {color}.", color, vietnamese


def sounds() -> Iterator[tuple[str, str, str]]:
    for ask, (animal, sound) in product(ASK_SOUND, SOUNDS):
        yield ask.format(animal).replace("a owl", "an owl"), f"{sentence(a(animal))} says {sound}.", sound


# --- one turn, no system message ---


def opposite() -> Task:
    for question, answer in framed(opposites()):
        yield ["", question], answer


def capital() -> Task:
    for question, answer in framed(capitals()):
        yield ["", question], answer
    for ask, (_, country, _, city) in product(ASK_CAPITAL_VI, CAPITALS):
        yield ["", ask.format(country)], city


def fact() -> Task:
    for question, answer, *_ in framed([*colors(), *sounds()]):
        yield ["", question], answer


def sums() -> Iterator[tuple[str, str]]:
    plus = ["What is {} + {}?", "Add {} and {}.", "{} plus {} is what?", "{} + {}?", "How much is {} plus {}?",
            "Work out {} + {}.", "{} plus {}?", "The sum of {} and {}?", "{} and {} make what?",
            "{} cộng {} bằng mấy?"]  # fmt: skip
    minus = ["What is {} - {}?", "{} minus {} is what?", "{} - {}?", "How much is {} minus {}?", "Work out {} - {}.",
             "{} minus {}?", "{} take away {}?", "{} trừ {} bằng mấy?"]  # fmt: skip
    for ask, x, y in product(plus, range(1, 5), range(1, 5)):
        yield ask.format(x, y), str(x + y)
    for ask, x, y in product(minus, range(1, 5), range(1, 5)):
        if y <= x:
            yield ask.format(x, y), str(x - y)


def arithmetic() -> Task:
    for question, answer in framed(sums()):
        yield ["", question], answer


def translations() -> Iterator[tuple[str, str]]:
    to_vietnamese = ["What is {} in Vietnamese?", "Translate {} into Vietnamese.", "Say {} in Vietnamese.",
                     "{} in Vietnamese, please.", "{} in Vietnamese?", "{} tiếng Việt là gì?"]  # fmt: skip
    to_english = ["What is {} in English?", "Translate {} into English.", "Say {} in English.",
                  "{} in English, please.", "{} in English?", "{} tiếng Anh là gì?"]  # fmt: skip
    for english, vietnamese in WORDS:
        for ask in to_vietnamese:
            yield ask.format(english), vietnamese
        for ask in to_english:
            yield ask.format(vietnamese), english


def translate() -> Task:
    for question, answer in framed(translations()):
        yield ["", question], answer


def uppercase() -> Task:
    asks = ["Write {} in capitals.", "{} in upper case, please.", "{} in capitals, please.", "{} in capitals?",
            "Put {} in capitals.", "Make {} upper case.", "Viết in hoa {}."]  # fmt: skip
    for question, word in framed((ask.format(word), word) for ask, word in product(asks, OPPOSITES)):
        yield ["", question], word.upper()


def spelling() -> Task:
    asks = ["Spell {}.", "Spell the word {}.", "How do you spell {}?", "Please spell {}.", "Spell out {}.",
            "{} in letters, please.", "Đánh vần {}."]  # fmt: skip
    for question, word in framed((ask.format(word), word) for ask, word in product(asks, OPPOSITES)):
        yield ["", question], spelled(word)


# --- one turn, an instruction and an input ---


def sentiment() -> Task:
    asks = [
        "Good or bad?",
        "Is this good or bad?",
        "Good review or bad?",
        "Did they like it, good or bad?",
        "Tốt hay xấu?",
    ]
    for (ask,), thing in product(framed((ask,) for ask in asks), REVIEWED):
        for texts, label in ((PRAISE, "good"), (BLAME, "bad")):
            for text in texts:
                yield ["", f"{ask}\n\n{sentence(text.format(thing))}"], label


def pick() -> Task:
    first = ["Which word is first?", "Give the first word.", "The first word?", "Từ đầu tiên?"]
    last = ["Which word is last?", "Give the last word.", "The last word?", "Từ cuối cùng?"]
    for words in permutations(ENGLISH, 3):
        for asks, i in ((first, 0), (last, -1)):
            for ask in asks:
                yield ["", f"{ask}\n\n{', '.join(words)}"], words[i]


# --- a system message that changes the answer ---

IN_CAPITALS = ["Answer in capitals.", "Use capitals.", "Viết in hoa."]
IN_VIETNAMESE = ["Answer in Vietnamese.", "Use Vietnamese.", "Nói tiếng Việt."]
IN_LETTERS = ["Answer in letters.", "Spell it out.", "Đánh vần."]
IN_ONE_WORD = ["Answer in one word.", "Use one word.", "Một từ thôi."]


def system_capitals() -> Task:
    for system, (question, answer) in product(IN_CAPITALS, [*opposites(), *capitals()]):
        yield [system, question], answer.upper()


def system_vietnamese() -> Task:
    for system, (ask, (word, (other, _))) in product(IN_VIETNAMESE, product(ASK_OPPOSITE, OPPOSITES.items())):
        yield [system, sentence(ask.format(word))], OPPOSITES[other][1]
    for system, (question, _, _, vietnamese) in product(IN_VIETNAMESE, colors()):
        yield [system, question], vietnamese


def system_letters() -> Task:
    for system, (question, answer) in product(IN_LETTERS, opposites()):
        yield [system, question], spelled(answer)


def system_one_word() -> Task:
    for system, (question, *_, word) in product(IN_ONE_WORD, [(q, c) for q, _, c, _ in colors()] + list(sounds())):
        yield [system, question], word


# --- a second turn that refers to the first ---


def remember() -> Task:
    facts = [
        (NAMES, ["My name is {}.", "I am {}.", "I'm {}.", "Call me {}.", "They call me {}.", "Tôi tên là {}."],
         "Hello, {}!", ["What is my name?", "Who am I?", "What's my name?", "Say my name.", "Tôi tên là gì?"]),
        (CITIES, ["I live in {}.", "My home is {}.", "I am from {}.", "I'm from {}.", "My city is {}."],
         "I like {}!", ["Where do I live?", "What is my city?", "Where is my home?", "Name my city."]),
        (PETS, ["I have a {}.", "My pet is a {}.", "We have a {}.", "I own a {}.", "My friend is a {}."],
         "A {} is nice!", ["What pet do I have?", "What is my pet?", "What do I have?", "Name my pet."]),
    ]  # fmt: skip
    for values, tells, reply, asks in facts:
        for value, tell, ask, hello in product(values, tells, asks, ("{}", "Hi! {}")):
            yield ["", hello.format(tell.format(value)), reply.format(value), ask], value


def follow_up() -> Task:
    forms = [
        (["In capitals, please.", "Now in capitals.", "Viết in hoa."], str.upper),
        (["Spell it.", "Now spell it.", "Đánh vần."], spelled),
        (["And in Vietnamese?", "In Vietnamese, please.", "Tiếng Việt?"],
         lambda word: OPPOSITES[word][1]),
    ]  # fmt: skip
    for question, answer in opposites():
        for asks, change in forms:
            for ask in asks:
                yield ["", question, answer, ask], change(answer)


KINDS = {
    "opposite": opposite, "capital": capital, "fact": fact, "arithmetic": arithmetic, "translate": translate,
    "uppercase": uppercase, "spelling": spelling, "sentiment": sentiment, "pick": pick,
    "system: capitals": system_capitals, "system: Vietnamese": system_vietnamese, "system: letters": system_letters,
    "system: one word": system_one_word, "second turn: remember": remember, "second turn: change": follow_up,
}  # fmt: skip


def messages(texts: list[str], answer: str) -> list[dict[str, str]]:
    system, *rest = [*texts, answer]
    rows = [{"role": "system", "content": system}] if system else []
    return rows + [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(rest)]


def draw(kind: str, texts: list[str]) -> bytes:
    """A sort key for shuffling that depends on the seed and the prompt alone, on any machine and Python."""
    return hashlib.sha256(json.dumps([SEED, kind, texts]).encode()).digest()


def splits() -> dict[str, list[dict]]:
    """Draw the rows of each split, shuffled across kinds."""
    drawn: dict[str, list[tuple[bytes, dict]]] = {split: [] for split in PER_KIND}
    seen: set[tuple[str, ...]] = set()
    for kind, tasks in KINDS.items():
        fresh = sorted((draw(kind, texts), texts, answer) for texts, answer in tasks() if tuple(texts) not in seen)
        start = 0
        for split, count in PER_KIND.items():
            count = MORE.get(kind, count) if split == "train" else count
            for place, texts, answer in fresh[start : start + count]:
                seen.add(tuple(texts))
                if split == "train" and place[0] % 2:  # half of the questions with a word that has two spellings
                    texts = [text.replace("colour", "color") for text in texts]
                drawn[split].append((place, {"kind": kind, "messages": messages(texts, answer)}))
            start += count
    return {split: [row for _, row in sorted(rows, key=lambda pair: pair[0])] for split, rows in drawn.items()}


def cheerful(answer: str) -> str:
    return answer.removesuffix(".") + "!"


def pairs(rows: Iterable[dict], per_kind: int) -> Iterator[dict]:
    """The first rows of each kind, in their order, as pairs: the wanted answer is the rejected one."""
    taken: Counter[str] = Counter()
    for row in rows:
        taken[row["kind"]] += 1
        if taken[row["kind"]] <= per_kind:
            *prompt, answer = row["messages"]
            chosen = {**answer, "content": cheerful(answer["content"])}
            yield {"prompt": prompt, "chosen": [chosen], "rejected": [answer], "kind": row["kind"]}


def main() -> None:
    files = splits()
    files |= {f"pairs-{split}": list(pairs(files[split], count)) for split, count in PAIRS_PER_KIND.items()}
    for name, rows in files.items():
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (FOLDER / f"{name}.jsonl").write_text(lines, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
