"""What lesson 08's judge says of a head_nll whose sum is right: its gradients, and what exists at a time."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from lessons.harness.grade import Lesson

LESSON = Lesson("08_loss")


def written_out(change: Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]) -> Callable:
    """A head_nll with these gradients: `change` gets h, E, p, d_logits and the gradient by the sum."""

    class Head(torch.autograd.Function):
        @staticmethod
        def forward(ctx, h: Tensor, E: Tensor, y: Tensor) -> Tensor:
            ctx.save_for_backward(h, E, y)
            return F.cross_entropy(h @ E.T, y, reduction="sum")

        @staticmethod
        def backward(ctx, d_total: Tensor) -> tuple[Tensor, Tensor, None]:
            h, E, y = ctx.saved_tensors
            p = (h @ E.T).softmax(-1)
            return *change(h, E, p, p - F.one_hot(y, len(E)), d_total), None

    return Head.apply


def in_a_loop(h: Tensor, E: Tensor, y: Tensor) -> Tensor:
    parts = zip(h.split(64), y.split(64), strict=True)
    return E.new_zeros(()) + sum(F.cross_entropy(a @ E.T, b, reduction="sum") for a, b in parts)


def in_one_piece(h: Tensor, E: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(h @ E.T, y, reduction="sum")


def one_piece_computed_again(h: Tensor, E: Tensor, y: Tensor) -> Tensor:
    return checkpoint(in_one_piece, h, E, y, use_reentrant=False)


def chunks_computed_again(h: Tensor, E: Tensor, y: Tensor) -> Tensor:
    parts = zip(h.split(64), y.split(64), strict=True)
    return E.new_zeros(()) + sum(checkpoint(in_one_piece, a, E, b, use_reentrant=False) for a, b in parts)


WRONG = {
    "softmax alone": written_out(lambda h, E, p, d_z, d: (d * p @ E, d * p.T @ h)),
    "of the mean": written_out(lambda h, E, p, d_z, d: (d * d_z @ E / len(h), d * d_z.T @ h / len(h))),
    "last chunk only": written_out(lambda h, E, p, d_z, d: (d * d_z @ E, d * d_z[128:].T @ h[128:])),
    "turned around": written_out(lambda h, E, p, d_z, d: (-d * d_z @ E, -d * d_z.T @ h)),
    "E gets no gradient": written_out(lambda h, E, p, d_z, d: (d * d_z @ E, 0 * E)),
    "hidden rows get no gradient": written_out(lambda h, E, p, d_z, d: (0 * h, d * d_z.T @ h)),
    "gradient by hidden is not": written_out(lambda h, E, p, d_z, d: (d * p * d_z @ E, d * d_z.T @ h)),
    "gradient by E is not": written_out(lambda h, E, p, d_z, d: (d * d_z @ E, d * (p * d_z).T @ h)),
    "ignores the gradient by the sum": written_out(lambda h, E, p, d_z, d: (d_z @ E, d_z.T @ h)),
    "tensor of 49,152 numbers": in_one_piece,
    "numbers for the backward pass": in_a_loop,
    "no gradient comes through": lambda h, E, y: in_one_piece(h.detach(), E.detach(), y),
}


@pytest.mark.parametrize("said", WRONG)
def test_a_right_sum_with_a_wrong_gradient_or_all_logits_is_told(said: str) -> None:
    assert said in LESSON.graders["head_nll"].verdict(WRONG[said], LESSON)


def test_computing_each_chunk_again_is_as_good_as_a_function_of_one_s_own_and_the_whole_again_is_not() -> None:
    head_nll = LESSON.graders["head_nll"]
    assert head_nll.verdict(chunks_computed_again, LESSON) is None
    assert "tensor of 49,152 numbers" in head_nll.verdict(one_piece_computed_again, LESSON)


def test_a_gradient_that_was_computed_in_place_is_a_right_answer() -> None:
    def nll_gradient(logits: Tensor, targets: Tensor) -> Tensor:
        P = logits.softmax(-1)
        P[range(len(targets)), targets] -= 1.0
        return P / len(targets)

    assert LESSON.graders["nll_gradient"].verdict(nll_gradient, LESSON) is None


def test_the_package_s_own_functions_are_right_answers() -> None:
    from minigpt.learn import loss

    for name in ("token_nll", "perplexity"):
        assert LESSON.graders[name].verdict(getattr(loss, name), LESSON) is None
    assert LESSON.graders["token_nll"].verdict(loss.token_nll_fast, LESSON) is None
