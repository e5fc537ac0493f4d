"""The small trained model that the lessons draw from: `python -m lessons.trained` makes lessons/model.

The default job's data, template and recipe, but 64 channels and a context of 256.
"""

from pathlib import Path  # noqa: I001

import minigpt  # noqa: F401 - before torch: see processor.py
import torch

from lessons.harness.links import LESSONS
from minigpt import GPT, GPTConfig, load_template, load_tokenizer
from minigpt.learn.trainer import Trainer
from minigpt.measure.accuracy import answer, exact_match
from minigpt.run.defaults import with_defaults
from minigpt.run.options import Options, recipe
from minigpt.run.start import load_model
from minigpt.text.splits import load_data
from minigpt.text.template import Template, save_template

MODEL = LESSONS / "model"


def trained_model() -> tuple[GPT, Template]:
    """The model, ready to be asked, and the template that it was trained with (which has its tokenizer)."""
    return load_model(MODEL)


def main(folder: Path = MODEL, steps: int | None = None) -> None:
    """Train the model, by all of the default job's steps or so many, and save it."""
    torch.manual_seed(0)
    tokenizer = load_tokenizer("bytes")
    template = load_template("chatml", tokenizer)
    model = GPT(GPTConfig.named("tiny", n_embd=64, n_ctx=256))
    data = load_data(["builtin"], None)
    rows = data.encode(template, model.config.n_ctx, "response")
    options = with_defaults(Options(dtype="float32"), len(rows.train), model.config.n_ctx, tokenizer, template.name)
    trainer = Trainer(model, rows.train, recipe(options))
    while trainer.step < (steps or options.steps):
        step = trainer.train_step()
        if trainer.step % 50 == 0:
            print(f"step {trainer.step}: loss {step.loss:.3f}")
    model.save_pretrained(folder)
    save_template(folder, template)
    answers = answer(model.eval(), template, [row.messages[:-1] for row in rows.test], 64)
    print(exact_match(rows.test, answers))


if __name__ == "__main__":
    main()
