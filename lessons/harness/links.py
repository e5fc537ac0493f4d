"""Formulas and lines of code that point at one another.

In a lesson: a ```math block that ends in `\\qquad (n.m)`. Under it `python -m lessons --fix` writes a link to where the
formula is computed, and the lines themselves, so that the two are read together and cannot drift apart.

In the package: `# eq n.m` on the line that computes the formula, or on the first and the last of the lines that do;
`# eq n.m, fast` on a line that computes the same by torch's kernel.
"""

import ast
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
LESSONS = ROOT / "lessons"
MARK = re.compile(r"\s*# eq (?P<number>\d+\.\d+)(?:, (?P<form>\w+))?$")
FORMULA = re.compile(
    r"^```math\n(?P<body>.*?)\\qquad \((?P<number>\d+\.\d+)\)\n```\n(?P<written>\n→ [^\n]*\n(?:\n```py\n.*?^```\n)?)?",
    re.M | re.S,
)
# "document B 2.1", "documents A 4.2, B 4 and C 3.2", "document B 3.1, 5.1"
SECTION = r"(?:[A-E] )?\d+(?:\.\d+)*"
CITATION = re.compile(rf"\bdocuments? ([A-E] \d+(?:\.\d+)*(?:(?:, (?:and )?| and |; |-){SECTION})*)", re.I)
NOT_ON_GITHUB = re.compile(r"\\(operatorname|tag|DeclareMathOperator|label|ref)\b")
LONGEST = 12  # lines that one formula may take


def lessons() -> list[Path]:
    """Each lesson's README.md, in order."""
    return sorted(LESSONS.glob("[0-9]*/README.md"))


def cited(text: str) -> list[str]:
    """The documents' sections that a text cites; a number without a letter is of the document named before it."""
    sections = []
    document = ""
    for citation in CITATION.findall(re.sub(r"\n\s*#?\s*", " ", text)):
        for letter, number in re.findall(r"(?:([A-E]) )?(\d+(?:\.\d+)*)", citation):
            document = letter or document
            sections.append(f"{document} {number}")
    return sections


@dataclass(frozen=True)
class Place:
    """Lines of the package that compute a formula; `form` is None for the explicit ones."""

    path: str
    first: int
    last: int
    form: str | None
    within: str  # the innermost function around them

    @property
    def link(self) -> str:
        return f"../../{self.path}#L{self.first}" + (f"-L{self.last}" if self.last > self.first else "")


def places(root: Path = ROOT) -> tuple[dict[str, list[Place]], list[str]]:
    """Where each formula is computed, the explicit form first; and a sentence for each that has not one such place."""
    found: dict[str, list[Place]] = defaultdict(list)
    wrong = []
    for path in sorted((root / "minigpt").rglob("*.py")):
        text, name = path.read_text("utf-8"), path.relative_to(root).as_posix()
        marked = defaultdict(list)
        for i, line in enumerate(text.splitlines(), 1):
            if mark := MARK.search(line):
                marked[mark["number"], mark["form"]].append(i)
        functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)] if marked else []
        for (number, form), lines in marked.items():
            around = [f for f in functions if f.lineno <= lines[0] <= f.end_lineno]
            within = max(around, key=lambda f: f.lineno).name if around else path.stem
            for first, last in [(lines[0], lines[-1])] if form is None else [(i, i) for i in lines]:
                found[number].append(Place(name, first, last, form, within))
            crosses = any(lines[0] < f.lineno <= lines[-1] for f in functions)
            if form is None and (len(lines) > 2 or lines[-1] - lines[0] >= LONGEST or crosses):
                wrong.append(f"({number}) is on lines {lines} of {name}; mark one, or the first and last of a few.")
    for number, here in found.items():
        here.sort(key=lambda place: place.form is not None)
        explicit = [place.path for place in here if place.form is None]
        if len(explicit) != 1:
            wrong.append(f"({number}) is computed in {explicit or 'no file'}; it needs one home.")
    return dict(found), wrong


def written(here: list[Place], root: Path = ROOT) -> str:
    """What is written under a formula: the link, those of the other forms, and the lines."""
    home, *others = here
    lines = f"line {home.first}" if home.first == home.last else f"lines {home.first} to {home.last}"
    text = f"\n→ [`{home.within}`, {lines}]({home.link}) of `{home.path}`"
    for other in others:
        text += f"; {other.form} form in [`{other.within}`, line {other.first}]({other.link})"
    source = (root / home.path).read_text("utf-8").splitlines(keepends=True)[home.first - 1 : home.last]
    return f"{text}\n\n```py\n{dedent(''.join(source))}```\n"


def check(text: str, number_of_lesson: int, found: dict[str, list[Place]], root: Path = ROOT) -> tuple[str, list[str]]:
    """A lesson's text with what is under its formulas renewed, and a sentence for everything that was wrong."""
    wrong: list[str] = []
    seen: list[str] = []

    def renewed(match: re.Match) -> str:
        number, body = match["number"], match["body"]
        seen.append(number)
        if bad := NOT_ON_GITHUB.search(body):
            wrong.append(f"({number}) uses {bad[0]}, which GitHub does not render.")
        if number not in found:
            wrong.append(f"({number}) has no line in the package; mark it with `# eq {number}`.")
            return match[0]
        right = written(found[number], root)
        if match["written"] != right:
            wrong.append(f"({number}) should be followed by:{right}")
        return f"```math\n{body}\\qquad ({number})\n```\n{right}"

    new = FORMULA.sub(renewed, text)
    if (blocks := text.count("```math\n")) != len(seen):
        wrong.append(f"{blocks} ```math blocks, but {len(seen)} of them end with \\qquad (n.m).")
    own = [number for number in found if int(float(number)) == number_of_lesson]
    wrong += [f"({n}) is marked in {found[n][0].path} but is not in this lesson." for n in own if n not in seen]
    wrong += [f"({n}) appears {seen.count(n)} times in this lesson." for n in sorted(set(seen)) if seen.count(n) > 1]
    return new, wrong
