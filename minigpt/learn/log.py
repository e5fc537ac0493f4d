"""metrics.jsonl: a line an event. Read with lesson 09."""

import json
from pathlib import Path


class Metrics:
    """Events appended to a file as they happen. Opened again at `step`, it forgets what was written of later steps."""

    def __init__(self, path: Path, step: int = 0) -> None:
        kept = [event for event in read_metrics(path) if event["step"] <= step] if path.exists() else []
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
    """The whole events of a metrics.jsonl; a last line that was cut short by a crash is no event."""
    events = []
    for line in path.read_text().splitlines():
        try:
            events.append(json.loads(line))
        except ValueError:
            break
    return events
