"""The frame around a run's steps: folder, lock, resuming, repeating, signals, errors."""

from contextlib import ExitStack
from dataclasses import asdict
from types import TracebackType

import torch

from minigpt import __version__
from minigpt.cli.layout import say
from minigpt.errors import UserError
from minigpt.learn.trainer import NotFinite, Trainer
from minigpt.pretrained.tensor_files import resume_command
from minigpt.run.best import check_not_over
from minigpt.run.changes import Changes
from minigpt.run.checkpoint import checkpoints, load_checkpoint, save_checkpoint
from minigpt.run.defaults import derived
from minigpt.run.folder import (
    Lock,
    check_free,
    new_folder,
    read_options,
    write_options,
)  # fmt: skip
from minigpt.run.identity import check_present, checksums
from minigpt.run.interruption import Interrupted, Interruption
from minigpt.run.memory import check_memory, out_of_memory
from minigpt.run.plots import draw_run
from minigpt.run.prefer_options import AnyOptions
from minigpt.run.stopwatch import Stopwatch
from minigpt.text.corpus import PlainText
from minigpt.text.pair_splits import PreferenceData
from minigpt.text.splits import Data, write_bad_rows

AnyData = Data | PlainText | PreferenceData


class Session:
    """One process's work on a run: `start`, the steps while `running`, `end`. Its errors are sentences for the user.

    As a context manager it holds the folder's lock; a resumed run takes it before anything is read.
    """

    def __init__(self, options: AnyOptions) -> None:
        """UserError for changed options that a resumed or repeated run does not allow."""
        earlier = options.run if options.resume else options.repeat
        self.given, self.earlier, self.changes = options, read_options(earlier) if earlier else None, None
        if earlier:
            chosen = {name: value for name, value in asdict(options).items() if value != "auto"}
            Changes.between(self.earlier, chosen, not options.resume, options=type(options))
            check_present(options)
        if options.run and not options.resume:
            check_free(options.run)
        self.resuming, self.folder = options.resume, options.run
        self.trainer: Trainer | None = None
        self.stopwatch = Stopwatch()
        self._stack = ExitStack()

    def __enter__(self) -> "Session":
        if self.resuming:
            self._stack.enter_context(Lock(self.folder))
        return self

    def start(self, options: AnyOptions, trainer: Trainer, data: AnyData, name: str) -> None:
        """Create the folder, or restore the trainer of a resumed run; from here on a signal ends it after its step.

        Without --run it is the next free number under runs/ after `name`. UserError if it does not fit into memory, if
        its data or initial weights have changed, or if it is finished.
        """
        check_memory(trainer)
        left_out = derived(self.given, options)
        record = asdict(options) | {"derived": left_out, "version": __version__, "torch": torch.__version__}
        record["command"] = options.command
        record |= checksums(options, data.files)
        if self.earlier:
            now, repeating = asdict(options), not options.resume
            self.changes = Changes.between(self.earlier, now, repeating, left_out, type(options))
            self.changes.check_files(record)
        self.options, self.trainer = options, trainer
        if self.resuming:
            self._resume(record)
        else:
            self.folder = new_folder(options.run, name)
            self._stack.enter_context(Lock(self.folder))
            write_options(self.folder, record | {"run": self.folder})
            write_bad_rows(self.folder / "bad_rows.jsonl", data.bad)
        if self.changes and (words := self.changes.in_words(trainer.step)):
            say(words)
        self._interruption = self._stack.enter_context(Interruption(lambda: f"step {trainer.step}"))

    def _resume(self, record: dict) -> None:
        trainer, folder, steps = self.trainer, self.folder, self.options.steps
        if checkpoints(folder / "checkpoint"):
            load_checkpoint(folder / "checkpoint", trainer)
        if trainer.step > steps:
            raise UserError(f"{folder} has already taken {trainer.step} steps; --steps {steps} is already past.")
        if trainer.step == steps and (folder / "result.json").exists():
            raise UserError(f"{folder} is finished: it took its {steps} steps. A larger --steps continues it.")
        check_not_over(folder, trainer.step, self.options.patience)
        self.stopwatch.read(folder)
        (folder / "result.json").unlink(missing_ok=True)
        write_options(folder, self.changes.recorded(record, trainer.step))
        self.stopwatch.write(folder)

    @property
    def running(self) -> bool:
        """Whether to take another step."""
        return self.trainer.step < self.options.steps and not self._interruption.signal

    def save(self) -> None:
        """Write a checkpoint, and keep as many older ones as --keep allows."""
        save_checkpoint(self.folder / "checkpoint", self.trainer, self.options.keep)
        self.stopwatch.write(self.folder)

    def end(self) -> None:
        """Finish the steps. After a signal, save, say how to continue and exit with 128 plus the signal's number."""
        if self._interruption.signal:
            self._stop()

    def _stop(self) -> None:
        self.save()
        draw_run(self.folder)
        print(f"Stopped after step {self.trainer.step}. To continue: {resume_command(self.folder)}")
        raise SystemExit(128 + self._interruption.signal)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Release the lock. After a signal within an evaluation, save and exit, as `end` does.

        A diverged run or one out of memory becomes a sentence that says what to do.
        """
        with self._stack:
            if isinstance(error, Interrupted):
                self._stop()
            if isinstance(error, NotFinite):
                draw_run(self.folder)
                kept = [path.name for path in checkpoints(self.folder / "checkpoint")]
                lower = resume_command(self.folder, "--lr", f"{self.options.lr / 3:.1g}")
                raise UserError(
                    f"{error}\nCheckpoints: {', '.join(kept) or 'none yet'}. A lower rate may help: {lower}\n"
                    "It continues from the last checkpoint, so remove that one if it is corrupted."
                ) from None
            if isinstance(error, RuntimeError | MemoryError) and self.trainer:
                raise out_of_memory(error, self.trainer) from None
