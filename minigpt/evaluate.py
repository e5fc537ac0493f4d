"""`python -m minigpt.evaluate --model RUN`: perplexity on answers and exact match. Read with lesson 14."""

import json
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from minigpt import command
from minigpt.device import Device, choose_device
from minigpt.errors import UserError
from minigpt.learn.loss import perplexity
from minigpt.measure.accuracy import answer, exact_match
from minigpt.measure.perplexity import response_loss
from minigpt.model.gpt import GPT
from minigpt.pretrained import model_folder
from minigpt.text.examples import fit
from minigpt.text.records import BUILTIN, read_conversations
from minigpt.text.template import template_of


@dataclass
class Options:
    """Measure a model on conversations: how surprised it is by the right answers, and how often it gives them."""

    model: str
    """A run's folder, a model's folder, or the name of an official size."""
    data: tuple[str, ...] = ("builtin",)
    """JSON Lines files, or builtin, the built-in test split."""
    template: str | None = None
    """How a conversation is laid out; what the model was trained with if left out."""
    max_length: int | None = None
    """T_max, the tokens of a conversation; the model's context if left out."""
    limit: int | None = None
    """Only the first so many conversations."""
    answers: bool = True
    """Also answer them, greedily, and count the exact matches."""
    batch_size: int = 32
    """Conversations read side by side; it changes the time taken, not the figures."""
    device: Device = "auto"
    """Where to compute; auto takes a CUDA GPU if there is one."""
    json: Path | None = None
    """Write the figures into this file too."""


def main(options: Options) -> None:
    if options.batch_size < 1 or (options.limit is not None and options.limit < 1):
        raise UserError("--batch-size and --limit must be above 0.")
    device = choose_device(options.device)
    folder = model_folder(options.model)
    template = template_of(folder, options.template)
    paths = [BUILTIN / "test.jsonl" if name == "builtin" else Path(name) for name in options.data]
    conversations = read_conversations(paths)[: options.limit]
    model = GPT.from_pretrained(folder).to(device)
    template.check(model.config.tokens)
    model.use_only(len(template.tokenizer))
    n_ctx = model.config.n_ctx
    fitted = fit(conversations, template, min(options.max_length or n_ctx, n_ctx))
    with tqdm(total=len(conversations), desc="reading", unit="row", leave=False) as bar:
        nll, count = response_loss(model, fitted.examples, options.batch_size, progress=bar.update)
    figures = {
        "rows": len(conversations),
        "supervised_tokens": count,
        "loss": nll / count,
        "perplexity": perplexity(nll, count),
    }
    print(f"{folder}: {len(conversations):,} conversations, {count:,} answer tokens ({fitted})")
    print(f"loss {nll / count:.4f}, perplexity {perplexity(nll, count):.4f}")
    if options.answers:
        longest = max(len(template.tokenizer.encode(row.messages[-1]["content"])) for row in conversations)
        asked = [row.messages[:-1] for row in fitted.conversations]
        with tqdm(total=len(asked), desc="answering", unit="row", leave=False) as bar:
            answers = answer(model, template, asked, longest + 1, options.batch_size, bar.update)
        accuracy = exact_match(conversations, answers)
        figures |= {"accuracy": accuracy.overall, "accuracy_by_kind": accuracy.by_kind}
        print(accuracy)
    if options.json:
        try:
            options.json.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        except OSError as error:
            raise UserError(f"{options.json} cannot be written: {error.strerror}.") from None


if __name__ == "__main__":
    command.run(Options, main, "evaluate")
