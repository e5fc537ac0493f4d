"""A learner's functions in the package's place, for its tests (`pytest --mine FILE`) and for its commands:

    python -m lessons.harness.mine FILE minigpt.generate --model runs/mine --prompt "Once"

The package's function stays the object that it is, so `from x import y` done earlier, a table or a default argument go
through it as before; its *code* becomes a call to the learner's. Shapes in its signature are checked as before too.
"""

import importlib
import importlib.util
import inspect
import runpy
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from pkgutil import resolve_name
from types import FunctionType

import minigpt  # noqa: F401 - before torch: see processor.py
from lessons.harness.grade import Exercise, Lesson, all_lessons, is_stub

calls: Counter[str] = Counter()  # how often each of the learner's functions was called


def exercises_with_places() -> dict[str, tuple[Lesson, Exercise]]:
    return {e.name: (lesson, e) for lesson in all_lessons() for e in lesson.graders.values() if e.places}


def load(file: Path) -> dict[str, Callable]:
    """The functions of a learner's file that have a place in the package, without those not yet written."""
    file = file.resolve()
    if file.parents[1] == Path(__file__).parents[1]:
        module = importlib.import_module(f"lessons.{file.parent.name}.{file.stem}")
    else:
        spec = importlib.util.spec_from_file_location("mine", file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    named = {name: f for name in exercises_with_places() if inspect.isfunction(f := getattr(module, name, None))}
    return {name: f for name, f in named.items() if not (f.__module__.startswith("minigpt.") or is_stub(f))}


def put_all(files: Sequence[str | Path]) -> dict[str, tuple[Exercise, str]]:
    """Grade every function of the files, then put it in its places: of each, the exercise and its grader's sentence."""
    known = exercises_with_places()
    mine = {name: function for file in files for name, function in load(Path(file)).items()}
    if not mine:
        raise LookupError(
            f"{', '.join(map(str, files))}: no function here that is written and has a place in the package; "
            f"those with a place are {', '.join(known)}."
        )
    graded = {name: (known[name][1], known[name][1].verdict(f, known[name][0]) or "right.") for name, f in mine.items()}
    for name, (exercise, _) in graded.items():
        for place in exercise.places:
            put(place, mine[name], name)
    return graded


def put(place: str, mine: Callable, name: str) -> Callable[[], None]:
    """`mine` in one place of the package; the result takes it out again."""
    target = resolve_name(place)
    while hasattr(target, "__wrapped__"):  # what checks the shapes stays around it
        target = target.__wrapped__
    key, inside = f"__mine_{target.__qualname__.replace('.', '_')}", []

    def counted(*args, **kwargs):
        if inside:
            raise RecursionError(f"Your {name} calls the package's {place}, whose place it has taken.")
        calls[name] += 1
        inside.append(name)
        try:
            return mine(*args, **kwargs)
        finally:
            inside.pop()

    before = target.__code__, target.__defaults__, target.__kwdefaults__
    target.__globals__[key] = counted
    scope: dict[str, FunctionType] = {}
    exec(f"def stand_in(*args, **kwargs): return {key}(*args, **kwargs)", scope)
    target.__code__, target.__defaults__, target.__kwdefaults__ = scope["stand_in"].__code__, None, None

    def undo() -> None:
        target.__code__, target.__defaults__, target.__kwdefaults__ = before

    return undo


def main() -> None:
    if len(sys.argv) < 3:
        sys.exit("Usage: python -m lessons.harness.mine FILE minigpt.COMMAND ...")
    try:
        placed = put_all(sys.argv[1:2])
    except (OSError, LookupError) as error:
        sys.exit(str(error))
    for name, (exercise, verdict) in placed.items():
        print(f"Your {name} in place of {', '.join(exercise.places)}; its grader says: {verdict}", file=sys.stderr)
    sys.argv = sys.argv[2:]
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    finally:
        print(f"Calls: {', '.join(f'{name} {calls[name]:,}' for name in placed)}.", file=sys.stderr)


if __name__ == "__main__":
    main()
