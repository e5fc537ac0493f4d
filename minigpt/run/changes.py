"""Changed options of a resumed or repeated run, and their effect."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields

from minigpt.errors import UserError
from minigpt.run.folder import NOT_COMPARED
from minigpt.run.identity import NAMING, check_same
from minigpt.run.options import SHAPE, Options

# What cannot change within a run: its rows, its tokens, the shape of its model; what NAMING names is compared by bytes.
FIXED = ("method", "size", *SHAPE, "skip_bad", "side", "template", "max_length", "seed", "lora_rank", "lora_alpha")
# Options that affect logging and storage only.
FREE = ("checkpoint_every", "keep", "eval_every", "accuracy_rows", "keep_best", "patience", "log")
# Options that affect rounding only.
ROUNDING = ("device", "dtype", "math", "compile", "micro_batch_size", "recompute", "shard")
IN_STEPS = "epochs"  # an effect of its own it has none: --steps says how many they are
OLD_SCHEDULE = (
    "The run was started with an earlier version, in whose schedule the last step had the rate 0; the rates of its "
    "decay are a little higher now."
)


@dataclass(frozen=True)
class Changes:
    """Options that differ from those a run was started with: the earlier and the new value of each."""

    earlier: dict
    found: dict[str, tuple]
    repeating: bool
    derived: Sequence[str] = ()

    @classmethod
    def between(
        cls, earlier: dict, now: dict, repeating: bool, derived: Sequence[str] = (), options: type = Options
    ) -> "Changes":
        """Compare the options that have a value; UserError for a change to what the run computes that is not allowed.

        `derived` names those of `now` that were left out and follow from others; `options` is the command's dataclass.
        """
        now = json.loads(json.dumps(now, default=str))  # as options.json writes it
        earlier = {field.name: field.default for field in fields(options)} | earlier  # an earlier version had fewer
        earlier = json.loads(json.dumps(earlier, default=str))
        found = {
            name: (earlier.get(name), value)
            for name, value in now.items()
            if name not in (*NOT_COMPARED, IN_STEPS) and value is not None and earlier.get(name) != value
        }
        for name, (was, becomes) in found.items():
            option = f"--{name.replace('_', '-')}"
            if repeating and name not in FREE + ROUNDING + NAMING:
                raise UserError(
                    f"{option} was {was!r} in the run to repeat; {becomes!r} would change what the run computes."
                )
            if name in FIXED:
                raise UserError(
                    f"{option} was {was!r} when the run was started and cannot become {becomes!r} within it; "
                    "start a new run, with --init to continue from this one's weights."
                )
        changed = [change for change in earlier.get("changes", []) if change.get("option") not in FREE + ROUNDING]
        if repeating and changed:
            option = str(changed[0].get("option")).replace("_", "-")
            raise UserError(
                f"The run cannot be repeated exactly: --{option} was changed at step {changed[0].get('step')}."
            )
        return cls(earlier, found, repeating, derived)

    def check_files(self, now: dict) -> None:
        """UserError if the data, the initial weights or the tokenizer are not those that the run was started with."""
        check_same(self.earlier, now)
        if (former := self.earlier.get("processes", 1)) != (now_in := now.get("processes", 1)):
            number = f"{former} process" + "es" * (former != 1)
            print(f"The run was made by {number}, this is {now_in}: the same but for rounding.")
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
        new = [
            {"step": step, "option": name, "from": was, "to": becomes}
            for name, (was, becomes) in self.found.items()
            if name not in NAMING
        ]
        changes = [*self.earlier.get("changes", []), *new]
        return record | ({"changes": changes} if changes else {})

    def in_words(self, step: int) -> str:
        lines = [] if "derived" in self.earlier else [OLD_SCHEDULE]
        for name, (was, becomes) in self.found.items():
            if name in FREE:
                effect = "the training is the same"
            elif name in NAMING:
                effect = "the same bytes, so the training is the same"
            elif name in ROUNDING:
                effect = "the training is the same up to rounding"
            else:
                effect = f"from step {step + 1} on the training differs from the original run"
            follows = ", which follows from the others" if name in self.derived else ""
            lines.append(f"changed --{name.replace('_', '-')} {_text(was)} to {_text(becomes)}{follows}: {effect}")
        return "\n".join(lines)


def _text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
