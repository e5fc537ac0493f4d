"""The best weights so far by held-out loss (--keep-best), and the end of a run that improves no more (--patience)."""

import json
import math
import os
import shlex
import shutil
from pathlib import Path

from safetensors import SafetensorError

from minigpt.cli.layout import say
from minigpt.errors import UserError
from minigpt.model.gpt import GPT
from minigpt.preference.reward import RewardModel
from minigpt.reading import read_object
from minigpt.run.metrics import read_metrics
from minigpt.run.prefer_options import AnyOptions
from minigpt.text.template import Template, save_template

AnyModel = GPT | RewardModel
RECORD = "best.json"  # in best/: which step's weights these are, and their held-out loss


class Best:
    """Compares the losses of a run's evaluations, those before it was resumed included, and keeps the best weights."""

    def __init__(self, folder: Path, options: AnyOptions, template: Template) -> None:
        """UserError for a best/ whose record cannot be read."""
        self.folder, self.options, self.template = folder, options, template
        self.losses = held_out_losses(folder)
        self.step, self.loss = kept_in(folder / "best") if options.keep_best else (None, math.inf)

    def keep_initial(self, model: AnyModel) -> None:
        """Keep the initial weights, until others are better."""
        if self.options.keep_best and self.step is None and self.losses.keys() == {0}:
            self._replace(0, self.losses[0], model)

    def consider(self, step: int, loss: float, model: AnyModel) -> float:
        """Keep the weights as they are now if no evaluation had so low a loss; return the loss."""
        self.losses[step] = loss
        if self.options.keep_best and loss < self.loss:
            self._replace(step, loss, model)
        return loss

    @property
    def is_over(self) -> bool:
        """Whether as many evaluations as --patience allows have come since the one with the lowest loss."""
        return self.options.patience is not None and since_lowest(self.losses) >= self.options.patience

    def _replace(self, step: int, loss: float, model: AnyModel) -> None:
        """Write best/. At any instant it is complete, and its weights are at least as good as its record says: all is
        written beside it first, then the tensors are replaced, then the record. The other files stay the same."""
        best, incoming = self.folder / "best", self.folder / "best.incoming"
        try:
            shutil.rmtree(incoming, ignore_errors=True)
            write_model(incoming, model, self.template)
            (incoming / RECORD).write_text(json.dumps({"step": step, "loss": loss}) + "\n")
            if best.exists():
                for name in ("model.safetensors", RECORD):
                    os.replace(incoming / name, best / name)
                shutil.rmtree(incoming)
            else:
                incoming.rename(best)
        except (OSError, SafetensorError) as error:
            raise UserError(f"{best} cannot be written: {getattr(error, 'strerror', None) or error}.") from None
        self.step, self.loss = step, loss

    def after_training(self, step: int) -> None:
        """Print why the run ended before its last step, and where the best weights are."""
        patience = self.options.patience
        lowest = min((loss for loss in self.losses.values() if not math.isnan(loss)), default=math.nan)
        if self.is_over and step < self.options.steps:
            say(
                f"Stopped after step {step} of {self.options.steps}: {evaluations(patience)} in a row without a lower "
                f"held-out loss than {lowest:.3f}."
            )
            resume = f"python -m minigpt.train --resume --run {shlex.quote(str(self.folder))}"
            print(f"To continue: {resume} --patience {2 * patience}")
        if self.step is not None:
            since = f" since --keep-best was given (it was {lowest:.3f} before)" if lowest < self.loss else ""
            say(
                f"Lowest held-out loss{since} {self.loss:.3f}, after step {self.step}: {self.folder / 'best'} has "
                f"those weights, {self.folder / 'model'} the last ones, after step {step}."
            )


def is_due(step: int, options: AnyOptions) -> bool:
    """Whether to evaluate after this step; with --keep-best after the last one too, on the same rows."""
    return options.keep_best if step == options.steps else step % options.eval_every == 0


def write_model(folder: Path, model: AnyModel, template: Template) -> None:
    """Write the model's folder, with its template and tokenizer."""
    model.save_pretrained(folder)
    save_template(folder, template)


def held_out_losses(folder: Path) -> dict[int, float]:
    """The held-out loss of each step that was evaluated, in order; of two at a step the first, as at any other step.

    The second is the run's last evaluation, which may have read more rows.
    """
    losses: dict[int, float] = {}
    for event in read_metrics(folder / "metrics.jsonl"):
        if event["split"] == "valid":
            losses.setdefault(event["step"], event.get("loss", math.nan))
    return losses


def kept_in(best: Path) -> tuple[int | None, float]:
    """The step and the loss of the weights in best/; None and infinity if it does not exist."""
    if not best.exists():
        return None, math.inf
    record = read_object(best / RECORD)
    try:
        return int(record["step"]), float(record["loss"])
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{best / RECORD} does not hold a step and a loss; move {best} away.") from None


def since_lowest(losses: dict[int, float]) -> int:
    """How many evaluations came after the first of those with the lowest loss; NaN is never the lowest."""
    values = [math.inf if math.isnan(loss) else loss for loss in losses.values()]
    return len(values) - 1 - values.index(min(values)) if values else 0


def evaluations(count: int) -> str:
    return "1 evaluation" if count == 1 else f"{count} evaluations"


def check_not_over(folder: Path, step: int, patience: int | None) -> None:
    """UserError if the run in this folder ended at this step because it improved no more, and nothing has changed."""
    if patience is not None and (folder / "result.json").exists():
        losses = {at: loss for at, loss in held_out_losses(folder).items() if at <= step}
        if (count := since_lowest(losses)) >= patience:
            raise UserError(
                f"{folder} is finished: it stopped after step {step}, {evaluations(count)} in a row without a lower "
                "held-out loss. A larger --patience continues it."
            )
