"""The loss-curve detective: ten real trainings, most of them with a bug. The page is detective.md.

    python -m lessons.13_response_loss.detective

makes the runs again, some two minutes on one idle core, and writes cases.json and the clues on the page. This file
says how the runs were made, so reading on may spoil the riddle; a shuffle decides which letter is which.
"""

import contextlib  # noqa: I001
import json
import math
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from unittest import mock

import minigpt  # noqa: F401 - before torch: see processor.py
import torch
from torch import Tensor

from lessons.harness.figure import BLUE, Drawing
from minigpt import GPT, GPTConfig, generate, load_template, load_tokenizer
from minigpt.learn import batches
from minigpt.learn.trainer import Recipe, Trainer
from minigpt.measure.perplexity import response_loss
from minigpt.model.attention import causal_mask
from minigpt.text.examples import Example, encode_within
from minigpt.text.records import BUILTIN, Conversation, read_conversations
from minigpt.text.template import Template

HERE = Path(__file__).parent
STEPS, EVERY = 300, 5  # of each run; how many are averaged in a point of a curve
CONFIG = GPTConfig.named("tiny", n_embd=64, n_ctx=128)
# Without clipping, so that the gradient's norm acts as it is.
RECIPE = Recipe(steps=STEPS, batch_size=16, micro_batch_size=16, lr=0.005, warmup_steps=20, clip=math.inf)
QUESTION, MOST_NEW = "The sound of a dog, please.", 24


def attend_unmasked(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, dropout: float = 0.0) -> Tensor:
    return (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1) @ v


def attend_masked_after(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, dropout: float = 0.0) -> Tensor:
    mask = causal_mask(q.shape[-2], k.shape[-2]) if mask is None else mask
    return (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1).masked_fill(~mask, 0.0) @ v


def attend_unscaled(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, dropout: float = 0.0) -> Tensor:
    mask = causal_mask(q.shape[-2], k.shape[-2]) if mask is None else mask
    return (q @ k.mT).masked_fill(~mask, -math.inf).softmax(-1) @ v


def block_without_residual(self, x: Tensor, cache=None, mask=None, at: Tensor | None = None) -> Tensor:
    x = self.attn(self.ln_1(x), cache, mask)
    x = x if at is None else x[at]
    return x + self.mlp(self.ln_2(x))


def collate_unshifted(*given, right: Callable = batches.collate) -> batches.Batch:
    batch = right(*given)
    return replace(batch, targets=batch.ids)


def collate_one_late(*given, right: Callable = batches.collate) -> batches.Batch:
    batch = right(*given)
    return replace(batch, supervised=torch.nn.functional.pad(batch.supervised, (1, -1)))


def lay_out_without_end(self, messages, right: Callable = Template._lay_out) -> tuple[list[int], list[bool]]:
    ids, supervised = right(self, messages)
    return ids, [yes and i != self.end for i, yes in zip(ids, supervised, strict=True)]


def keep(self, set_to_none: bool = True) -> None:
    """In place of zero_grad: the next gradients are added to these."""


COLLATE = "minigpt.learn.trainer.collate", "minigpt.measure.perplexity.collate"
ATTEND = "minigpt.model.attention.attend"
BUGS: dict[str, tuple[float, dict[str, Callable]]] = {  # a factor of the learning rate; what is put in which place
    "no bug": (1.0, {}),
    "learning rate x 30": (30.0, {}),
    "learning rate / 30": (1 / 30, {}),
    "gradients never zeroed": (1.0, {"torch.optim.Optimizer.zero_grad": keep}),
    "targets not shifted": (1.0, dict.fromkeys(COLLATE, collate_unshifted)),
    "supervision one token late": (1.0, dict.fromkeys(COLLATE, collate_one_late)),
    "end token not supervised": (1.0, {"minigpt.text.template.Template._lay_out": lay_out_without_end}),
    "residual lost at attention": (1.0, {"minigpt.model.block.Block.forward": block_without_residual}),
    "scores not scaled": (1.0, {ATTEND: attend_unscaled}),
    "mask after the softmax": (1.0, {ATTEND: attend_masked_after}),
    "attention sees the future": (1.0, {ATTEND: attend_unmasked}),
}
INNOCENT = ("learning rate / 30", "mask after the softmax")


def runs() -> dict[str, tuple[str, int]]:
    """By letter, the bug and the seed of each run."""
    found = [("no bug", 1), *((name, 0) for name in BUGS if name not in INNOCENT)]
    random.Random(13).shuffle(found)
    return dict(zip("ABCDEFGHIJ", found, strict=True))


@contextlib.contextmanager
def buggy(bug: str) -> Iterator[Recipe]:
    """The package with this bug, and the recipe to train with."""
    factor, places = BUGS[bug]
    with contextlib.ExitStack() as stack:
        for place, wrong in places.items():
            stack.enter_context(mock.patch(place, wrong))
        yield replace(RECIPE, lr=factor * RECIPE.lr)


@cache
def conversations(*splits: str) -> list[Conversation]:
    """The built-in questions about sounds and colors."""
    rows = read_conversations([BUILTIN / f"{split}.jsonl" for split in splits])
    return [row for row in rows if row.kind == "fact"]


def examples(template: Template, *splits: str) -> list[Example]:
    return encode_within(conversations(*splits), template, CONFIG.n_ctx).examples


def begin(recipe: Recipe, seed: int) -> tuple[Trainer, Template]:
    """A new model and its training, to be called and used inside of `buggy`."""
    template = load_template("chatml", load_tokenizer("bytes"))
    torch.manual_seed(seed)
    return Trainer(GPT(CONFIG), examples(template, "train"), replace(recipe, seed=seed)), template


def parity(model: GPT, ids: list[int]) -> list[float]:
    """The largest difference to the logits of transformers' GPT-2 with these weights, in float64: at the first
    position, and at any."""
    from transformers import GPT2Config, GPT2LMHeadModel

    c = model.double().config
    theirs = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=c.vocab_size, n_positions=c.n_ctx, n_embd=c.n_embd, n_head=c.n_head, n_layer=c.n_layer,
            layer_norm_epsilon=c.layer_norm_epsilon, bos_token_id=c.bos_token_id, eos_token_id=c.bos_token_id,
            attn_implementation="eager",
        )
    )  # fmt: skip
    weights = {f"transformer.{name}": tensor for name, tensor in model.state_dict().items()}
    theirs.double().eval().load_state_dict(weights | {"lm_head.weight": model.wte.weight})
    with torch.no_grad():
        difference = (model.eval()(torch.tensor([ids])) - theirs(torch.tensor([ids])).logits).abs().amax(-1)[0]
    return [round(difference[0].item(), 6), round(difference.max().item(), 6)]


def case(bug: str, seed: int) -> dict:
    """One run, and all that is recorded of it, measured by the program that has the bug."""
    with buggy(bug) as recipe:
        trainer, template = begin(recipe, seed)
        reports = [trainer.train_step() for _ in range(STEPS)]
        model = trainer.model.eval()
        nll, count = response_loss(model, examples(template, "valid", "test"))
        answers = {}
        for row in conversations("valid", "test"):
            prompt = template.prompt(row.messages[:-1])
            answers[row.messages[0]["content"]] = generate(
                model, prompt, MOST_NEW, temperature=0.0, stop=[template.end]
            )
        prompt = template.prompt([{"role": "user", "content": QUESTION}])
        difference = parity(model, prompt)

    def thinned(numbers: list[float]) -> list[float]:
        return [round(sum(numbers[i : i + EVERY]) / EVERY, 3) for i in range(0, STEPS, EVERY)]

    text = {question: template.tokenizer.decode(new) for question, new in answers.items()}
    return {
        "first": [round(report.loss, 4) for report in reports[:3]],
        "losses": thinned([report.loss for report in reports]),
        "norms": thinned([report.grad_norm for report in reports]),
        "held_out": round(nll / count, 3),
        "sample": text[QUESTION],
        "ended": sum(len(new) < MOST_NEW for new in answers.values()),
        "right": sum(text[row.messages[0]["content"]] == row.answer for row in conversations("valid", "test")),
        "asked": len(answers),
        "parity": difference,
    }


@cache
def cases() -> dict[str, dict]:
    """What is recorded of the run of each letter."""
    return json.loads((HERE / "cases.json").read_text("utf-8"))


def curves(letters: str) -> str:
    """The training loss of some runs over the steps, side by side on the same axes."""
    width, height, gap, left = 142, 180, 20, 30
    drawing = Drawing(
        left + len(letters) * (width + gap), height + 72, f"Training loss of the runs {', '.join(letters)}"
    )
    unit, bottom = height / 6, height + 30
    for i, letter in enumerate(letters):
        start = left + i * (width + gap)
        drawing.text(start + width / 2, 18, letter, "middle", font_weight="bold")
        for n in range(0, 7, 2):
            drawing.curve([(start, bottom - n * unit), (start + width, bottom - n * unit)], width=0.4)
            if i == 0:
                drawing.text(start - 8, bottom - n * unit + 5, str(n), "end")
        for step, anchor in ((0, "start"), (STEPS // 2, "middle"), (STEPS, "end")):
            drawing.text(start + width * step / STEPS, bottom + 18, str(step), anchor, font_size="12")
        losses = cases()[letter]["losses"]
        points = [(start + width * (j + 0.5) / len(losses), bottom - loss * unit) for j, loss in enumerate(losses)]
        drawing.curve(points, BLUE)
    drawing.text(left, bottom + 36, "training loss over the steps", font_size="12")
    return drawing.svg()


FIGURES = {"cases_1.svg": partial(curves, "ABCDE"), "cases_2.svg": partial(curves, "FGHIJ")}


def clues(letter: str) -> str:
    """The clues of one run, each to be opened by itself."""
    found = cases()[letter]
    norms = [found["norms"][i] for i in (0, 14, 29, 44, 59)]
    said = {
        "first loss": f"{found['first'][0]:.2f}; log V is {math.log(CONFIG.vocab_size):.2f}.",
        "gradient norm": " → ".join(f"{norm:.1f}" for norm in norms),
        "sample": "`{sample!r}`; of {asked} answers {ended} end, {right} are right.".format(**found),
        "parity": "{:.2g} at the first position, {:.2g} at any.".format(*found["parity"]),
    }
    blocks = [f"<details><summary>{name}</summary>\n\n{text}\n\n</details>\n" for name, text in said.items()]
    return f"### {letter}\n\n" + "".join(blocks)


def with_clues(page: str) -> str:
    """The page with the clues of every run renewed."""
    return re.sub(r"^### ([A-J])\n.*?(?=^##)", lambda match: f"{clues(match[1])}\n", page, flags=re.M | re.S)


def main() -> None:
    torch.set_num_threads(1)  # models as small as these are no faster on more
    found = {}
    for letter, (bug, seed) in runs().items():
        found[letter] = case(bug, seed)
        print(f"{letter} is done")
    lines = [f'"{letter}": {json.dumps(found[letter], ensure_ascii=False)}' for letter in found]
    (HERE / "cases.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
    page = HERE / "detective.md"
    page.write_text(with_clues(page.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
