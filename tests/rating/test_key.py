"""What the names in a page tell: nothing."""

import random

from minigpt.rating.key import draw_name

WORDS = 624  # of the generator's state


def undo(value: int, step) -> int:
    """The x of value = x ^ step(x), where step shifts and masks."""
    found = value
    for _ in range(32):
        found = value ^ step(found)
    return found


def state_word(output: int) -> int:
    """The word of the Mersenne Twister's state that it tempered to this number."""
    output = undo(output, lambda x: x >> 18)
    output = undo(output, lambda x: x << 15 & 0xEFC60000)
    output = undo(output, lambda x: x << 7 & 0x9D2C5680)
    return undo(output, lambda x: x >> 11)


def generator_after(names: list[str]) -> random.Random:
    """The generator that drew them, if each is a number of 64 bits of it, whose low half comes first."""
    numbers = [int(name, 16) >> shift & 0xFFFFFFFF for name in names for shift in (0, 32)]
    found = random.Random()
    found.setstate((3, (*map(state_word, numbers[-WORDS:]), WORDS), None))
    return found


def test_the_names_do_not_tell_the_generator_that_draws_the_sides_too():
    draw = random.Random(1)
    shown = [f"{draw.getrandbits(64):016x}" for _ in range(WORDS)]
    assert generator_after(shown).getrandbits(64) == draw.getrandbits(64), "numbers tell what comes next"
    shown = [draw_name(draw) for _ in range(WORDS)]
    assert len({*shown}) == WORDS
    assert generator_after(shown).getrandbits(64) != draw.getrandbits(64)
    assert draw_name(generator_after(shown)) != draw_name(draw)
