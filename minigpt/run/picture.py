"""How every picture looks, and what happens when one cannot be drawn."""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure  # not pyplot: importing this changes no notebook's backend

from minigpt.errors import UserError, warn
from minigpt.text.printing import on_one_line, shortened
from minigpt.writing import check_writable

# Okabe and Ito's colors, which differ for the color-blind too; each also has a marker of its own.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "os^DvPX"
GRAY = "#666666"
STYLE = {
    "text.parse_math": False,  # text from files is drawn as it is: $ and _ are no markup
    "text.usetex": False,
    "axes.formatter.use_mathtext": False,
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
    "legend.fontsize": 9,
}
DPI = 150
LONGEST = 34  # characters of a name in a picture


@contextlib.contextmanager
def picture(out: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure to draw on, in inches, which is then written to `out` in the format of its suffix, else as PNG."""
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # it is drawn as a box
        figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
        yield figure
        figure.savefig(out, dpi=DPI, format=out.suffix[1:].lower() or "png")


@contextlib.contextmanager
def optional(out: Path) -> Iterator[None]:
    """A picture that cannot be drawn becomes a warning, whatever the reason: it must not cost a run its figures."""
    try:
        yield
    except Exception as error:
        why = shortened(on_one_line(str(error).strip()) or type(error).__name__)
        warn(f"{out} could not be drawn ({why}); the run and its figures are not affected.")


def check_picture(out: Path) -> None:
    """UserError if no picture can be written there, or not in that format."""
    formats = Figure().canvas.get_supported_filetypes()
    if out.suffix and out.suffix[1:].lower() not in formats:
        raise UserError(f"{out} cannot be written: {out.suffix} is none of the formats {', '.join(formats)}.")
    check_writable(out)


def label(text: str) -> str:
    """A name from a file, as short as a picture needs it; its end is kept, in which names often differ."""
    text = on_one_line(text)
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2 - 2]}...{text[1 - LONGEST // 2 :]}"
