"""Lesson 13: the gradient's two parts, and what each way to divide the loss does to them."""

import pytest
import torch

from minigpt import GPT, GPTConfig
from minigpt.measure.gradients import REDUCTIONS, Reduction, gradient_parts
from minigpt.text.examples import Example


@pytest.fixture
def model() -> GPT:
    torch.manual_seed(0)
    return GPT(GPTConfig(vocab_size=50, n_ctx=32, n_embd=16, n_head=2, n_layer=2, bos_token_id=0))


@pytest.fixture
def examples() -> list[Example]:
    generator = torch.Generator().manual_seed(0)
    rows = []
    for i, (asked, answered) in enumerate([(3, 20), (2, 9), (5, 2), (1, 1)]):
        ids = torch.randint(50, (asked + answered,), generator=generator).tolist()
        rows.append(Example(ids, [False] * asked + [True] * answered, f"row {i}"))
    return rows


def whole_gradient(model: GPT, examples: list[Example], reduction: Reduction) -> torch.Tensor:
    """By autograd from the loss as a reader would write it, row by row, over all logits."""
    rows = []
    for example in examples:
        ids = torch.tensor(example.ids)
        nll = -model(ids[None])[0, :-1].log_softmax(-1).gather(-1, ids[1:, None])
        rows.append(nll.flatten())
    loss = {
        "sum": sum(row.sum() for row in rows),
        "mean over tokens": torch.cat(rows).mean(),
        "mean over examples": torch.stack([row.mean() for row in rows]).mean(),
    }[reduction]
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_the_two_parts_add_up_to_the_gradient_of_the_loss(model, examples, reduction) -> None:
    """|g|^2 = |g_Q|^2 + |g_R|^2 + 2 |g_Q| |g_R| cos, and |g| is that of the loss written plainly."""
    parts = gradient_parts(model, examples, reduction)
    assert parts.whole == pytest.approx(whole_gradient(model, examples, reduction).norm().item(), rel=1e-5)
    sides = parts.instruction**2 + parts.response**2 + 2 * parts.instruction * parts.response * parts.cosine
    assert parts.whole**2 == pytest.approx(sides, rel=1e-5)


def test_the_response_part_is_the_gradient_of_the_response_loss(model, examples) -> None:
    """Masking leaves exactly this part."""
    loss = sum(
        -model(torch.tensor(e.ids)[None])[0, :-1].log_softmax(-1).gather(-1, torch.tensor(e.ids)[1:, None])[
            torch.tensor(e.supervised[1:])
        ].sum()
        for e in examples
    )  # fmt: skip
    gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])
    assert gradient_parts(model, examples, "sum").response == pytest.approx(gradient.norm().item(), rel=1e-5)


def test_a_mean_over_tokens_scales_both_parts_alike_and_one_over_examples_does_not(model, examples) -> None:
    by_sum, by_token, by_example = (gradient_parts(model, examples, reduction) for reduction in REDUCTIONS)
    tokens = sum(len(example.ids) - 1 for example in examples)
    assert by_token.instruction == pytest.approx(by_sum.instruction / tokens, rel=1e-5)
    assert by_token.response_share == pytest.approx(by_sum.response_share, rel=1e-5)
    assert abs(by_example.response_share - by_sum.response_share) > 0.02


def test_longer_responses_own_more_of_the_summed_gradient(model, examples) -> None:
    """|R| >> |Q| (document B 5.1): turned round, so is the share."""
    turned = [Example(e.ids, [False, *(not mask for mask in e.supervised[1:])], e.source) for e in examples]
    assert gradient_parts(model, examples, "sum").response_share > 0.5
    assert gradient_parts(model, turned, "sum").response_share < 0.5


def test_rows_with_nothing_to_learn_own_nothing(model, examples) -> None:
    none = [Example(e.ids, [False] * len(e.ids), e.source) for e in examples]
    parts = gradient_parts(model, none, "sum")
    assert (parts.response, parts.response_share, parts.cosine) == (0.0, 0.0, 0.0)
    assert parts.instruction == pytest.approx(parts.whole)
