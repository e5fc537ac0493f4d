"""metrics.jsonl: one event per line."""

import json
import math
from collections.abc import Callable
from pathlib import Path

from minigpt.errors import UserError, warn

Observer = Callable[[dict], object]
FIGURES = {
    *("loss", "grad_norm", "accuracy", "reward", "divergence", "kl", "exact_match", "task", "cheerful"),
    *("chosen_logp", "rejected_logp", "chosen_reward", "rejected_reward"),
}  # that pictures are drawn of, and null if they were not finite


class Metrics:
    """Appends events to a file as they happen. When the file is opened again at `step`, later entries are dropped.

    At the `last` step the final evaluation is dropped too, because it will be done again: it comes after that step's
    checkpoint, so a run may have died during it.
    """

    def __init__(self, path: Path, step: int = 0, last: int | None = None) -> None:
        kept = [event for event in read_metrics(path) if event["step"] <= step] if step and path.exists() else []
        if step == last:
            kept = [event for event in kept if event["step"] < step or event["split"] == "train"]
        aside = path.with_suffix(".new")
        aside.write_text("".join(map(line_of, kept)))
        aside.replace(path)
        self._file = path.open("a")
        self.kept, self.observers = kept, []

    def write(self, step: int, split: str, **values: float | int | dict[str, float]) -> None:
        """Append one event; it is in the file when this returns. The observers get it too."""
        event = {"step": step, "split": split, **values}
        self._file.write(line_of(event))
        self._file.flush()
        for observer in [*self.observers]:
            try:
                observer(event)
            except Exception as error:  # a full disk, say: it must not cost the run, and this file has everything
                warn(f"the events are no longer written elsewhere than to {self._file.name}: {error}")
                self.observers.remove(observer)

    def observe(self, observer: Observer) -> None:
        """Call `observer` with the events that were kept, and with every new one."""
        for event in self.kept:
            observer(event)
        self.observers.append(observer)

    def close(self) -> None:
        self._file.close()


def read_metrics(path: Path) -> list[dict]:
    """The events of a metrics.jsonl; a last line that was cut short by a crash is ignored. A null figure is NaN again.

    An event has a loss, or it is of accuracy on the test, or of reward and divergence on held-out prompts. UserError
    for a file that cannot be read, or that contains anything else.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    events = []
    for number, line in enumerate(lines, start=1):
        try:
            event = json.loads(line)
            event["step"] = int(event["step"])
            needed = ("loss",)
            if event["split"] == "test":
                dict(event["accuracy_by_kind"])
                needed = ()
            elif event["split"] == "valid" and "loss" not in event:  # of a policy
                needed = ("reward", "divergence")
            for name in (*needed, *(FIGURES & event.keys())):
                event[name] = number_of(event[name])
            events.append(event)
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
            if number < len(lines):
                raise UserError(f"{path}, line {number} is not a valid event.") from None
    return events


def line_of(event: dict) -> str:
    return json.dumps(json_values(event), allow_nan=False) + "\n"


def json_values(value: object) -> object:
    """NaN and infinity, which JSON does not have, as null: pandas reads that as NaN, and so does `read_metrics`."""
    if isinstance(value, dict):
        return {key: json_values(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [json_values(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def number_of(value: float | int | None) -> float:
    return math.nan if value is None else float(value)
