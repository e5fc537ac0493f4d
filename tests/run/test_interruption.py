"""Lesson 09: what ends a run early ends it in order, and what does not reach the run does not end it."""

import contextlib
import signal
import threading
from collections.abc import Iterator

import pytest

from minigpt.run.interruption import SIGNALS, Interrupted, Interruption, measuring


@pytest.fixture(autouse=True)
def handlers_restored() -> Iterator[None]:
    """A test that leaves one behind fails, and the next starts with Python's own."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    after = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        signal.signal(number, handler)
    assert after == before


def interruption() -> Interruption:
    return Interruption(lambda: "step 12")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_acknowledged_at_once_with_the_step_and_nothing_is_raised(number: int, capsys) -> None:
    with interruption() as run:
        signal.raise_signal(number)
        assert run.signal == number
    assert capsys.readouterr().err == "\nfinishing step 12, then saving; Ctrl-C again ends at once\n"


def test_signals_that_come_twice_by_themselves_end_nothing(capsys) -> None:
    """`timeout` sends its own twice, a closing terminal SIGHUP, and the service manager SIGHUP after SIGTERM."""
    with interruption() as run:
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGHUP, signal.SIGHUP):
            signal.raise_signal(number)
        assert run.signal == signal.SIGTERM
    assert capsys.readouterr().err.count("finishing") == 1


@pytest.mark.parametrize("first", SIGNALS)
def test_a_ctrl_c_after_any_signal_ends_at_once(first: int) -> None:
    with interruption():
        signal.raise_signal(first)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_is_ignored_stays_ignored(number: int) -> None:
    """By nohup, or in the background of a script."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with interruption() as run:
            signal.raise_signal(number)
            assert run.signal == 0
        assert signal.getsignal(number) == signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_in_a_thread_which_gets_no_signals_a_run_goes_on_without(capsys) -> None:
    seen = []

    def work() -> None:
        with interruption() as run, measuring():
            seen.append(run.signal)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [0]


def test_a_measurement_is_abandoned_in_its_middle_and_no_other_begins(capsys) -> None:
    done = []
    with interruption() as run:
        with contextlib.suppress(Interrupted), measuring():
            done.append(1)
            signal.raise_signal(signal.SIGTERM)
            done.append(2)
        with pytest.raises(Interrupted), measuring():
            done.append(3)
        assert run.signal == signal.SIGTERM
    assert done == [1]
    assert "leaving the evaluation after step 12, then saving" in capsys.readouterr().err


def test_outside_of_a_run_a_measurement_is_just_done() -> None:
    with measuring(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
