"""Options that the lessons bring: --mine puts a learner's functions in the package's place, --fix renews lessons."""

from collections import Counter
from pathlib import Path

import pytest

LESSONS = [Path(__file__).parent / folder for folder in ("lessons", "tests/lessons")]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("lessons")
    group.addoption(
        "--mine", metavar="FILE", action="append", help="a file whose functions take the package's place in its tests"
    )
    group.addoption("--fix", action="store_true", help="first write what is generated in the lessons")


def pytest_configure(config: pytest.Config) -> None:
    for marker in ("turtle: a formula", "dog: a small program", "lion: measured against the real thing"):
        config.addinivalue_line("markers", marker)
    config.addinivalue_line("markers", "fast_form: about the package's own lines or kernels; left out under --mine")
    if config.getoption("--fix") and not hasattr(config, "workerinput"):
        from lessons.harness.mend import mend

        print(*mend(), sep="\n")
    if files := config.getoption("--mine"):
        from hypothesis import Phase, settings

        from lessons.harness import mine

        # A wrong function fails many properties; looking for the smallest example of each would take minutes.
        settings.register_profile("mine", phases=[Phase.explicit, Phase.generate], database=None)
        settings.load_profile("mine")
        try:
            config.mine = mine.put_all(files)
        except (OSError, LookupError) as error:
            raise pytest.UsageError(str(error)) from None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    report = yield
    if hasattr(item.config, "mine") and report.when != "setup":  # what a test's fixtures call counts as its own
        from lessons.harness.mine import calls

        report.user_properties.append(("mine", dict(calls)))
        calls.clear()
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "mine"):
        ours = {item for item in items if any(item.path.is_relative_to(folder) for folder in LESSONS)}
        left_out = ours | {item for item in items if item.get_closest_marker("fast_form")}
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter) -> None:
    if not (placed := getattr(terminalreporter.config, "mine", {})):
        return
    through: dict[str, Counter] = {name: Counter() for name in placed}
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for key, calls in report.user_properties:
                for name, n in calls.items() if key == "mine" else ():
                    through[name][outcome] += 1
                    through[name]["calls"] += n
    terminalreporter.section("your functions in the package")
    for name, n in through.items():
        terminalreporter.line(
            f"{name}: called {n['calls']:,} times; of the tests through it {n['passed']} passed, {n['failed']} failed"
            if n["calls"] else f"{name}: no test called it, so nothing is proven"
        )  # fmt: skip
        exercise, verdict = placed[name]
        terminalreporter.line(f"  in place of {', '.join(exercise.places)}; its grader says: {verdict}")
