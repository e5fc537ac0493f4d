"""Lesson 10: what this machine cannot do is a sentence before the run begins."""

import pytest
import torch

from minigpt import GPT, GPTConfig
from minigpt.errors import UserError
from minigpt.model.light import LightGPT
from minigpt.run import device
from minigpt.run.device import check_compiler, place, place_to_read


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


def test_without_a_compiler_a_model_that_is_only_read_is_read_without(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def compiling(function, **options):
        raise RuntimeError("No working C++ compiler found")

    monkeypatch.setattr(torch, "compile", compiling)
    model, ids = GPT(GPTConfig.named("tiny")).eval(), torch.tensor([[1]])
    expected = model(ids)
    assert torch.equal(place_to_read(model, "cpu", compiled=True)(ids), expected)
    error = capsys.readouterr().err
    assert error.startswith("warning: --compile does not work here: No working C++ compiler found. It needs")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("has_kernel", "math", "weights", "warned"),
    [
        (False, "fast", "int8", True),
        (True, "fast", "int8", False),
        (False, "fast", "bfloat16", False),
        (False, "explicit", "int8", False),  # which is not meant to be fast
    ],
)
def test_without_a_product_of_integers_it_is_said_that_it_is_slower(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    has_kernel: bool,
    math: str,
    weights: str,
    warned: bool,
) -> None:
    monkeypatch.setattr(device, "HAS_KERNEL", has_kernel)
    model = place_to_read(GPT(GPTConfig.named("tiny")), "cpu", math, weights)
    assert isinstance(model, LightGPT)
    assert model.is_explicit == (math == "explicit")
    assert ("--weights int8 does not have its full speed here" in capsys.readouterr().err) == warned
