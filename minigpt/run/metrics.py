"""metrics.jsonl: a line an event. Read with lesson 09."""

import json
from pathlib import Path

from minigpt.errors import UserError


class Metrics:
    """Events appended to a file as they happen. Opened again at `step`, it forgets what was written of later steps.

    At the `last` step it also forgets the final evaluation, which is about to be done again: it comes after that step's
    checkpoint, so a run may have died within it.
    """

    def __init__(self, path: Path, step: int = 0, last: int | None = None) -> None:
        kept = [event for event in read_metrics(path) if event["step"] <= step] if step and path.exists() else []
        if step == last:
            kept = [event for event in kept if event["step"] < step or event["split"] == "train"]
        aside = path.with_suffix(".new")
        aside.write_text("".join(json.dumps(event) + "\n" for event in kept))
        aside.replace(path)
        self._file = path.open("a")

    def write(self, step: int, split: str, **values: float | int | dict[str, float]) -> None:
        """One event; the file holds it once this returns."""
        self._file.write(json.dumps({"step": step, "split": split, **values}) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def read_metrics(path: Path) -> list[dict]:
    """The events of a metrics.jsonl; a last line that was cut short by a crash is no event.

    UserError for a file that cannot be read, or that holds anything else.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    events = []
    for number, line in enumerate(lines, start=1):
        try:
            event = json.loads(line)
            if event["split"] == "test":
                dict(event["accuracy_by_kind"])
            else:
                float(event["loss"]), float(event.get("grad_norm", 0.0))
            events.append({**event, "step": int(event["step"])})
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
            if number < len(lines):
                raise UserError(f"{path}, line {number} is not an event of a run.") from None
    return events
