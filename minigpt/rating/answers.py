"""The answers that people are to rate: of one or two models to prompts drawn from the data."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from tqdm import tqdm

from minigpt.errors import UserError
from minigpt.measure.accuracy import answer, wanted
from minigpt.model.gpt import GPT
from minigpt.rating.key import Item, draw_name, draw_sides
from minigpt.sample.sampling import Sampling
from minigpt.text.pairs import as_conversations, read_either
from minigpt.text.plain import is_plain_text
from minigpt.text.records import Conversation, data_names
from minigpt.text.template import Template

LEAST_AT_ONCE = 16  # prompts answered together, though fewer items are missing


def read_prompts(names: Sequence[str]) -> list[Conversation]:
    """The conversations of --data; of a pair its prompt, with the chosen answer as reference."""
    names = data_names(names, "test")
    if text := [name for name in names if is_plain_text(name)]:
        raise UserError(f"{text[0]} is plain text; people rate answers, so --data takes conversations.")
    return as_conversations(read_either(names))


class Model:
    """A model that answers prompts, by at most `most` tokens each, `batch_size` of them at once."""

    def __init__(self, model: GPT, template: Template, sampling: Sampling, most: int, batch_size: int) -> None:
        template.check(model.config.tokens)
        self.model, self.template, self.sampling = model, template, sampling
        self.most, self.batch_size = most, batch_size

    def fits(self, row: Conversation) -> bool:
        """Whether its prompt leaves room for an answer."""
        return len(self.template.prompt(row.asked)) < self.model.config.n_ctx

    def answers(self, rows: Sequence[Conversation], seed: int, progress: Callable[[int], object]) -> list[str]:
        prompts = [row.asked for row in rows]
        settings = self.most, self.batch_size, progress, self.sampling, seed
        return answer(self.model, self.template, prompts, *settings)


class Reference:
    """The data's own answers, in a model's place."""

    def fits(self, row: Conversation) -> bool:
        return True

    def answers(self, rows: Sequence[Conversation], seed: int, progress: Callable[[int], object]) -> list[str]:
        progress(len(rows))
        return [wanted(row) for row in rows]


@dataclass
class Found:
    """The items of a page, and how many conversations were passed over on the way."""

    items: list[Item] = field(default_factory=list)
    equal: int = 0
    too_long: int = 0


def collect(
    models: Sequence[Model | Reference], rows: Sequence[Conversation], count: int, draw: random.Random
) -> Found:
    """Items of the first rows, in their order, on which the models' answers differ."""
    found, left = Found(), iter(rows)
    with tqdm(desc="answering", unit="answer", total=0, leave=False) as bar:
        while (missing := count - len(found.items)) and (part := list(islice(left, max(LEAST_AT_ONCE, missing)))):
            fitting = [row for row in part if all(model.fits(row) for model in models)]
            bar.total += len(fitting) * len(models)
            answers = [model.answers(fitting, draw.getrandbits(63), bar.update) for model in models]
            of_row = dict(zip(map(id, fitting), zip(*answers, strict=True), strict=True))
            for row in part:
                if len(found.items) == count:
                    break
                said = of_row.get(id(row))
                if said is None:
                    found.too_long += 1
                elif len({one.strip() for one in said}) < len(said):  # or in a way that nobody could see
                    found.equal += 1
                else:
                    messages = [{"role": m["role"], "content": m["content"]} for m in row.asked]
                    found.items.append(Item(draw_name(draw), messages, draw_sides(said, draw), row.source, row.kind))
    return found
