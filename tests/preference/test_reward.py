"""Lesson 15: a reward is read at an answer's last token, wherever else its end token and padding are."""

import dataclasses
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from minigpt import load_template, load_tokenizer
from minigpt.learn import trainer as trainer_module
from minigpt.preference.bradley_terry import preference_nll
from minigpt.preference.likelihood import answer_row
from minigpt.preference.reward import RewardModel
from minigpt.run.start import set_dropout
from minigpt.text.examples import Example
from tests.conftest import two_layers

TEMPLATE = load_template("chatml", load_tokenizer("bytes"))
END = TEMPLATE.end
ANSWERS = ["no", "yes it is", "é", "four five six seven", "1", "x" * 9]
TOLERANCE = 1e-6


def row(question: str, answer: str, turns: int = 1) -> Example:
    """`turns` questions, all but the last answered: the prompt then has end tokens of its own."""
    earlier = [{"role": "user", "content": "a?"}, {"role": "assistant", "content": "b"}] * (turns - 1)
    return answer_row(TEMPLATE, [*earlier, {"role": "user", "content": question}], answer)


def cut(example: Example) -> Example:
    """The row without its end token, as an answer is that was cut off."""
    return dataclasses.replace(example, ids=example.ids[:-1], supervised=example.supervised[:-1])


ROWS = [row("?" * (1 + i % 3), answer, turns=1 + i % 2) for i, answer in enumerate(ANSWERS)]
ROWS += [cut(ROWS[1]), cut(ROWS[4])]


@pytest.fixture(params=[True, False], ids=["explicit", "fast"])
def model(request: pytest.FixtureRequest) -> RewardModel:
    return scored(request.param)


def scored(explicit: bool = True) -> RewardModel:
    """A reward model whose score is not 0."""
    made = RewardModel(two_layers().explicit(explicit))
    with torch.no_grad():
        made.score.normal_(generator=torch.Generator().manual_seed(1))
    return made


@pytest.fixture
def padded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group costs so much that rows of all lengths come into one."""
    monkeypatch.setitem(trainer_module.OVERHEAD, "cpu", 10**9)


def reward_at(model: RewardModel, ids: list[int], position: int) -> float:
    """w . h of one position of one row, by itself."""
    return (model.transformer.hidden(torch.tensor([ids]))[0, position] @ model.score).item()


@torch.no_grad()
@pytest.mark.usefixtures("padded")
def test_it_is_w_times_the_last_token_s_hidden_state(model: RewardModel) -> None:
    expected = torch.tensor([reward_at(model, one.ids, -1) for one in ROWS])
    difference = (model(ROWS) - expected).abs().max().item()
    print(f"largest difference {difference:.1e} of rewards that spread over {expected.std():.1f}")
    assert expected.std() > 0.1
    assert difference <= TOLERANCE * expected.abs().max()


def first_end(ids: list[int], padding: int) -> int:
    return ids.index(END) if END in ids else len(ids) - 1


def last_end_anywhere(ids: list[int], padding: int) -> int:
    return max((i for i, one in enumerate(ids) if one == END), default=len(ids) - 1)


WRONG: dict[str, tuple[Callable[[list[int], int], int], Example]] = {
    "at the padding after the end": (lambda ids, padding: len(ids) + padding - 1, row("?", "no")),
    "at the token before the end": (lambda ids, padding: len(ids) - 2, row("?", "no")),
    "at the first of several end tokens": (first_end, row("?", "no", turns=2)),
    "at the prompt's end token, as the answer has none": (last_end_anywhere, cut(row("?", "no", turns=2))),
    "before trailing tokens that are padding elsewhere": (
        lambda ids, padding: max(i for i, one in enumerate(ids) if one != 0),
        cut(cut(row("?", "no\0\0"))),
    ),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.usefixtures("padded")
@torch.no_grad()
def test_it_is_not_read_where_others_read_it(name: str, model: RewardModel) -> None:
    place, example = WRONG[name]
    longer = row("?" * 9, "a much longer answer")
    padding = len(longer.ids) - len(example.ids)
    position = place(example.ids, padding)
    wrong, right = (reward_at(model, example.ids + [0] * padding, i) for i in (position, len(example.ids) - 1))
    assert abs(wrong - right) > 0.1
    assert abs(model([example, longer])[0].item() - right) <= 1e-5


def test_at_first_all_answers_are_alike() -> None:
    untrained = RewardModel(two_layers())
    rewards = untrained(ROWS)
    assert untrained.score.shape == (32,)
    assert rewards.tolist() == [0.0] * len(ROWS)
    assert torch.allclose(preference_nll(rewards[:3] - rewards[3:6]), torch.tensor(2.0).log(), atol=TOLERANCE)


@torch.no_grad()
def test_what_follows_the_end_changes_nothing_and_the_end_itself_does(model: RewardModel) -> None:
    with_break = dataclasses.replace(
        ROWS[0], ids=[*ROWS[0].ids, 10, 44], supervised=[*ROWS[0].supervised, *[False] * 2]
    )
    assert abs(model([with_break]) - model([ROWS[0]])).item() <= 1e-5
    assert abs(model([cut(ROWS[0])]) - model([ROWS[0]])).item() > 0.1


@torch.no_grad()
@pytest.mark.usefixtures("padded")
def test_the_ids_of_padding_change_nothing(model: RewardModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here they are those of another row in the group."""
    before, hidden = model(ROWS), model.transformer.hidden
    lengths = {tuple(one.ids): len(one.ids) for one in ROWS}

    def with_other_padding(ids: Tensor, **given: Tensor) -> Tensor:
        ids = ids.clone()
        for line in ids:
            n = next(n for known, n in lengths.items() if tuple(line[:n].tolist()) == known and not line[n:].any())
            line[n:] = END
        return hidden(ids, **given)

    monkeypatch.setattr(model.transformer, "hidden", with_other_padding)
    assert torch.equal(model(ROWS), before)


@torch.no_grad()
def test_the_prompt_s_labels_do_not_matter(model: RewardModel) -> None:
    unmasked = [dataclasses.replace(one, supervised=[True] * len(one.ids)) for one in ROWS]
    unmarked = [dataclasses.replace(one, supervised=[False] * len(one.ids)) for one in ROWS]
    assert torch.equal(model(unmasked), model(ROWS))
    assert torch.equal(model(unmarked), model(ROWS))


@given(order=st.permutations(range(len(ROWS))), micro_batch_size=st.integers(1, len(ROWS)))
@torch.no_grad()
def test_neither_order_nor_micro_batches_matter(order: list[int], micro_batch_size: int) -> None:
    model = scored()
    expected = model(ROWS)
    found = model([ROWS[i] for i in order], micro_batch_size)
    assert (found - expected[order]).abs().max() <= TOLERANCE * expected.abs().max()


def test_dropout_is_off_and_stays_as_it_was(model: RewardModel) -> None:
    before = model(ROWS)
    set_dropout(model.transformer, 0.5)
    assert torch.equal(model.train()(ROWS), before)
    assert model.transformer.training


@pytest.mark.parametrize("micro_batch_size", [1, 3, 64])
def test_a_comparison_cannot_see_a_constant(model: RewardModel, micro_batch_size: int) -> None:
    """The last bias adds w . b to every reward: it cancels in the margin, whichever the answers are."""
    rewards = model(ROWS, micro_batch_size)
    preference_nll(rewards[:4] - rewards[4:]).mean().backward()
    norms = {name: parameter.grad.norm().item() for name, parameter in model.named_parameters()}
    last, most = norms.pop("transformer.ln_f.bias"), max(norms.values())
    print(f"the gradient's norm: of ln_f.bias {last:.1e}, the largest {most:.1e}")
    assert last <= TOLERANCE * most
    assert all(norms.values())
