"""Lesson 02's pictures, from the trained model: `python -m lessons --fix` draws them, a test compares them."""

from lessons.harness.figure import BLUE, Drawing, tables
from lessons.trained import trained_model


def digits() -> str:
    """The cosines between the rows of the digits, to two decimals."""
    model, _ = trained_model()
    rows = model.wte.weight.detach().double()[ord("0") : ord("9") + 1]
    rows = rows / rows.norm(dim=1, keepdim=True)
    cosines = [row[: i + 1] for i, row in enumerate((rows @ rows.T).tolist())]
    return tables(
        [cosines], list("0123456789"), ["cosine of two rows of E"], "Cosines between the rows of E for the ten digits"
    )


def positions() -> str:
    """How long each row of P is: what training has moved, and what still has its first random numbers."""
    model, _ = trained_model()
    lengths = model.wpe.weight.detach().double().norm(dim=1).tolist()
    drawing = Drawing(640, 240, "The length of each row of P, by position")
    left, bottom, across, up = 50, 205, 2.2, 190
    drawing.text(left, 16, "length of the row P(t), by position t", font_weight="bold")
    for height in (0.0, 0.2, 0.4, 0.6, 0.8):
        drawing.text(left - 8, bottom - height * up + 5, f"{height:.1f}", "end")
        drawing.curve([(left, bottom - height * up), (left + 256 * across, bottom - height * up)], width=0.5)
    for t in (0, 50, 105, 150, 200, 255):
        drawing.text(left + t * across, bottom + 20, str(t), "middle")
    drawing.text(left + 120 * across, bottom - 0.14 * up, "no text in training is this long")
    drawing.curve([(left + t * across, bottom - length * up) for t, length in enumerate(lengths)], BLUE)
    return drawing.svg()


FIGURES = {"digits.svg": digits, "positions.svg": positions}
