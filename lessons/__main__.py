"""`python -m lessons`: how far you are. No record is kept of it: the graders are asked again each time."""

import argparse
import inspect
import sys
from pathlib import Path

import minigpt  # noqa: F401 - before torch: see processor.py
from lessons.harness.grade import NOT_WRITTEN, SIGNS, all_lessons
from minigpt.cli import streams


def progress() -> str:
    """A line for each lesson with a sign for each exercise, and the first one that is not right yet."""
    lines, nearest = [], ""
    for lesson in all_lessons():
        states = []
        for exercise in lesson.graders.values():
            mine = lesson.answer(exercise)
            sentence = exercise.verdict(mine, lesson)
            states.append(SIGNS[exercise.level] + (" ✓" if not sentence else " ·" if NOT_WRITTEN in sentence else " ✗"))
            if sentence and not nearest:
                line = f":{inspect.getsourcelines(mine)[1]}" if mine else ""
                nearest = (
                    f"Next: {exercise.name} ({exercise.level}, {exercise.minutes} minutes), "
                    f"lessons/{lesson.folder}/exercises.py{line}\n{sentence}\n"
                    f"To check it: pytest lessons/{lesson.folder}/exercises.py::{exercise.name}"
                )
        lines.append(f"{lesson.folder.replace('_', ' '):20}{'  '.join(states)}")
    ready = "All are right. GPT-2 through your functions: pytest --mine FILE --mine FILE ..."
    return "\n".join([*lines, "", "✓ right  ✗ not right yet  · not written", "", nearest or ready])


def main() -> None:
    parser = argparse.ArgumentParser("python -m lessons", description="Says how far you are, and what is next.")
    parser.add_argument("--fix", action="store_true", help="write links, outputs, figures and the map again")
    parser.add_argument("--notebooks", metavar="DIR", type=Path, help="write every lesson as a notebook into DIR")
    streams.prepare()
    options = parser.parse_args()
    if options.fix:
        from lessons.harness.mend import mend

        print(*mend(), sep="\n")
    elif options.notebooks:
        from lessons.harness.notebooks import export

        print(*export(options.notebooks), sep="\n")
    else:
        sys.stdout.reconfigure(encoding="utf-8")
        print(progress())


if __name__ == "__main__":
    main()
