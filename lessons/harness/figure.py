"""Small drawings as SVG text: the same bytes every time, legible on a light and on a dark page.

GitHub shows an SVG as an image, whose `prefers-color-scheme` is the system's, not the page's. So nothing depends on it:
text and lines are of a gray that stands out on both, and numbers are written in opaque cells.
"""

from collections.abc import Sequence
from html import escape

INK = "#737b85"  # contrast 4.3 on white, 4.4 on GitHub's dark page
BLUE, ORANGE = "#2f81f7", "#d9730d"  # for curves; both above 3 on either page
PALE, STRONG = (234, 240, 247), (9, 105, 218)  # a cell of weight 0, of weight 1
ROW = 30


class Drawing:
    """A picture that grows by calls; `svg()` is its text. Coordinates are pixels from the top left corner."""

    def __init__(self, width: float, height: float, title: str) -> None:
        self.lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
            f'height="{height:g}" role="img" font-family="ui-monospace, monospace" font-size="14" fill="{INK}">',
            f"<title>{escape(title)}</title>",
        ]

    def text(self, x: float, y: float, words: str, anchor: str = "start", **more: str) -> None:
        """`anchor` is start, middle or end; `more` are SVG attributes (font_weight="bold", fill=...)."""
        attributes = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in more.items())
        place = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self.lines.append(f'<text x="{x:g}" y="{y:g}"{place}{attributes}>{escape(words)}</text>')

    def cell(self, x: float, y: float, width: float, weight: float, label: str | None = None) -> None:
        """An opaque box, the darker the larger its weight (0 to 1), with the weight or `label` in it."""
        box = f'x="{x:g}" y="{y:g}" width="{width - 2:g}" height="{ROW - 2}" rx="4"'
        color = "".join(f"{round(a + weight * (b - a)):02x}" for a, b in zip(PALE, STRONG, strict=True))
        self.lines.append(f'<rect {box} fill="#{color}"/>')
        ink = "#ffffff" if weight > 0.8 else "#1f2328"
        if label != "":
            self.text(x + width / 2 - 1, y + 19, f"{weight:.2f}" if label is None else label, "middle", fill=ink)

    def curve(self, points: Sequence[tuple[float, float]], color: str = INK, width: float = 2.0) -> None:
        """Straight lines from point to point."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.lines.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="{width:g}"/>')

    def svg(self) -> str:
        return "\n".join([*self.lines, "</svg>", ""])


def tables(
    tables: Sequence[Sequence[Sequence[float | None]]], names: Sequence[str], titles: Sequence[str], title: str,
    columns: Sequence[str] | None = None, cell: int = 54,
) -> str:  # fmt: skip
    """Tables of weights side by side, a row for each of `names`, a column for each of `columns` (`names` if left out).

    A row may be shorter than the others, and a weight may be None: what the mask hides is left blank.
    """
    columns, left = columns or names, 20 + 9 * max(map(len, names))
    drawing = Drawing(left + len(tables) * (len(columns) * cell + 40) - 30, 70 + len(names) * ROW, title)
    for i, (rows, name) in enumerate(zip(tables, titles, strict=True)):
        x = left + i * (len(columns) * cell + 40)
        drawing.text(x, 16, name, font_weight="bold")
        for s, column in enumerate(columns):
            drawing.text(x + (s + 0.5) * cell - 1, 48, column.strip(), "middle")
        for t, row in enumerate(rows):
            if i == 0:
                drawing.text(left - 10, 77 + t * ROW, names[t].strip(), "end")
            for s, weight in enumerate(row):
                if weight is not None:
                    drawing.cell(x + s * cell, 58 + t * ROW, cell, weight)
    return drawing.svg()
