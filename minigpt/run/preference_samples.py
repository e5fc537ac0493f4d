"""What is shown of a model that learns preferences: the same few prompts before, midway and after training."""

from collections.abc import Sequence

from minigpt.measure.accuracy import answer
from minigpt.model.gpt import GPT
from minigpt.preference.pair_trainers import PairRows
from minigpt.preference.policy import Draw
from minigpt.preference.reward import RewardModel
from minigpt.preference.rewards import Prompt, Reward
from minigpt.run.samples import SAMPLES, as_code, spread
from minigpt.sample.generation import draw_batch
from minigpt.sample.sampling import GREEDY
from minigpt.text.pairs import Pair
from minigpt.text.printing import on_one_line, shortened
from minigpt.text.template import Message, Template


class Prompted:
    """The greedy answers to a few prompts, or what a reward model makes of a few pairs."""

    def __len__(self) -> int:
        return 0  # none is right or wrong: Report.accuracy

    def show(self, model: GPT | RewardModel) -> tuple[list[str], str]:
        """A line for each prompt, and the same in full as Markdown."""
        lines, text = [], ""
        for messages, said, verdict in self.answered(model):
            turns = " | ".join(f"{message['role']}: {on_one_line(message['content'])}" for message in messages)
            lines.append(f"{shortened(turns)}  ->  {shortened(on_one_line(said))}  ({shortened(verdict)})")
            text += "".join(f"- {message['role']}: {as_code(message['content'])}\n" for message in messages)
            text += f"- **model:** {as_code(said)} ({verdict})\n\n"
        return lines, text

    def answered(self, model: GPT | RewardModel) -> list[tuple[Sequence[Message], str, str]]:
        """The prompts, what is said, and what there is to say of it."""
        raise NotImplementedError


class PairAnswers(Prompted):
    """Greedy answers beside the two of each pair."""

    def __init__(self, template: Template, pairs: Sequence[Pair]) -> None:
        self.template, self.shown = template, spread(pairs, SAMPLES)
        sides = [side for pair in self.shown for side in (pair.chosen, pair.rejected)]
        self.most = max(len(template.tokenizer.encode(side)) for side in sides) + 1

    def answered(self, model: GPT) -> list[tuple[Sequence[Message], str, str]]:
        said = answer(model, self.template, [pair.prompt for pair in self.shown], self.most)
        return [(pair.prompt, given, verdict(pair, given)) for pair, given in zip(self.shown, said, strict=True)]


def verdict(pair: Pair, given: str) -> str:
    """Which side of the pair this answer is, or what the chosen one was."""
    if given in (pair.chosen, pair.rejected):
        return "as chosen" if given == pair.chosen else "as rejected"
    return f"chosen: {as_code(pair.chosen)}"


class RewardedPairs(Prompted):
    """What a reward model makes of the two answers of each pair."""

    def __init__(self, pairs: Sequence[Pair], rows: Sequence[PairRows]) -> None:
        row_of = {pair.source: row for pair, row in zip(pairs, rows, strict=True)}
        self.shown = spread(pairs, SAMPLES)
        self.rows = [row_of[pair.source] for pair in self.shown]

    def answered(self, model: RewardModel) -> list[tuple[Sequence[Message], str, str]]:
        rewards = model([row.chosen for row in self.rows] + [row.rejected for row in self.rows]).tolist()
        found = []
        for pair, chosen, rejected in zip(self.shown, rewards, rewards[len(self.rows) :], strict=False):
            ahead = "right" if chosen > rejected else "alike" if chosen == rejected else "wrong"
            found.append((pair.prompt, pair.chosen, f"reward {chosen:.3f}"))
            found.append((pair.prompt, pair.rejected, f"rejected, reward {rejected:.3f}: {ahead}"))
        return found


class RewardedAnswers(Prompted):
    """Greedy answers with their rewards."""

    def __init__(self, template: Template, prompts: Sequence[Prompt], reward: Reward, max_new_tokens: int) -> None:
        self.template, self.reward, self.most = template, reward, max_new_tokens
        self.shown = spread(prompts, SAMPLES)

    def answered(self, model: GPT) -> list[tuple[Sequence[Message], str, str]]:
        draws = greedy_draws(model, self.template, self.shown, self.most)
        rewards = self.reward(self.shown, draws).tolist()
        decode = self.template.tokenizer.decode
        return [
            (prompt.messages, decode(draw.answer[: len(draw.answer) - draw.ended]), f"reward {reward:.3f}")
            for prompt, draw, reward in zip(self.shown, draws, rewards, strict=True)
        ]


def greedy_draws(model: GPT, template: Template, prompts: Sequence[Prompt], most: int) -> list[Draw]:
    """The greedy answer to each prompt, as ids with the end token where the model ended it."""
    new = draw_batch(model, [prompt.ids for prompt in prompts], most, GREEDY, stop=(template.end,))
    return [Draw(p.ids, ids, ids[-1:] == [template.end]) for p, ids in zip(prompts, new, strict=True)]
