"""Lesson 15: log pi(y | x) is a sum over the answer and its end, and over nothing else."""

import dataclasses
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from minigpt import GPT, GPTConfig
from minigpt.learn import trainer as trainer_module
from minigpt.learn.batches import Batch, collate
from minigpt.preference import likelihood as likelihood_module
from minigpt.preference.likelihood import answer_row, continued, log_likelihood
from minigpt.text.examples import Example
from minigpt.text.template import TEMPLATES, Template, load_template
from minigpt.text.tokenizer import CONTROL, ByteTokenizer
from tests.reference.pair import make_pair

CONFIG = GPTConfig(vocab_size=64, n_padding_rows=14, n_ctx=32, n_embd=32, n_head=4, n_layer=2, bos_token_id=0)
TEXT = st.lists(st.text(min_size=1, max_size=8) | st.sampled_from([*CONTROL, "\n\nHuman: "]), min_size=1).map("".join)


def ragged_rows(n: int, seed: int = 0) -> list[Example]:
    """Prompts of 2 to 17 tokens, answers of 1 to 12."""
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for _ in range(n):
        asked, said = (int(torch.randint(low, high, (), generator=generator)) for low, high in ((2, 18), (1, 13)))
        ids = torch.randint(CONFIG.tokens, (asked + said,), generator=generator).tolist()
        rows.append(continued(ids[:asked], ids[asked:]))
    return rows


ROWS = ragged_rows(16)


@pytest.fixture(params=[True, False], ids=["explicit", "fast"])
def model(request: pytest.FixtureRequest) -> GPT:
    return make_pair(CONFIG, noise=0.1).ours.explicit(request.param)


@pytest.fixture
def many_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Micro-batches of one length each."""
    monkeypatch.setitem(trainer_module.OVERHEAD, "cpu", 0)


def test_it_is_what_transformers_scores_of_the_answer_over_the_tokens_in_use(model: GPT) -> None:
    """One row at a time, so that nothing is padded; only the answer's tokens are added up."""
    theirs, expected = make_pair(CONFIG, noise=0.1).theirs, []
    with torch.no_grad():
        for row in ROWS:
            log_P = theirs(torch.tensor([row.ids])).logits[0, :, : CONFIG.tokens].double().log_softmax(-1)
            said = row.supervised.index(True)
            expected.append(sum(log_P[t - 1, row.ids[t]] for t in range(said, len(row.ids))))
        found = log_likelihood(model, ROWS)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), torch.stack(expected), rtol=2e-6, atol=1e-6)


def flat_gradient(model: GPT, loss: Tensor) -> Tensor:
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])


@pytest.mark.parametrize("micro_batch_size", [16, 4, 1])
def test_neither_micro_batches_nor_order_change_it_or_its_gradient(
    model: GPT, micro_batch_size: int, many_groups: None
) -> None:
    whole, found = log_likelihood(model, ROWS, 64), log_likelihood(model, ROWS[::-1], micro_batch_size).flip(0)
    torch.testing.assert_close(found, whole, rtol=1e-6, atol=1e-6)
    weights = torch.linspace(-1, 1, len(ROWS))
    g, expected = (flat_gradient(model, x @ weights) for x in (found, whole))
    assert (g - expected).norm() < 1e-6 * expected.norm()


def test_dropout_is_off_whatever_the_configuration_says(model: GPT) -> None:
    """And on again afterwards, so that training elsewhere is left as it was."""
    dropping = GPT(dataclasses.replace(CONFIG, dropout=0.1)).explicit(model.is_explicit).train()
    dropping.load_state_dict(model.state_dict())
    assert torch.equal(log_likelihood(dropping, ROWS), log_likelihood(model, ROWS))
    assert dropping.training


def test_labels_that_are_not_supervised_and_paddings_ids_change_nothing(
    model: GPT, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = log_likelihood(model, ROWS)

    def spoilt(rows: list[Example], device: torch.device) -> Batch:
        batch = collate(rows, device, pad=7)
        wrong = torch.randint_like(batch.targets, CONFIG.tokens)
        return dataclasses.replace(batch, targets=batch.targets.where(batch.supervised, wrong))

    monkeypatch.setattr(likelihood_module, "collate", spoilt)
    assert torch.equal(log_likelihood(model, ROWS), expected)


def test_what_is_behind_the_end_token_changes_nothing(model: GPT) -> None:
    """As ChatML's line break is."""
    longer = [Example([*row.ids, 5, 6, 7], [*row.supervised, *[False] * 3], "") for row in ROWS]
    assert torch.equal(log_likelihood(model, longer), log_likelihood(model, ROWS))


def test_the_prompt_is_read_and_not_learned_from(model: GPT) -> None:
    """log pi(y | x) is that of the whole text less that of the prompt."""
    asked = [row.supervised.index(True) for row in ROWS]
    texts = [continued(row.ids[:1], row.ids[1:]) for row in ROWS]
    prompts = [continued(row.ids[:1], row.ids[1:n]) for row, n in zip(ROWS, asked, strict=True)]
    difference = log_likelihood(model, texts) - log_likelihood(model, prompts)
    torch.testing.assert_close(log_likelihood(model, ROWS), difference, rtol=1e-5, atol=1e-5)
    other = [continued([1, *row.ids[1:n]], row.ids[n:]) for row, n in zip(ROWS, asked, strict=True)]
    assert (log_likelihood(model, other) - log_likelihood(model, ROWS)).abs().min() > 1e-5, "and it is read"


def test_the_token_that_ends_an_answer_counts_like_any_other(model: GPT) -> None:
    """A model that is not taught to stop does not stop."""
    end, row = 3, ROWS[0]
    said = row.supervised.index(True)
    without, ended = (log_likelihood(model, [continued(row.ids[:said], row.ids[said:] + x)]) for x in ([], [end]))
    log_P = model(torch.tensor([row.ids]))[0, -1, : CONFIG.tokens].log_softmax(-1)
    torch.testing.assert_close(ended - without, log_P[end].view(1), rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module", params=[*TEMPLATES, None])
def template(request: pytest.FixtureRequest) -> Template:
    return load_template(request.param, ByteTokenizer())


@given(texts=st.lists(TEXT, min_size=1, max_size=4), answers=st.tuples(TEXT, TEXT), system=st.none() | TEXT)
def test_the_rows_of_a_pair_share_the_prompt_and_supervise_their_answer_and_its_end(
    template: Template, texts: list[str], answers: tuple[str, str], system: str | None
) -> None:
    """Also where a text looks like a control token, which it does not become."""
    say = partial(zip, ("user", "assistant", "user", "assistant"))
    messages = [{"role": role, "content": text} for role, text in say(texts[: len(texts) - (len(texts) % 2 == 0)])]
    messages = ([] if system is None else [{"role": "system", "content": system}]) + messages
    prompt = template.prompt(messages)
    for answer in answers:
        row = answer_row(template, messages, answer, "here")
        assert (row.ids[: len(prompt)], row.source) == (prompt, "here")
        assert row.supervised == [t >= len(prompt) for t in range(len(row.ids))]
        said = row.ids[len(prompt) :]
        assert template.tokenizer.decode(said[:-1]) == answer
        assert said[-1] == template.end
        if template.name:
            assert set(said[:-1]).isdisjoint(template.tokenizer.control.values())


def test_a_row_is_the_training_row_of_the_same_conversation(template: Template) -> None:
    """But for what a template adds behind the end, and for answers before the last, which are context."""
    messages = [{"role": "user", "content": "Màu gì?"}, {"role": "assistant", "content": "Trắng."}]
    messages += [{"role": "user", "content": "Why?"}]
    ids, supervised = template.encode([*messages, {"role": "assistant", "content": "Snow."}])
    row, n = answer_row(template, messages, "Snow."), len(template.after_end)
    assert row.ids == ids[: len(ids) - n]
    assert row.supervised[len(template.prompt(messages)) :] == supervised[len(template.prompt(messages)) : len(ids) - n]
