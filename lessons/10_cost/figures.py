"""Lesson 10's pictures, from the package's own counts: `python -m lessons --fix` draws them, a test compares them."""

from bisect import bisect_left

from lessons.harness.figure import BLUE, INK, ORANGE, ROW, Drawing
from minigpt import GPTConfig
from minigpt.measure.cost import activation_bytes, forward_flops, training_bytes

SIZES = ("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl")


def crossing() -> str:
    """Attention's share of a layer's operations over T; it reaches a half at T = 12 C."""

    def share(config: GPTConfig, T: int) -> float:
        once, twice = (forward_flops(config, n) - 2 * n * config.n_embd * config.vocab_size for n in (T, 2 * T))
        return (twice - 2 * once) / 2 / once  # of a T + b T^2: b T^2 / (a T + b T^2)

    drawing = Drawing(700, 340, "Attention's share of a layer's operations, for the four sizes, over the text's length")
    x, y = (lambda T: 60 + T * 0.026), (lambda share: 290 - share * 360)
    drawing.text(10, 18, "attention's share of a layer's operations", font_weight="bold")
    for level in (0.0, 0.25, 0.5):
        drawing.curve([(x(0), y(level)), (x(20_000), y(level))], width=0.5)
        drawing.text(50, y(level) + 5, f"{level:.0%}", "end")
    drawing.curve([(x(1024), y(0)), (x(1024), y(0.6))], width=0.5)
    drawing.text(x(1024), y(0.6) - 6, "T = 1,024", "middle")
    for name, color in zip(SIZES, (BLUE, INK, INK, ORANGE), strict=True):
        config = GPTConfig.named(name)
        lengths = [1, *range(500, 20_001, 500)]
        drawing.curve([(x(T), y(share(config, T))) for T in lengths], color)
        drawing.text(x(20_000) + 8, y(share(config, 20_000)) + 5, name, fill=color)
        half = 1 + bisect_left(range(1, 20_001), 0.5, key=lambda T, config=config: share(config, T))
        drawing.curve([(x(half), y(0.5)), (x(half), y(0))], color, 1)
        drawing.text(x(half), y(0) + 18, f"{half:,}", "middle", fill=color)
    drawing.text(x(0), y(0) + 18, "0", "middle")
    drawing.text(x(10_000), y(0) + 40, "T, the tokens of the text", "middle")
    return drawing.svg()


def memory() -> str:
    """What a step holds: 16 bytes a parameter, and the activations of one row of 1,024 tokens in both forms."""
    drawing = Drawing(760, 64 + ROW * (len(SIZES) + 1), "Bytes of a training step for the four sizes, in GB")
    left, scale = 120, 14.5
    bottom = 40 + ROW * len(SIZES)
    for GB in (0, 8, 16, 24, 32, 40):
        drawing.curve([(left + GB * scale, 26), (left + GB * scale, bottom)], width=0.5)
        drawing.text(left + GB * scale, 18, f"{GB} GB" if GB else "0", "middle")
    for i, name in enumerate(SIZES):
        config = GPTConfig.named(name)
        drawing.text(left - 10, 34 + i * ROW + 19, name, "end")
        fast, explicit = (activation_bytes(config, 1, 1024, 1024, form) for form in (False, True))
        held, end = training_bytes(config), float(left)
        for nbytes, weight in zip((held / 4, held / 4, held / 2, fast, explicit - fast), SHADES.values(), strict=True):
            width = nbytes / 1e9 * scale
            drawing.cell(end, 34 + i * ROW, width + 2, weight, f"{nbytes / 1e9:.1f}" if width > 30 else "")
            end += width
    x = left
    for label, weight in SHADES.items():
        width = 22 + 8.6 * len(label)
        drawing.cell(x, bottom + 14, width, weight, label)
        x += width + 4
    return drawing.svg()


SHADES = {"weights": 1.0, "gradients": 0.85, "moments": 0.6, "activations of a row": 0.3, "more if explicit": 0.0}
FIGURES = {"memory.svg": memory, "crossing.svg": crossing}
