"""Lesson 16: a step that several processes share has the gradient of one; here without any process started."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from minigpt import GPT
from minigpt.errors import UserError
from minigpt.learn.batches import share, split_by_length
from minigpt.learn.parallel import Team, is_lost, join
from minigpt.learn.trainer import Trainer
from tests.learn import test_trainer
from tests.learn.scenarios import CONFIG, learner, ragged_examples, recipe
from tests.reference.pair import make_pair

many_groups = test_trainer.many_groups


class Hand(Team):
    """One of several processes that are played one after the other: nothing is sent."""

    def spread(self, model: nn.Module, sharded: bool) -> nn.Module:
        return model

    def sum(self, x: Tensor) -> Tensor:
        return x


def first_gradients(model: GPT, size: int, **changes) -> list[Tensor]:
    """The gradients of each process's share of the first step, as it has them before they are averaged."""
    found = []
    for rank in range(size):
        own = copy.deepcopy(model)
        trainer = Trainer(own, ragged_examples(40), recipe(**changes), Hand(rank, size))
        trainer.step = 1
        trainer.gradients(trainer.rows())
        found.append(torch.cat([p.grad.flatten() for p in own.parameters()]))
    return found


def difference(a: Tensor, b: Tensor) -> float:
    return ((a - b).norm() / b.norm()).item()


lengths = st.lists(st.integers(1, 200), min_size=1, max_size=12)


@given(data=st.data(), hands=st.integers(1, 6), overhead=st.integers(0, 300), most=st.integers(1, 12))
def test_every_row_once_and_as_many_micro_batches_for_all(data, hands, overhead, most):
    rows = data.draw(st.integers(1, 8)) * hands
    found = data.draw(st.lists(st.integers(1, 200), min_size=rows, max_size=rows))
    shares = [share(found, hand, hands, overhead, most) for hand in range(hands)]
    assert sorted(i for groups in shares for group in groups for i in group) == list(range(rows))
    assert len({tuple(map(len, groups)) for groups in shares}) == 1  # as many groups, and as many rows in each
    assert max(len(group) for groups in shares for group in groups) <= most
    for same in zip(*shares, strict=True):  # each process has one row of every deal of neighbors
        for deal in zip(*same, strict=True):
            assert [found[i] for i in deal] == sorted(found[i] for i in deal)


@given(found=lengths, overhead=st.integers(0, 300), most=st.integers(1, 12), room=st.sampled_from([50.0, 400.0, 1e9]))
def test_one_process_has_the_groups_that_it_had_alone(found, overhead, most, room):
    assert share(found, 0, 1, overhead, most, room) == split_by_length(found, overhead, most, room)


@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize("size", [2, 4, 8])
def test_the_shared_gradient_is_that_of_one_process(size, explicit, many_groups):
    model = make_pair(CONFIG, noise=0.05).ours.explicit(explicit)
    alone, *_ = first_gradients(model, 1)
    shared = sum(first_gradients(model, size)) / size  # what the engine makes of them: their average
    assert difference(shared, alone) < 1e-6


def test_a_mean_of_the_processes_means_is_another_gradient(many_groups):
    """The near miss: each process divides by the tokens of its own share."""
    model = make_pair(CONFIG, noise=0.05).ours
    alone, *_ = first_gradients(model, 1)
    rows = [list(range(8))[rank::2] for rank in range(2)]
    means = []
    for own_rows in rows:
        own = copy.deepcopy(model)
        trainer = Trainer(own, ragged_examples(40), recipe())
        trainer.step = 1
        step = trainer.rows()
        trainer.gradients([step[i] for i in own_rows])
        means.append(torch.cat([p.grad.flatten() for p in own.parameters()]))
    assert difference(sum(means) / 2, alone) > 0.01


def test_dropout_draws_other_masks_for_each_step_and_process_and_needs_no_state():
    def masks(rank: int, step: int) -> Tensor:
        model = learner(dropout=0.2).train()
        trainer = Trainer(model, ragged_examples(40), recipe(), Hand(rank, 2))
        trainer.step = step
        with trainer.masks():
            return model.drop(torch.ones(1000))

    drawn = {(rank, step): masks(rank, step) for rank in (0, 1) for step in (1, 2, 3)}
    torch.manual_seed(123)  # whatever was drawn before
    assert all(torch.equal(mask, masks(*place)) for place, mask in drawn.items())
    assert len({tuple(mask.tolist()) for mask in drawn.values()}) == len(drawn)


def test_the_generator_of_the_program_around_a_run_goes_on_as_if_nothing_was_drawn():
    torch.manual_seed(5)
    expected = torch.rand(3)
    trainer = Trainer(learner(dropout=0.2), ragged_examples(40), recipe())
    torch.manual_seed(5)
    trainer.train_step()
    assert torch.equal(torch.rand(3), expected)


def test_more_processes_than_gpus_are_refused_before_they_wait_for_one_another(monkeypatch):
    for name, value in {"WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "4", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match=r"There are 4 processes here and 2 GPUs; start one process a GPU, or add --de"):
        join("cuda")


def test_a_team_of_one_asks_nobody():
    team = Team()
    model = learner()
    assert team.leads
    assert (team.any(3), team.once(lambda: 4), team.in_turn(lambda: 5)) == (3, 4, 5)
    assert team.spread(model, sharded=False) is model
    assert torch.equal(team.sum(torch.ones(2)), torch.ones(2))


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (RuntimeError("[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:538] Connection closed by peer"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (None, False),
    ],
)
def test_that_another_process_has_gone_is_known_from_the_engines_words(error, lost):
    assert is_lost(error) is lost
