"""Lessons as notebooks: `python -m lessons --notebooks DIR`. A python fence is a cell, the text after it its output."""

import os
import re
from pathlib import Path

import jupytext
import nbformat.v4 as v4

from lessons.harness.links import ROOT, lessons

LINK = re.compile(r"(\]\()(?!https?:|#)([^)]+\))")
MATH = re.compile(r"^```math\n(.*?)\n```$", re.M | re.S)
OUTPUT = re.compile(r"\A```text\n(.*?)^```\n*", re.M | re.S)
START = """\
# So that `lessons` and `minigpt` are found from this folder.
import sys

sys.path.insert(0, {root!r})
import minigpt  # before torch, as minigpt sets what torch reads when it is imported"""


def notebook(readme: Path, folder: Path) -> dict:
    """A lesson as a notebook that is kept in `folder`: its links lead from there."""
    here = Path(os.path.relpath(readme.parent, folder)).as_posix()
    text = MATH.sub(r"$$\1$$", readme.read_text("utf-8")).replace("```py\n", "```\n")  # shown, not run
    book, cells = jupytext.reads(text, "md"), []
    for cell in book.cells:
        if cell.cell_type == "markdown":
            if cells and (match := OUTPUT.match(cell.source + "\n")):
                cells[-1].outputs = [v4.new_output("stream", name="stdout", text=match[1])]
                cell.source = cell.source[match.end() :].strip()
            cell.source = LINK.sub(rf"\1{here}/\2", cell.source)
        if cell.source:
            cells.append(cell)
    book.cells = [cells[0], v4.new_code_cell(START.format(root=os.path.relpath(ROOT, folder))), *cells[1:]]
    book.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return book


def export(folder: Path) -> list[Path]:
    """Every lesson as folder/NN_name.ipynb."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {readme: folder / f"{readme.parent.name}.ipynb" for readme in lessons()}
    for readme, path in written.items():
        jupytext.write(notebook(readme, folder.resolve()), path)
    return list(written.values())
