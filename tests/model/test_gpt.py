"""The whole network: what may influence what, the tied head, growing, the random start, and what is refused."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt import GPT, GPTConfig, generate
from minigpt.model.gpt import BLOCK
from minigpt.model.linear import FEW
from minigpt.run.start import grow_vocabulary


def random_ids(model: GPT, B: int, T: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(model.config.vocab_size, (B, T), generator=torch.Generator().manual_seed(seed))


@settings(max_examples=30)
@given(data=st.data(), T=st.integers(2, 64), seed=st.integers(0, 2**31))
@torch.no_grad()
def test_a_later_token_changes_no_earlier_logit(model: GPT, data: st.DataObject, T: int, seed: int) -> None:
    ids = random_ids(model, 1, T, seed)
    changed = ids.clone()
    t = data.draw(st.integers(1, T - 1))
    changed[0, t] = (changed[0, t] + data.draw(st.integers(1, model.config.vocab_size - 1))) % model.config.vocab_size
    before, after = model(ids)[0], model(changed)[0]
    assert torch.equal(after[:t], before[:t])
    assert (after[t:] - before[t:]).abs().amax(-1).min() > 1e-4


@torch.no_grad()
def test_a_row_of_a_batch_has_the_logits_that_it_has_alone(model: GPT) -> None:
    ids = random_ids(model, 4, 20)
    alone = torch.cat([model(row) for row in ids.split(1)])
    assert (model(ids) - alone).abs().max() <= 1e-5


@torch.no_grad()
def test_the_same_token_means_something_else_elsewhere(model: GPT) -> None:
    """Without positions, all rows of a text of one repeated token would be equal."""
    logits = model(torch.full((1, 8), 65))[0]
    assert torch.pdist(logits).min() > 0.1


@settings(max_examples=15)
@given(st.lists(st.booleans(), min_size=12, max_size=12))
def test_the_positions_asked_for_have_the_hidden_vectors_and_gradients_that_all_would(picked: list[bool]) -> None:
    torch.manual_seed(0)
    model = GPT(GPTConfig.named("tiny", n_ctx=8, n_embd=12, n_head=3, n_layer=2)).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    ids, at = random_ids(model, 2, 6), torch.tensor(picked).view(2, 6)
    found, expected = model.hidden(ids, at=at), model.hidden(ids)[at]
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    upstream, parameters = torch.randn_like(expected), list(model.parameters())
    gradients = torch.autograd.grad(found, parameters, upstream, allow_unused=True, materialize_grads=True)
    wanted = torch.autograd.grad(expected, parameters, upstream)
    torch.testing.assert_close(gradients, wanted, rtol=1e-9, atol=1e-9)


def saved_and_loaded(model: GPT, folder: Path) -> GPT:
    model.save_pretrained(folder)
    return GPT.from_pretrained(folder)


def grown(model: GPT, folder: Path) -> GPT:
    grow_vocabulary(model, model.config.vocab_size + 3)
    return model


CHANGES: dict[str, Callable[[GPT, Path], GPT]] = {
    "made": lambda model, _: model,
    "saved and loaded": saved_and_loaded,
    "converted": lambda model, _: model.to(torch.float64),
    "grown": grown,
    "grown, saved and loaded": lambda model, folder: saved_and_loaded(grown(model, folder), folder),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_head_is_the_embedding_itself(change: str, small_model: GPT, tmp_path: Path) -> None:
    """One storage: moving a row of wte moves the logits of that token, and the head's gradient arrives in wte."""
    model = CHANGES[change](small_model, tmp_path)
    hidden = torch.randn(3, 32, dtype=model.wte.weight.dtype)
    assert "lm_head.weight" not in model.state_dict()
    (gradient,) = torch.autograd.grad(model.logits(hidden).sum(), model.wte.weight)
    torch.testing.assert_close(gradient, hidden.sum(0).expand_as(gradient))
    with torch.no_grad():
        before = model.logits(hidden)
        model.wte.weight[7] += 1.0
        moved = model.logits(hidden) - before
    torch.testing.assert_close(moved[:, 7], hidden.sum(1), rtol=1e-5, atol=1e-5)
    assert moved[:, :7].abs().max() == moved[:, 8:].abs().max() == 0.0
    assert model.wte.weight.shape == (model.config.vocab_size, 32)
    assert sum(p.numel() for p in model.parameters()) == model.config.parameter_count


@settings(max_examples=10)
@given(more=st.integers(0, 9))
@torch.no_grad()
def test_new_rows_are_the_mean_of_the_old_whose_logits_stay(more: int) -> None:
    torch.manual_seed(0)
    model = GPT(GPTConfig.named("tiny", n_ctx=8, n_embd=12, n_head=3, n_layer=2)).eval()
    ids, old = random_ids(model, 2, 8), model.wte.weight.clone()
    before = model(ids)
    grow_vocabulary(model, 260 + more)
    after = model(ids)
    assert torch.equal(model.wte.weight[:260], old)
    torch.testing.assert_close(model.wte.weight[260:], old.mean(0).expand(more, -1), rtol=1e-6, atol=1e-8)
    assert after.shape == (2, 8, 260 + more)
    assert (after[..., :260] - before).abs().max() <= 1e-6
    torch.testing.assert_close(after[..., 260:], before.mean(-1, keepdim=True).expand(-1, -1, more), rtol=0, atol=1e-6)


@torch.no_grad()
def test_rows_that_fill_the_vocabulary_up_are_never_sampled(small_model: GPT, tmp_path: Path) -> None:
    """Not even where they score best; growing again uses them, and saving remembers which they are."""
    ids = torch.tensor([[72, 105]])
    before = small_model(ids)
    grow_vocabulary(small_model, 263, multiple_of=64)
    assert small_model.wte.weight.shape[0] == small_model.config.vocab_size == 320
    assert torch.allclose(small_model(ids)[..., :260], before, rtol=0, atol=1e-5)
    small_model.wte.weight[263:] = 100 * small_model.hidden(ids)[0, -1]
    model = saved_and_loaded(small_model, tmp_path)
    assert model(ids)[0, -1].argmax() >= 263
    for temperature in (0.0, 5.0):
        assert max(generate(model, [72, 105], 50, temperature=temperature, seed=0)) < 263
    grow_vocabulary(model, 264, multiple_of=64)
    assert (model.config.vocab_size, model.config.n_padding_rows) == (320, 56)
    assert torch.allclose(model.wte.weight[263:], model.wte.weight[:263].mean(0), rtol=0, atol=1e-6)


def test_a_grown_embedding_still_learns(small_model: GPT) -> None:
    grow_vocabulary(small_model, 262)
    logits = small_model(torch.tensor([[260, 261]]))
    (gradient,) = torch.autograd.grad(logits.logsumexp(-1).sum(), small_model.wte.weight)
    assert (gradient.abs().sum(1) > 0).all()


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([[]], r"There is no token to read; give at least one"),
        ([[65] * 65], r"65 tokens do not fit into this model's context of 64\."),
        ([[0, 260]], r"The id 260 is outside the vocabulary of 260 tokens\."),
        ([[5, -1], [7, 8]], r"The id -1 is outside the vocabulary of 260 tokens\."),
    ],
)
def test_ids_that_cannot_be_read_are_refused_in_words(ids: list[list[int]], message: str, model: GPT) -> None:
    tensor = torch.tensor(ids, dtype=torch.int64)
    for call in (model, model.hidden):
        with pytest.raises(ValueError, match=message):
            call(tensor)


@pytest.mark.parametrize("n_layer", [1, 8])
def test_each_weight_starts_with_openai_s_spread(n_layer: int) -> None:
    """Within five standard errors of a sample's spread and mean; seeded, so that the verdict does not vary."""
    torch.manual_seed(0)
    model = GPT(GPTConfig.named("tiny", n_layer=n_layer))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert (parameter == 0.0).all(), name
        elif parameter.dim() == 1:
            assert (parameter == 1.0).all(), name
        else:
            std = 0.01 if name == "wpe.weight" else 0.02
            std = std / math.sqrt(2 * n_layer) if name.endswith("c_proj.weight") else std
            n = parameter.numel()
            assert abs(parameter.std().item() / std - 1.0) <= 5.0 / math.sqrt(2 * n), name
            assert abs(parameter.mean().item()) <= 5.0 * std / math.sqrt(n), name


def test_a_seed_fixes_the_start() -> None:
    config = GPTConfig.named("tiny", n_embd=16, n_layer=1)
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        states.append(GPT(config).wte.weight)
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_dropout_acts_in_training_alone_and_on_the_embedding_too(small_model: GPT) -> None:
    config = GPTConfig(**{**vars(small_model.config), "dropout": 0.5})
    dropped = GPT(config)
    dropped.load_state_dict(small_model.state_dict())
    ids = random_ids(small_model, 1, 9)
    assert torch.equal(dropped.eval()(ids), small_model(ids))
    dropped.drop.train()
    assert not torch.allclose(dropped(ids), small_model(ids))


@pytest.mark.parametrize("vocab_size", [2, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_the_head_of_a_step_of_generation_is_the_head(vocab_size: int) -> None:
    """In blocks of the embedding's rows, for few texts; the last block is seldom a whole one."""
    torch.manual_seed(0)
    model = GPT(GPTConfig.named("tiny", vocab_size=vocab_size, bos_token_id=0, n_ctx=8, n_embd=16))
    for rows in (0, 1, FEW, FEW + 1):
        hidden = torch.randn(rows, 16)
        with torch.inference_mode():
            exact = hidden.double() @ model.wte.weight.double().t()
            for on in (True, False):
                torch.testing.assert_close(model.explicit(on).logits(hidden).double(), exact, rtol=1e-6, atol=1e-6)
