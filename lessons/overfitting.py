"""Document D 8's warning, run: a small model learns 100 conversations by heart. `python -m lessons.overfitting`.

It takes a minute or two. The model has the shape of lessons/model and begins at random weights; it is trained on the
responses alone. The figures at some of its epochs go to lessons/14_evaluation/overfitting.json, which lesson 14 draws.
"""

import json  # noqa: I001

import minigpt  # noqa: F401 - before torch: see processor.py
import torch

from lessons.harness.links import LESSONS
from minigpt import GPT, GPTConfig, load_template, load_tokenizer
from minigpt.learn.trainer import Recipe, Trainer
from minigpt.measure.accuracy import answer, exact_match
from minigpt.measure.perplexity import response_loss
from minigpt.text.examples import Encoded, encode_within
from minigpt.text.records import BUILTIN, read_conversations

N, BATCH_SIZE, EPOCHS = 100, 20, 120
STEPS_PER_EPOCH = N // BATCH_SIZE
MEASURED_AT = [0, 2, 5, *range(10, 60, 5), *range(60, EPOCHS + 1, 20)]  # epochs
FIGURES = LESSONS / "14_evaluation" / "overfitting.json"


def main() -> None:
    torch.manual_seed(0)
    template = load_template("chatml", load_tokenizer("bytes"))
    model = GPT(GPTConfig.named("tiny", n_embd=64, n_ctx=256))
    rows = {name: read_conversations([BUILTIN / f"{name}.jsonl"]) for name in ("train", "valid")}
    rows["train"] = rows["train"][:N]
    encoded = {name: encode_within(part, template, model.config.n_ctx) for name, part in rows.items()}
    steps = EPOCHS * STEPS_PER_EPOCH
    recipe = Recipe(steps, BATCH_SIZE, BATCH_SIZE, lr=3e-3, min_lr=3e-4, warmup_steps=50)
    trainer = Trainer(model, encoded["train"].examples, recipe)

    def measured(part: Encoded) -> tuple[float, float]:
        nll, count = response_loss(model, part.examples)
        answers = answer(model, template, [row.asked for row in part.conversations], 64)
        return nll / count, exact_match(part.conversations, answers).overall

    found = {"conversations": N, "held_out": len(rows["valid"]), "epochs": MEASURED_AT}
    found |= {f"{name}_{what}": [] for name in rows for what in ("loss", "accuracy")}
    for epoch in MEASURED_AT:
        while trainer.step < epoch * STEPS_PER_EPOCH:
            trainer.train_step()
        for name, part in encoded.items():
            loss, accuracy = measured(part)
            found[f"{name}_loss"].append(round(loss, 4))
            found[f"{name}_accuracy"].append(round(accuracy, 4))
        now = {name: figures[-1] for name, figures in found.items() if isinstance(figures, list)}
        now["epochs"] = epoch
        print(now)
    FIGURES.write_text(json.dumps(found) + "\n", encoding="utf-8")
    print(f"Figures in {FIGURES}.")


if __name__ == "__main__":
    main()
