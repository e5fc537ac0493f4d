"""Lesson 15: answers are drawn from the model's own distribution, kept as the ids that were drawn, and learned from."""

import copy
import dataclasses
import math

import pytest
import torch
from torch import Tensor

from minigpt import GPT, GPTConfig
from minigpt.preference.likelihood import continued, log_likelihood
from minigpt.preference.policy import Draw, draw_answers, leave_one_out, mean_reward, penalised, policy_loss

END = 3
CONFIG = GPTConfig(vocab_size=16, n_padding_rows=4, n_ctx=24, n_embd=32, n_head=4, n_layer=2, bos_token_id=0)
PROMPTS = [[1, 2, 5], [4], [7, END, 6, 2, 1, 8, 9], [5, 5]]


@pytest.fixture(params=[True, False], ids=["explicit", "fast"])
def model(request: pytest.FixtureRequest) -> GPT:
    """Weights so large that the draws are far from uniform; the unused rows would be drawn most often."""
    torch.manual_seed(0)
    model = GPT(CONFIG).explicit(request.param).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(6)
        model.wte.weight[CONFIG.tokens :] *= 3
    return model


def drawn_without_a_cache(model: GPT, prompts: list[list[int]], n: int, seed: int) -> list[list[int]]:
    """The same in plain words: the whole text of each active row is read for each token."""
    generator, new = torch.Generator().manual_seed(seed), [[] for _ in prompts]
    active = list(range(len(prompts)))
    while active:
        texts = [prompts[i] + new[i] for i in active]
        with torch.no_grad():
            P = [model(torch.tensor([text]))[0, -1, : CONFIG.tokens].softmax(-1) for text in texts]
        tokens = torch.multinomial(torch.stack(P), 1, generator=generator).squeeze(1).tolist()
        for i, token in zip(active, tokens, strict=True):
            new[i].append(token)
        room = CONFIG.n_ctx + 1
        active = [i for i in active if new[i][-1] != END and len(new[i]) < n and len(prompts[i] + new[i]) < room]
    return new


@pytest.mark.parametrize("seed", [0, 1])
def test_the_answers_are_the_ids_that_were_drawn(model: GPT, seed: int) -> None:
    """Prompt after prompt; the end token is the last one where it was drawn, nowhere else, and never invented."""
    draws = draw_answers(model, PROMPTS, 6, END, 10, seed)
    repeated = [prompt for prompt in PROMPTS for _ in range(6)]
    assert [draw.prompt for draw in draws] == repeated
    assert [draw.answer for draw in draws] == drawn_without_a_cache(model, repeated, 10, seed)
    assert {draw.ended for draw in draws} == {True, False}
    for draw in draws:
        assert draw.ended == (draw.answer[-1] == END)
        assert END not in draw.answer[:-1]
        assert draw.ended or len(draw.answer) == 10
        assert max(draw.answer) < CONFIG.tokens, "an unused row"


def says(model: GPT, *tokens: int) -> GPT:
    """Greedily and almost surely the n-th of these at position n - 1: each position's embedding decides."""
    with torch.no_grad():
        for block in model.h:
            for part in (block.attn.c_proj, block.mlp.c_proj):
                part.weight.zero_()
                part.bias.zero_()
        model.wte.weight.copy_(torch.eye(CONFIG.vocab_size, CONFIG.n_embd) * 10)
        model.wpe.weight.zero_()
        for position, token in enumerate(tokens):
            model.wpe.weight[position, token] = 1e4
    return model


@pytest.mark.parametrize(("left", "ended"), [(1, True), (1, False), (4, True), (4, False)])
def test_at_the_edge_of_the_context_the_end_token_is_there_if_it_was_drawn(model: GPT, left: int, ended: bool) -> None:
    """The token after the context's last position is drawn and never read; it may be the end token, or be cut off."""
    n = CONFIG.n_ctx
    says(model, *[7] * (n - 1), END if ended else 7)
    prompt = [5] * (n + 1 - left)
    draws = draw_answers(model, [prompt, [5]], 3, END, 2 * n, seed=0)
    assert draws[:3] == [Draw(prompt, [7] * (left - 1) + [END if ended else 7], ended)] * 3
    assert len(draws[3].answer) == n
    rows = [continued(draw.prompt, draw.answer) for draw in draws]
    assert log_likelihood(model, rows).abs().max() < 1e-3, "and rows of n_ctx + 1 ids can be learned from"


def test_an_answer_cut_off_where_the_end_would_have_come_has_none(model: GPT) -> None:
    says(model, 7, 8, 9, END)
    for n, answer, ended in ((3, [7, 8, 9], False), (4, [7, 8, 9, END], True), (9, [7, 8, 9, END], True)):
        assert draw_answers(model, [[5]], 2, END, n, seed=0) == [Draw([5], answer, ended)] * 2


def test_an_end_token_in_the_prompt_ends_nothing(model: GPT) -> None:
    says(model, *[7] * 6, END)
    assert draw_answers(model, [[END, 5, END]], 2, END, 9, seed=0) == [Draw([END, 5, END], [7, 7, 7, 7, END], True)] * 2


def test_an_empty_prompt_is_the_token_that_it_starts_from(model: GPT) -> None:
    """Or the first token of its answer would have nothing to be scored from."""
    bos = CONFIG.bos_token_id
    assert draw_answers(model, [[]], 4, END, 6, seed=0) == draw_answers(model, [[bos]], 4, END, 6, seed=0)


def test_a_seed_fixes_the_draws_and_leaves_the_global_stream_alone(model: GPT) -> None:
    found = []
    for seed in (1, 1, 2):
        torch.rand(3)
        before = torch.get_rng_state()
        found.append(draw_answers(model, PROMPTS, 4, END, 10, seed))
        assert torch.equal(torch.get_rng_state(), before)
    assert found[0] == found[1]
    assert found[0] != found[2]
    assert len({tuple(draw.answer) for draw in found[0][:4]}) > 1, "the answers to a prompt are drawn one by one"


def test_draws_are_made_without_dropout(model: GPT) -> None:
    dropping = GPT(dataclasses.replace(CONFIG, dropout=0.3)).explicit(model.is_explicit).train()
    dropping.load_state_dict(model.state_dict())
    assert draw_answers(dropping, PROMPTS, 4, END, 10, 0) == draw_answers(model, PROMPTS, 4, END, 10, 0)
    assert dropping.training


def rows_of(draws: list[Draw]) -> list:
    return [continued(draw.prompt, draw.answer) for draw in draws]


def test_at_the_first_step_a_draw_costs_nothing(model: GPT) -> None:
    """The ratio to the reference is 1 and not nearly 1, so the penalised rewards are the rewards, whatever beta."""
    reference = copy.deepcopy(model)
    rows = rows_of(draw_answers(model, PROMPTS, 4, END, 10, seed=0))
    with torch.no_grad():
        log_pi, log_ref = (log_likelihood(m, rows).view(4, 4) for m in (model, reference))
    rewards = torch.rand(4, 4)
    assert torch.equal(penalised(rewards, log_pi, log_ref, 100.0), rewards)


def test_the_mean_penalised_reward_is_the_reward_less_beta_times_kl() -> None:
    rewards, log_pi, log_ref = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    J = mean_reward(penalised(rewards, log_pi, log_ref, 0.3))
    torch.testing.assert_close(J, rewards.mean() - 0.3 * (log_pi - log_ref).mean())
    assert torch.equal(penalised(rewards, log_pi, log_ref, 0.0), rewards)


def step_gradient(model: GPT, draws: list[Draw], size: int, mean_of_means: bool = False) -> Tensor:
    """The gradient of the whole step's policy_loss, micro-batch after micro-batch."""
    model, rows = copy.deepcopy(model), rows_of(draws)
    A = leave_one_out(torch.linspace(-1, 1, len(rows)).square().view(4, -1)).flatten()
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        share = 1 / math.ceil(len(rows) / size) if mean_of_means else len(rows[part]) / len(rows)
        (share * policy_loss(A[part], log_likelihood(model, rows[part]))).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


@pytest.mark.parametrize("size", [16, 4, 1])
def test_a_steps_gradient_is_the_same_however_it_is_split(model: GPT, size: int) -> None:
    """A mean over the draws of the whole step; a mean of means of unequal micro-batches is another."""
    draws = draw_answers(model, PROMPTS, 4, END, 10, seed=0)
    assert len({len(draw.answer) for draw in draws}) > 2
    whole = step_gradient(model, draws, 16)
    assert (step_gradient(model, draws, size) - whole).norm() < 1e-6 * whole.norm()
    assert (step_gradient(model, draws, 5, mean_of_means=True) - whole).norm() > 0.01 * whole.norm()


def test_the_end_token_is_learned_from_like_any_action(model: GPT) -> None:
    """Rewarded for stopping, the model stops more often; with the end masked out it would never learn to."""
    draws = [Draw([5], [7, END], True), Draw([5], [7, 8], False)]
    model = copy.deepcopy(model)
    log_pi = log_likelihood(model, rows_of(draws)).view(1, 2)
    policy_loss(leave_one_out(torch.tensor([[1.0, 0.0]])), log_pi).backward()
    with torch.no_grad():
        before = log_pi.detach()[0]
        for p in model.parameters():
            p -= 1e-3 * p.grad
        after = log_likelihood(model, rows_of(draws))
    assert after[0] > before[0]
    assert after[1] < before[1]
