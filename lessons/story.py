"""Lesson 15's runs: a chatbot that learns to end its answers with "!". `python -m lessons.story FOLDER`.

Each command below is a run in FOLDER, of some minutes at most, and one that is finished there is kept. What the lesson
shows of them goes to lessons/15_preferences/runs.json. Start it in the repository's root.
"""

import json  # noqa: I001
import subprocess
import sys
from pathlib import Path

import minigpt  # noqa: F401 - before torch: see processor.py
import torch

from lessons.harness.links import LESSONS
from minigpt import GPT
from minigpt.measure.accuracy import answer
from minigpt.measure.divergence import divergence
from minigpt.pretrained.checkpoint_folder import checkpoints, open_checkpoint
from minigpt.run.preference_measures import as_rows, draw
from minigpt.run.start import load_model
from minigpt.text.pairs import Pair, read_pairs
from minigpt.text.records import BUILTIN
from minigpt.text.template import Template

FIGURES = LESSONS / "15_preferences" / "runs.json"
RULE = "lessons/story.py:cheerful"
KINDS = "fact", "opposite", "spelling"  # the first test prompt of each is shown with its answers
RL = "--init @both --method rl --eval-every 10"
DPO = "--init @both --eval-every 10 --checkpoint-every 10 --keep 15"
COMMANDS = {  # @NAME is the run of that name
    "default": "train",
    "both": "train --init @default --data builtin-pairs --side both --steps 60 --lr 1e-4",
    "reward": "prefer --init @both --method reward",
    "dpo": f"prefer {DPO}",
    "dpo-alone": f"prefer {DPO} --sft-weight 0",
    "rl-0.1": f"prefer {RL} --reward {RULE}",
    "rl-0.5": f"prefer {RL} --reward {RULE} --beta 0.5",
    "rl-0": f"prefer {RL} --reward {RULE} --beta 0 --lr 3e-4 --steps 30",
    "rl-learned": "prefer --init @both --method rl --eval-every 6 --reward @reward --beta 0 --lr 3e-4 --steps 60",
}


def cheerful(messages: list, answer: str, ended: bool) -> float:
    """The rule: 1 for an answer that ends with an exclamation mark."""
    return float(ended and answer.endswith("!"))


def main(folder: Path) -> None:
    for name, command in COMMANDS.items():
        if not (folder / name / "result.json").exists():
            words = [str(folder / word[1:]) if word.startswith("@") else word for word in command.split()]
            run = [sys.executable, "-m", f"minigpt.{words[0]}", *words[1:], "--run", str(folder / name)]
            subprocess.run(run, check=True)
    FIGURES.write_text(one_a_line(recorded(folder)), encoding="utf-8")
    print(f"Figures in {FIGURES}.")


def one_a_line(found: dict) -> str:
    """JSON with a line for each entry, so that a change can be read."""
    return "{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(part)}" for name, part in found.items()) + "\n}\n"


def recorded(folder: Path) -> dict:
    """The curve of the optimum, what was measured in each run, and some answers."""
    frontier = json.loads((folder / "rl-0.1" / "frontier.json").read_text("utf-8"))
    most = json.loads((folder / "rl-0.1" / "options.json").read_text("utf-8"))["max_new_tokens"]
    curve = [[point[name] for name in ("divergence", "reward", "effective_draws")] for point in frontier["curve"]]
    found = {"curve": [list(map(rounded, point)) for point in curve]}
    for name in ("rl-0.1", "rl-0.5"):
        here = json.loads((folder / name / "frontier.json").read_text("utf-8"))["here"]
        found[f"optimum {name[3:]}"] = [rounded(here["divergence"]), rounded(here["reward"])]
    learned = events(folder / "reward")[-1]
    found["reward"] = {name: rounded(learned[name]) for name in ("accuracy", "chosen_reward", "rejected_reward")}
    for name in ("rl-0.1", "rl-0.5", "rl-0", "rl-learned"):
        names = ("step", "reward", "divergence", "task")
        found[name] = [{name: rounded(event[name]) for name in names} for event in events(folder / name)]
    for name in ("dpo", "dpo-alone"):
        names = ("step", "loss", "accuracy", "chosen_logp", "rejected_logp", "task")
        found[name] = [{name: rounded(event[name]) for name in names} for event in events(folder / name)]
        for event, (reward, distance) in zip(found[name], along(folder / name, folder / "both", most), strict=True):
            event |= {"reward": reward, "divergence": distance}
    shown = [next(pair for pair in held_out() if pair.kind == kind) for kind in KINDS]
    found["asked"] = [[pair.prompt[-1]["content"], pair.chosen] for pair in shown]
    for name in ("both", "dpo", "dpo-alone", "rl-0.1", "rl-learned"):
        model, template = load_model(folder / name)
        found[f"said by {name}"] = answer(model, template, [pair.prompt for pair in shown], most)
    return found


def held_out() -> list[Pair]:
    return read_pairs([BUILTIN / "pairs-test.jsonl"])


def events(run: Path) -> list[dict]:
    """What was measured on the held-out pairs or prompts, the last of each step."""
    lines = map(json.loads, (run / "metrics.jsonl").read_text("utf-8").splitlines())
    return list({line["step"]: line for line in lines if line["split"] == "valid"}.values())


def rounded(value: float) -> float:
    return round(value, 3)


def along(run: Path, start: Path, most: int) -> list[tuple[float, float]]:
    """At the start and at each checkpoint of a run, on the test prompts: E r by the rule, and KL from the start."""
    (reference, template), (model, _) = load_model(start), load_model(start)
    found = [by_draws(model, reference, template, most)]
    for path in checkpoints(run / "checkpoint"):
        stored = open_checkpoint(path)
        model.load_state_dict({name: stored[f"model.{name}"].read() for name in model.state_dict()})
        found.append(by_draws(model, reference, template, most))
    return found


@torch.no_grad()
def by_draws(model: GPT, reference: GPT, template: Template, most: int) -> tuple[float, float]:
    prompts = [template.prompt(pair.prompt) for pair in held_out()]
    draws = draw(model, prompts, 1, template.end, most)
    said = [template.tokenizer.decode(each.answer[: len(each.answer) - each.ended]) for each in draws]
    rewards = [cheerful([], text, each.ended) for text, each in zip(said, draws, strict=True)]
    return rounded(sum(rewards) / len(rewards)), rounded(divergence(model, reference, as_rows(draws)).mean().item())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
