"""Lesson 10: what this machine cannot do is a sentence before the run begins."""

import pytest
import torch

from minigpt import GPT, GPTConfig
from minigpt.errors import UserError
from minigpt.run.device import check_compiler, place


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (
            RuntimeError("\nInvalidCxxCompiler: No working C++ compiler found.\n\nSet TORCHDYNAMO_VERBOSE=1"),
            "compiler found. ",
        ),
        (RuntimeError("fatal error: Python.h: No such file or directory"), "Python.h: No such file or directory. "),
        (NotImplementedError(), "NotImplementedError. "),
    ],
    ids=str,
)
def test_without_a_compiler_compile_is_refused_with_the_way_on(
    monkeypatch: pytest.MonkeyPatch, error: Exception, part: str
) -> None:
    def compiling(function):
        raise error

    monkeypatch.setattr(torch, "compile", compiling)
    model = GPT(GPTConfig.named("tiny"))
    with pytest.raises(UserError, match="--compile does not work here: ") as caught:
        place(model, "cpu", compiled=True)
    assert f"{part}It needs a working C++ compiler and Python's headers" in str(caught.value)
    assert "without --compile the same is computed" in str(caught.value)
    assert "TORCHDYNAMO" not in str(caught.value)
    place(model, "cpu", compiled=False)


def test_no_two_compilations_that_try_it_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache would answer the second one where there is no compiler any more. The run's own draws are not touched."""
    values, state = [], torch.get_rng_state()
    monkeypatch.setattr(torch, "compile", lambda f: lambda x: (values.append(float(f(x).detach())), f(x))[1])
    for _ in range(2):
        check_compiler(torch.device("cpu"))
    assert values[0] != values[1]
    assert torch.equal(torch.get_rng_state(), state)
