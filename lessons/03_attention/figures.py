"""Lesson 03's pictures, from the models themselves: `python -m lessons --fix` draws them, a test compares them."""

import torch

from lessons.harness.figure import tables
from lessons.tiny import IDS, WORDS, paper_model
from lessons.trained import trained_model
from minigpt import attention_weights


def weights() -> str:
    (layer,) = attention_weights(paper_model().double(), torch.tensor([IDS]))
    rows = [[row[: t + 1] for t, row in enumerate(head)] for head in layer[0].tolist()]
    return tables(
        rows, [WORDS[i] for i in IDS], ["head 1: the word before", "head 2: the subject"],
        "Attention weights of the paper model: each row is a query and adds up to 1, each column is a key",
    )  # fmt: skip


ASKED = [
    {"role": "user", "content": "I'm Minh."},
    {"role": "assistant", "content": "Hello, Minh!"},
    {"role": "user", "content": "What's my name?"},
]


def words(messages: list[dict]) -> list[tuple[str, int]]:
    """The words of a ChatML prompt, each with its number of bytes; what surrounds a message is one word, its role."""
    found: list[tuple[str, int]] = []
    for message in [*messages, {"role": "assistant", "content": ""}]:
        end_of_the_last = 2 if found else 0  # <|im_end|> and a line break
        found.append((f"{message['role']}:", end_of_the_last + len(f"<{message['role']}\n")))
        found += [(word, len(word) + (i > 0)) for i, word in enumerate(message["content"].split())]
    return found


def name() -> str:
    """By word, what every head takes from the conversation at the position where the answer begins."""
    model, template = trained_model()
    ids = template.prompt(ASKED)
    names, lengths = zip(*words(ASKED), strict=True)
    columns = {}
    for i, layer in enumerate(attention_weights(model.double(), torch.tensor([ids])), 1):
        for j, head in enumerate(layer[0, :, -1], 1):
            taken = [part.sum().item() for part in head.split(lengths)]
            columns[f"{i}.{j}"] = [weight if weight >= 0.05 else None for weight in taken]
    return tables(
        [list(zip(*columns.values(), strict=True))], names, ["layer.head (blank: less than 0.05)"],
        "Attention weights by word, of all eight heads, at the last position of the prompt", list(columns),
    )  # fmt: skip


FIGURES = {"weights.svg": weights, "name.svg": name}
