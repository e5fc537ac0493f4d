"""Lesson 09: the learning rate rises in a line and falls along half a cosine."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minigpt.learn.schedule import warmup_then_decay


def test_warmup_is_the_documents_line() -> None:
    """eta_t = eta_max t / T_warmup; the first step is no longer a step of zero."""
    assert [warmup_then_decay(t, 0.8, 4, 100) for t in (1, 2, 3, 4)] == pytest.approx([0.2, 0.4, 0.6, 0.8], rel=1e-15)


def test_decay_is_half_a_cosine_from_the_step_after_the_warmup() -> None:
    rates = [warmup_then_decay(11 + n, 1.0, 10, 50, lr_min=0.2) for n in range(41)]
    expected = [0.2 + 0.8 * (1 + math.cos(math.pi * n / 40)) / 2 for n in range(41)]
    assert rates == pytest.approx(expected, rel=1e-14)
    assert rates[20] == pytest.approx(0.6)


def test_the_least_rate_is_that_of_the_step_after_the_last_and_later_ones_keep_it() -> None:
    assert warmup_then_decay(50, 1.0, 10, 50, lr_min=0.1) > 0.1
    assert warmup_then_decay(51, 1.0, 10, 50, lr_min=0.1) == pytest.approx(0.1)
    assert warmup_then_decay(70, 1.0, 10, 50, lr_min=0.1) == pytest.approx(0.1)


def test_without_a_warmup_the_first_step_has_the_highest_rate_and_so_has_the_only_one() -> None:
    assert warmup_then_decay(1, 0.5, 0, 100) == 0.5
    assert warmup_then_decay(1, 0.5, 0, 1) == 0.5
    assert warmup_then_decay(1, 0.5, 1, 1) == 0.5, "a warmup of one step reaches the peak in it"


@given(warmup=st.integers(0, 60), total=st.integers(1, 10**7), share=st.floats(0.0, 1.0))
@example(warmup=0, total=1, share=1.0)
@example(warmup=0, total=10**8, share=1.0)
def test_no_step_of_a_run_has_a_rate_of_zero(warmup: int, total: int, share: float) -> None:
    """A step at rate 0 reports success and moves no weight."""
    step = max(1, round(share * total))
    assert warmup_then_decay(step, 3e-3, min(warmup, total), total) > 0.0
    assert warmup_then_decay(total, 3e-3, min(warmup, total), total) > 0.0


@given(warmup=st.integers(0, 30), total=st.integers(1, 60), lr_min=st.floats(0.0, 0.5))
def test_the_rate_rises_to_its_maximum_then_only_falls(warmup: int, total: int, lr_min: float) -> None:
    rates = [warmup_then_decay(t, 1.0, warmup, total, lr_min) for t in range(1, total + 1)]
    rising, falling = rates[:warmup], rates[warmup:]
    assert rising == sorted(set(rising))
    assert falling == sorted(falling, reverse=True)
    assert all(lr_min < rate <= 1.0 for rate in falling)
    assert not falling or falling[0] == 1.0
    assert warmup == 0 or total < warmup or rates[warmup - 1] == 1.0
