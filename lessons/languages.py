"""Document D 9's "several languages", run: what training on one does to another. `python -m lessons.languages`.

It takes a minute or two. lessons/model, which was trained on both languages of the built-in data, goes on with one
of them, with the other or with both: all its weights, or a change of low rank. The figures on the test conversations of
each language, at some steps, go to lessons/16_further/languages.json, which lesson 16 draws.
"""

import json  # noqa: I001
from collections.abc import Sequence

import minigpt  # noqa: F401 - before torch: see processor.py
import torch

from lessons.harness.links import LESSONS
from lessons.trained import trained_model
from minigpt import GPT
from minigpt.learn.trainer import Recipe, Trainer
from minigpt.measure.accuracy import answer
from minigpt.measure.evaluation import Evaluation, Figure, difference
from minigpt.model.low_rank import adapt, merge
from minigpt.text.examples import encode_within
from minigpt.text.records import BUILTIN, Conversation, read_conversations
from minigpt.text.template import Template

STEPS, BATCH_SIZE, RANK = 300, 32, 8
MEASURED_AT = [0, 20, 50, 100, 200, STEPS]  # steps
LR = {False: 1e-3, True: 5e-3}  # of all weights, and of low rank
RUNS = {  # the language of the rows that are trained on, and whether a change of low rank is learned
    "vietnamese": ("vietnamese", False),
    "english": ("english", False),
    "both": (None, False),
    "vietnamese, low rank": ("vietnamese", True),
}
LANGUAGES = "english", "vietnamese"
FIGURES = LESSONS / "16_further" / "languages.json"


def language(row: Conversation) -> str:
    """English is written in ASCII; of the Vietnamese words of the data all but two have a letter that is not in it."""
    is_english = all(message["content"].isascii() for message in row.messages)
    return "english" if is_english else "vietnamese"


def evaluations(model: GPT, template: Template, test: Sequence[Conversation]) -> dict[str, Evaluation]:
    """What a model answers, by language."""
    answers = answer(model.eval(), template, [row.asked for row in test], 64)
    both = {one: [i for i, row in enumerate(test) if language(row) == one] for one in LANGUAGES}
    return {one: Evaluation([test[i] for i in its], answers=[answers[i] for i in its]) for one, its in both.items()}


def figure(figures: dict[str, Figure]) -> list[float]:
    """Exact match with both ends of its interval."""
    return [round(x, 4) for x in figures["accuracy"]]


def main() -> None:
    data = {name: read_conversations([BUILTIN / f"{name}.jsonl"]) for name in ("train", "test")}
    found: dict = {"steps": MEASURED_AT}
    for name in ("train", "test"):
        rows = [language(row) for row in data[name]]
        found |= {f"{name}_{one}": rows.count(one) for one in LANGUAGES}
    for name, (chosen, low_rank) in RUNS.items():
        torch.manual_seed(0)
        model, template = trained_model()
        if low_rank:
            adapt(model, RANK, 2.0 * RANK)
        rows = [row for row in data["train"] if chosen in (None, language(row))]
        examples = encode_within(rows, template, model.config.n_ctx).examples
        recipe = Recipe(STEPS, BATCH_SIZE, BATCH_SIZE, lr=LR[low_rank], warmup_steps=20)
        trainer = Trainer(model, examples, recipe)
        found[name] = {one: [] for one in LANGUAGES}
        measured = []
        for step in MEASURED_AT:
            while trainer.step < step:
                trainer.train_step()
            measured.append(evaluations(merge(model), template, data["test"]))
            for one, evaluation in measured[-1].items():
                found[name][one].append(figure(evaluation.figures))
            print(name, step, {one: figures[-1] for one, figures in found[name].items()}, flush=True)
        changes = {one: figure(difference(measured[0][one], measured[-1][one])) for one in LANGUAGES}
        found[name] |= {f"{one}_change": change for one, change in changes.items()}
    FIGURES.write_text(json.dumps(found) + "\n", encoding="utf-8")
    print(f"Figures in {FIGURES}.")


if __name__ == "__main__":
    main()
