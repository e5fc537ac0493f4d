"""The small trained model that the lessons draw from: `python -m lessons.trained` makes lessons/model.

The default job's data, template and recipe, but 64 channels and a context of 256.
"""

import minigpt  # noqa: F401, I001 - before torch: see processor.py
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


def main() -> None:
    torch.manual_seed(0)
    tokenizer = load_tokenizer("bytes")
    template = load_template("chatml", tokenizer)
    model = GPT(GPTConfig.named("tiny", n_embd=64, n_ctx=256))
    data = load_data(["builtin"], None)
    train, _, test = data.encode(template, model.config.n_ctx, "response")
    options = with_defaults(Options(dtype="float32"), len(train.examples), model.config.n_ctx, tokenizer)
    trainer = Trainer(model, train.examples, recipe(options))
    while trainer.step < options.steps:
        step = trainer.train_step()
        if trainer.step % 50 == 0:
            print(f"step {trainer.step}: loss {step.loss:.3f}")
    model.save_pretrained(MODEL)
    save_template(MODEL, template)
    answers = answer(model.eval(), template, [row.messages[:-1] for row in test.conversations], 64)
    print(exact_match(test.conversations, answers))


if __name__ == "__main__":
    main()
