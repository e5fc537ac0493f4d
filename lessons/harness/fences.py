"""A lesson's fences, run by pytest: ```python in one namespace, and a ```text right after it is what was printed.

A fence first runs those before it that this process has not run yet, so one can be picked (`README.md::fence-4`), and
pytest-xdist may hand a lesson's fences to different workers. Numbers are compared to the digits that are shown.
"""

import ast
import contextlib
import io
import re
import traceback
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import pytest
import torch
from beartype import beartype
from jaxtyping import jaxtyped
from sybil import Document, Example, Region, Sybil

FENCE = re.compile(r"^```python\n(?P<code>.*?)^```\n(?:\n*```text\n(?P<shown>.*?)^```\n)?", re.M | re.S)
NUMBER, HALF = re.compile(r"-?\d+\.\d*(?:e[+-]?\d+)?"), Decimal("0.5")
checked = jaxtyped(typechecker=beartype)


def parse(document: Document) -> Iterable[Region]:
    for match in FENCE.finditer(document.text):
        yield Region(match.start(), match.end(), match, evaluate)


def run(example: Example) -> str:
    """Run one fence; what it printed. Shapes in its signatures are checked as the package's are."""
    line = example.document.text.count("\n", 0, example.parsed.start("code"))
    tree = ast.parse("\n" * line + example.parsed["code"], example.path)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.decorator_list.append(ast.copy_location(ast.Name("__checked", ast.Load()), node))
    names = example.namespace
    names.setdefault("__name__", "lesson")
    names["__checked"] = checked
    printed = io.StringIO()
    # What other tests draw from torch's generator between two fences must not change the lesson's numbers.
    with contextlib.redirect_stdout(printed), torch.random.fork_rng(devices=[]):
        torch.set_rng_state(names.get("__rng", torch.Generator().manual_seed(0).get_state()))
        exec(compile(ast.fix_missing_locations(tree), example.path, "exec"), names)
        names["__rng"] = torch.get_rng_state()
    return printed.getvalue()


def evaluate(example: Example) -> str | None:
    """None if the fence does what the lesson says, else what went wrong."""
    done: dict[int, str | Exception] = example.namespace.setdefault("__done", {})  # by position, what each one printed
    for fence in example.document.examples():
        if fence.start > example.start or isinstance(done.get(fence.start), Exception):
            break
        if fence.start not in done:
            try:
                done[fence.start] = run(fence)
            except Exception as error:
                done[fence.start] = error
                break
    if example.start not in done:
        pytest.skip("an earlier fence failed")
    printed, shown = done[example.start], example.parsed["shown"]
    if isinstance(printed, Exception):
        return stopped(printed, example)
    if agrees(printed, shown):
        return None
    said = f"the lesson shows\n{shown}but" if shown else "no ```text fence shows what it prints:"
    return f"{said} it printed\n{printed}(python -m lessons --fix writes what was printed)"


def agrees(printed: str, shown: str | None) -> bool:
    """Whether the words are the same, and the numbers when rounded to the digits shown."""
    texts = printed, shown or ""
    words, shown_words = (NUMBER.sub("#", text).split() for text in texts)
    pairs = zip(*(map(Decimal, NUMBER.findall(text)) for text in texts), strict=False)
    return words == shown_words and all(abs(a - b) <= HALF.scaleb(b.as_tuple().exponent) for a, b in pairs)


def stopped(error: Exception, example: Example) -> str:
    """The lesson's own lines that the error went through, and its message; not the whole lesson."""
    frames = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == example.path]
    own = [f"  line {i}: {example.document.text.splitlines()[i - 1].strip()}" for i in frames]
    return "\n".join([*own, f"{type(error).__name__}: {error}"])


def with_outputs(path: Path) -> str:
    """--fix: the lesson's text with what its fences print now, where that differs from what it shows."""
    document = Document.parse(str(path), parse)
    fences = {fence.start: fence for fence in document.examples()}

    def renewed(match: re.Match) -> str:
        try:
            printed = run(fences[match.start()])
        except Exception as error:
            raise SystemExit(f"{path}\n{stopped(error, fences[match.start()])}") from None
        if agrees(printed, match["shown"]):
            return match[0]
        return f"```python\n{match['code']}```\n" + (f"\n```text\n{printed}```\n" if printed else "")

    return FENCE.sub(renewed, document.text)


class Fences(Sybil):
    """Fences are known by their number, `README.md::fence-4`: lines move."""

    def identify(self, example: Example) -> str:
        return f"fence-{1 + sum(fence.start < example.start for fence in example.document.examples())}"
