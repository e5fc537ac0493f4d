"""The frame around a run's steps: folder, lock, resuming, repeating, signals, errors."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import torch

from minigpt import __version__
from minigpt.cli.layout import say
from minigpt.errors import Interrupted, OfOneProcess, UserError
from minigpt.learn.parallel import ALONE, Team, is_lost
from minigpt.learn.trainer import NotFinite, Trainer
from minigpt.model.low_rank import merge
from minigpt.pretrained.tensor_files import resume_command
from minigpt.run.best import check_not_over
from minigpt.run.changes import Changes
from minigpt.run.checkpoint import check_torch, checkpoints, load_checkpoint, save_checkpoint
from minigpt.run.defaults import derived
from minigpt.run.folder import (
    Lock,
    check_free,
    new_folder,
    read_options,
    write_options,
)  # fmt: skip
from minigpt.run.identity import check_present, checksums
from minigpt.run.interruption import Interruption
from minigpt.run.memory import check_memory, out_of_memory
from minigpt.run.plots import draw_run
from minigpt.run.prefer_options import AnyOptions
from minigpt.run.report import Report
from minigpt.run.stopwatch import Stopwatch
from minigpt.text.corpus import PlainText
from minigpt.text.pair_splits import PreferenceData
from minigpt.text.splits import Data, write_bad_rows

AnyData = Data | PlainText | PreferenceData
T = TypeVar("T")


class Session:
    """The work on a run: `start`, the steps while `running`, `end`. Its errors are sentences for the user.

    As a context manager it holds the folder's lock; a resumed run takes it before anything is read. Of several
    processes the first alone writes to the folder; what it finds, or cannot do, all of them get.
    """

    def __init__(self, options: AnyOptions, team: Team = ALONE) -> None:
        """UserError for changed options that a resumed or repeated run does not allow."""
        self.team = team
        earlier = options.run if options.resume else options.repeat
        self.given, self.earlier, self.changes = options, read_options(earlier) if earlier else None, None
        if earlier:
            chosen = {name: value for name, value in asdict(options).items() if value != "auto"}
            Changes.between(self.earlier, chosen, not options.resume, options=type(options))
            check_present(options)
        if options.run and not options.resume:
            team.once(lambda: check_free(options.run))
        self.resuming, self.folder = options.resume, options.run
        self.trainer: Trainer | None = None
        self.stopwatch = Stopwatch()
        self._stack = ExitStack()

    def __enter__(self) -> "Session":
        if self.resuming:
            self.team.once(lambda: self._lock(self.folder))
        return self

    def _lock(self, folder: Path) -> None:
        self._stack.enter_context(Lock(folder))

    def start(self, options: AnyOptions, trainer: Trainer, data: AnyData, name: str) -> None:
        """Create the folder, or restore the trainer of a resumed run; from here on a signal ends it after its step.

        Without --run it is the next free number under runs/ after `name`. UserError if it does not fit into memory, if
        its data or initial weights have changed, or if it is finished.
        """
        check_memory(trainer, options)
        if trainer.sharded:
            check_torch()
        self.options, self.trainer = options, trainer
        record: dict = {}
        self.team.once(lambda: record.update(self._record(data)))
        if self.resuming and checkpoints(self.folder / "checkpoint"):
            load_checkpoint(self.folder / "checkpoint", trainer)
        self.folder = self.team.once(lambda: self._resumed(record) if self.resuming else self._new(record, data, name))
        if self.changes and (words := self.changes.in_words(trainer.step)):
            say(words)
        self._interruption = self._stack.enter_context(Interruption(lambda: f"step {trainer.step}"))

    def _record(self, data: AnyData) -> dict:
        """What options.json says of the run, compared with what it said when the run was started."""
        options = self.options
        left_out = derived(self.given, options)
        record = asdict(options) | {"derived": left_out, "version": __version__, "torch": torch.__version__}
        record |= {"command": options.command, "processes": self.team.size} | checksums(options, data.files)
        if self.earlier:
            now, repeating = asdict(options), not options.resume
            self.changes = Changes.between(self.earlier, now, repeating, left_out, type(options))
            self.changes.check_files(record)
        return record

    def _new(self, record: dict, data: AnyData, name: str) -> Path:
        folder = new_folder(self.options.run, name)
        self._lock(folder)
        write_options(folder, record | {"run": folder})
        write_bad_rows(folder / "bad_rows.jsonl", data.bad)
        return folder

    def _resumed(self, record: dict) -> Path:
        trainer, folder, steps = self.trainer, self.folder, self.options.steps
        if trainer.step > steps:
            raise UserError(f"{folder} has already taken {trainer.step} steps; --steps {steps} is already past.")
        if trainer.step == steps and (folder / "result.json").exists():
            raise UserError(f"{folder} is finished: it took its {steps} steps. A larger --steps continues it.")
        check_not_over(folder, trainer.step, self.options.patience)
        self.stopwatch.read(folder)
        (folder / "result.json").unlink(missing_ok=True)
        write_options(folder, self.changes.recorded(record, trainer.step))
        self.stopwatch.write(folder)
        return folder

    def look(self, report: Report | None, work: Callable[[Report], T]) -> T:
        """What `work` finds, by the first process, when `report` has the model as it is now; the others wait for it.

        That model is the one to save and to measure: whole, and with what adapters have learned in its weights.
        """
        model = self.trainer.gathered()

        def look() -> T:
            report.trained, report.model = model, merge(model)
            try:
                return work(report)
            finally:
                report.trained = report.model = self.trainer.model

        return self.team.once(look)

    @property
    def running(self) -> bool:
        """Whether to take another step; the processes agree on it."""
        return self.trainer.step < self.options.steps and not self.signal

    @property
    def signal(self) -> int:
        """The number of the signal that any of the processes got; 0 without one."""
        return self.team.any(self._interruption.signal)

    def save(self) -> None:
        """Write a checkpoint, and keep as many older ones as --keep allows."""
        save_checkpoint(self.folder / "checkpoint", self.trainer, self.options.keep)
        if self.team.leads:
            self.stopwatch.write(self.folder)

    def end(self) -> None:
        """Finish the steps. After a signal, save, say how to continue and exit with 128 plus the signal's number."""
        if signal := self.signal:
            self._stop(signal)

    def _stop(self, signal: int) -> None:
        self.save()
        self._draw()
        print(f"Stopped after step {self.trainer.step}. To continue: {resume_command(self.folder)}")
        raise SystemExit(128 + signal)

    def _draw(self) -> None:
        if self.team.leads:
            draw_run(self.folder)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Release the lock. After a signal within an evaluation, save and exit, as `end` does.

        A diverged run or one out of memory becomes a sentence that says what to do.
        """
        with self._stack:
            if isinstance(error, Interrupted):
                self._stop(self.signal)
            if self.team.size > 1 and is_lost(error):
                raise self._lost() from None
            if isinstance(error, NotFinite):
                self._draw()
                kept = [path.name for path in checkpoints(self.folder / "checkpoint")]
                lower = resume_command(self.folder, "--lr", f"{self.options.lr / 3:.1g}")
                raise UserError(
                    f"{error}\nCheckpoints: {', '.join(kept) or 'none yet'}. A lower rate may help: {lower}\n"
                    "It continues from the last checkpoint, so remove that one if it is corrupted."
                ) from None
            if isinstance(error, RuntimeError | MemoryError) and self.trainer:
                error = out_of_memory(error, self.trainer, self.options)
                if isinstance(error, UserError) and self.team.size > 1:
                    error = OfOneProcess(str(error), self.team.rank, self.team.size)
                raise error from None

    def _lost(self) -> UserError:
        """For a process whose team is not complete any more."""
        words = "Another process of this run ended; what it said stands above."
        if self.folder and checkpoints(self.folder / "checkpoint"):
            words += f" To continue from the last checkpoint: {resume_command(self.folder)}"
        # The first process may be the one that ended, and then the second says so.
        return OfOneProcess(words, self.team.rank, self.team.size) if self.team.rank == 1 else UserError(words)
