"""metrics.jsonl: one event per line."""

import json
from pathlib import Path

from minigpt.errors import UserError


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
        aside.write_text("".join(json.dumps(event) + "\n" for event in kept))
        aside.replace(path)
        self._file = path.open("a")

    def write(self, step: int, split: str, **values: float | int | dict[str, float]) -> None:
        """Append one event; it is in the file when this returns."""
        self._file.write(json.dumps({"step": step, "split": split, **values}) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def read_metrics(path: Path) -> list[dict]:
    """The events of a metrics.jsonl; a last line that was cut short by a crash is ignored.

    UserError for a file that cannot be read, or that contains anything else.
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
                raise UserError(f"{path}, line {number} is not a valid event.") from None
    return events
