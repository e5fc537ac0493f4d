"""Changed options of a resumed or repeated run, and their effect."""

import json
from dataclasses import dataclass

from minigpt.errors import UserError
from minigpt.run.folder import NOT_COMPARED
from minigpt.run.options import SHAPE

# What cannot change within a run: its rows, its tokens, the shape of its model.
FIXED = ("init", "size", *SHAPE, "data", "skip_bad", "valid", "template", "tokenizer", "max_length", "seed")
# Options that affect logging and storage only.
FREE = ("checkpoint_every", "keep", "eval_every", "accuracy_rows", "keep_best", "patience")
# Options that affect rounding only.
ROUNDING = ("device", "dtype", "math", "compile", "micro_batch_size")


@dataclass(frozen=True)
class Changes:
    """Options that differ from those a run was started with: the earlier and the new value of each."""

    earlier: dict
    found: dict[str, tuple]
    repeating: bool

    @classmethod
    def between(cls, earlier: dict, now: dict, repeating: bool) -> "Changes":
        """Compare the options; UserError for a change to what the run computes that is not allowed."""
        now = json.loads(json.dumps(now, default=str))  # as options.json writes it
        found = {k: (earlier.get(k), v) for k, v in now.items() if k not in NOT_COMPARED and earlier.get(k) != v}
        for name, (was, becomes) in found.items():
            option = f"--{name.replace('_', '-')}"
            if repeating and name not in FREE + ROUNDING:
                raise UserError(
                    f"{option} was {was!r} in the run to repeat; {becomes!r} would change what the run computes."
                )
            if name in FIXED:
                raise UserError(
                    f"{option} was {was!r} when the run was started and cannot become {becomes!r} within it; "
                    "start a new run, with --init to continue from this one's weights."
                )
        if repeating and earlier.get("changes"):
            first = earlier["changes"][0]
            raise UserError(
                f"The run cannot be repeated exactly: {first.get('option')} was changed at step {first.get('step')}."
            )
        return cls(earlier, found, repeating)

    def check_files(self, now: dict) -> None:
        """UserError if the data or the initial weights are no longer those that the run was started with."""
        for key in ("sha256", "init_sha256"):
            was = self.earlier.get(key, {})
            if differing := [name for name in was if was[name] != now[key].get(name)]:
                raise UserError(
                    f"{', '.join(differing)} changed since the run was started (its SHA-256 differs); "
                    "continuing would mix two runs."
                )
        if self.repeating and (was := (self.earlier.get("version"), self.earlier.get("torch"))) != (
            now["version"],
            now["torch"],
        ):
            print(
                f"The run used minigpt {was[0]} and torch {was[1]}, this one uses {now['version']} and "
                f"{now['torch']}: the last digits may differ."
            )

    def recorded(self, record: dict, step: int) -> dict:
        """options.json for a run that continues with these changes."""
        new = [{"step": step, "option": k, "from": was, "to": is_now} for k, (was, is_now) in self.found.items()]
        return record | {"changes": [*self.earlier.get("changes", []), *new]}

    def in_words(self, step: int) -> str:
        lines = []
        for name, (was, becomes) in self.found.items():
            if name in FREE:
                effect = "the training is the same"
            elif name in ROUNDING:
                effect = "the training is the same up to rounding"
            else:
                effect = f"from step {step + 1} on the training differs from the original run"
            lines.append(f"changed --{name.replace('_', '-')} {was} to {becomes}: {effect}")
        return "\n".join(lines)
