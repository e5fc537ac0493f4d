"""Everything in the lessons that is generated, written again: `python -m lessons --fix`."""

import re
from collections.abc import Iterator
from pathlib import Path

from lessons.harness import fences, links
from lessons.harness.grade import SIGNS, Lesson

SECTION = re.compile(r"^\| ([A-E](?: \d+(?:\.\d+)?|, \w+)) \| .* \| ([^|]*?) ?\| [^|]* \|$", re.M)
TABLE = re.compile(r"^\| lesson \|.*?(?=^$)", re.M | re.S)
TO_COME = re.compile(r"^Not in a lesson yet: .*\n", re.M)
HEAD = "| lesson | formulas | computed in | documents | reading | exercises |\n|---|---|---|---|---|---|\n"


def figures() -> Iterator[tuple[Path, str]]:
    """Where each picture is kept, and what it should be."""
    for path in sorted(links.LESSONS.glob("[0-9]*/figures.py")):
        for name, draw in Lesson(path.parent.name).figures.FIGURES.items():
            yield path.parent / "figures" / name, draw()


def sections() -> dict[str, set[str]]:
    """The documents' sections in documents.md, and the formulas of each."""
    rows = SECTION.findall((links.LESSONS / "documents.md").read_text("utf-8"))
    return {section: set(re.findall(r"\d+\.\d+", formulas)) for section, formulas in rows}


def named(sections: list[str]) -> str:
    return ", ".join(section.replace(", ", " ") for section in sections)


def the_map() -> str:
    """lessons/README.md with its table of lessons renewed, and the sections of the documents that none of them has."""
    found, _ = links.places()
    rows, shown = HEAD, set()
    for readme in links.lessons():
        text, folder = readme.read_text("utf-8"), readme.parent.name
        title, minutes = re.match(r"# (.+)\n\n\*(\d+ minutes)\.", text).groups()
        numbers = [match["number"] for match in links.FORMULA.finditer(text)]
        homes = sorted({found[number][0].path for number in numbers if number in found})
        cited = {*links.cited(text), *(s for s in sections() if re.search(rf"\b{s}\b(?!\.\d)", text))}
        documents = [section for section, of in sections().items() if of & set(numbers) or section in cited]
        shown |= set(documents)
        linked = ", ".join(f"[{Path(home).name}](../{home})" for home in homes)
        graders = Lesson(folder).graders.values()
        rows += (
            f"| [{title}]({folder}/README.md) | {', '.join(f'({n})' for n in numbers)} "
            f"| {linked} | {named(documents)} | {minutes} "
            f"| {' '.join(SIGNS[e.level] for e in graders)} {sum(e.minutes for e in graders)} minutes |\n"
        )
    rest = [section for section in sections() if section not in shown]
    text = TABLE.sub(lambda _: rows, (links.LESSONS / "README.md").read_text("utf-8"))
    return TO_COME.sub(lambda _: f"Not in a lesson yet: {named(rest) or 'nothing'}.\n", text)


def mend() -> list[str]:
    """Links and lines, outputs, figures, the map: the files that changed, and what only an author can mend."""
    told = []

    def write(path: Path, text: str) -> None:
        if not path.exists() or path.read_text("utf-8") != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
            told.append(f"wrote {path.relative_to(links.ROOT)}")

    found, left = links.places()
    for path in links.lessons():
        number = int(path.parent.name[:2])
        write(path, links.check(path.read_text("utf-8"), number, found)[0])
        write(path, fences.with_outputs(path))
        _, wrong = links.check(path.read_text("utf-8"), number, found)
        left += [f"{path.relative_to(links.ROOT)}: {sentence}" for sentence in wrong]
    for path, text in figures():
        write(path, text)
    write(links.LESSONS / "README.md", the_map())
    return told + left or ["The lessons are up to date."]
