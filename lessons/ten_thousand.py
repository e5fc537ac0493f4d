"""Document D 7 run: 10,000 conversations, 5 epochs. `python -m lessons.ten_thousand`, in five to ten minutes.

D supposes a final loss of 1.95. This trains `tiny` by the ordinary command on 10,000 conversations from the built-in
data's own generators, none of which asks what the held-out or the test conversations ask, and writes the figures to
lessons/14_evaluation/ten_thousand.json. The conversations and the run are kept in runs/.
"""

import json
from itertools import count
from pathlib import Path

import minigpt  # noqa: F401 - before torch: see processor.py
from lessons.harness.links import LESSONS
from minigpt import evaluate, train
from minigpt.run.metrics import read_metrics
from minigpt.text.builtin.write import KINDS, draw, messages
from minigpt.text.records import BUILTIN, read_conversations

N, EPOCHS = 10_000, 5
LAST_STEPS = 100  # whose mean loss is the final training loss: one step alone has 16 conversations
FIGURES = LESSONS / "14_evaluation" / "ten_thousand.json"


def asked(conversation: list[dict[str, str]]) -> tuple[str, ...]:
    """What is asked, by which two conversations are compared; "color" counts as "colour"."""
    return tuple(message["content"].replace("color", "colour") for message in conversation[:-1])


def conversations(n: int) -> list[dict]:
    """`n` rows that the generators can write, in an order by hash, without the held-out and the test questions."""
    kept_out = read_conversations([BUILTIN / "valid.jsonl", BUILTIN / "test.jsonl"])
    never = {asked(row.messages) for row in kept_out}
    rows = {
        draw(kind, texts): {"kind": kind, "messages": messages(texts, answer)}
        for kind, tasks in KINDS.items()
        for texts, answer in tasks()
    }
    fresh = [row for _, row in sorted(rows.items()) if asked(row["messages"]) not in never]
    return fresh[:n]


def main() -> None:
    folder = next(path for i in count(1) if not (path := Path("runs") / f"ten-thousand-{i}").exists())
    folder.mkdir(parents=True)
    data, run, figures = folder / "train.jsonl", folder / "run", folder / "figures.json"
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in conversations(N)]
    data.write_text("".join(lines), encoding="utf-8", newline="\n")
    train.main(train.Options(data=(str(data),), valid=str(BUILTIN / "valid.jsonl"), epochs=float(EPOCHS), run=run))
    evaluate.main(evaluate.Options(model=str(run), json=figures))
    losses = [event["loss"] for event in read_metrics(run / "metrics.jsonl") if event["split"] == "train"]
    result, test = (json.loads(path.read_text("utf-8")) for path in (run / "result.json", figures))
    names = ("loss", "perplexity", "accuracy")
    found = {
        "conversations": len(lines),
        "steps": result["steps"],
        "training_loss": sum(losses[-LAST_STEPS:]) / LAST_STEPS,
        "held_out_loss": result["valid_loss"],
        "held_out_perplexity": result["valid_perplexity"],
        "test_tokens": test["supervised_tokens"],
        **{f"test_{name}": test[name] for name in names},
        **{f"test_{name}_interval": test[f"{name}_interval"] for name in names},
    }
    FIGURES.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(f"{FIGURES}:")
    for name, value in found.items():
        print(f"  {name}: {value}")
    print(f"Document D 7 supposes a loss of 1.95, perplexity 7.03; here {result['valid_perplexity']:.2f}, per byte.")


if __name__ == "__main__":
    main()
