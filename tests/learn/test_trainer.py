"""Lessons 09 and 13: one step's gradient however it is split, and a whole run beside one written with torch's parts."""

import copy
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minigpt import GPT, GPTConfig
from minigpt.learn import trainer as trainer_module
from minigpt.learn.batches import collate, step_rows
from minigpt.learn.loss import response_nll
from minigpt.learn.trainer import NotFinite, Recipe, StepReport, Trainer, supervised_token_nll
from minigpt.text.examples import Example
from tests.learn.scenarios import CONFIG, ragged_examples, recipe
from tests.reference.pair import make_pair

CPU = torch.device("cpu")


@pytest.fixture(params=[True, False], ids=["explicit", "fast"])
def model(request: pytest.FixtureRequest) -> GPT:
    return make_pair(CONFIG, noise=0.05).ours.explicit(request.param)


@pytest.fixture
def many_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Micro-batches of one length each, as many as there are lengths."""
    monkeypatch.setitem(trainer_module.OVERHEAD, "cpu", 0)


def flat_gradient(model: nn.Module) -> Tensor:
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def step_gradient(model: GPT, examples: list[Example], micro_batch_size: int, **changes) -> Tensor:
    """The gradient that the optimiser is handed at the first step."""
    model = copy.deepcopy(model)
    trainer = Trainer(model, examples, recipe(micro_batch_size=micro_batch_size, clip=math.inf, **changes))
    seen: list[Tensor] = []
    trainer.optimizer.step = lambda: seen.append(flat_gradient(model))
    trainer.train_step()
    return seen[0]


def relative(a: Tensor, b: Tensor) -> float:
    return ((a - b).norm() / b.norm()).item()


@pytest.mark.parametrize("micro_batch_size", [8, 4, 2, 1])
def test_a_steps_gradient_is_that_of_the_mean_over_its_tokens(model: GPT, micro_batch_size: int) -> None:
    """Reference: all rows in one padded batch, full logits, torch's cross-entropy."""
    examples = ragged_examples(8)
    batch = collate(examples, CPU)
    targets = batch.targets.masked_fill(~batch.supervised, -100)
    F.cross_entropy(model(batch.ids).flatten(0, 1), targets.flatten(), ignore_index=-100).backward()
    difference = relative(step_gradient(model, examples, micro_batch_size), flat_gradient(model))
    print(f"relative difference {difference:.1e}")
    assert difference < 1e-6


def test_a_mean_of_means_is_another_gradient(model: GPT) -> None:
    """What accumulation gets wrong when each micro-batch divides by its own count; the tolerance above must see it."""
    examples = ragged_examples(8)
    right = step_gradient(model, examples, 2)
    for start in range(0, 8, 2):
        (supervised_token_nll(model, collate(examples[start : start + 2], CPU)).mean() / 4).backward()
    assert relative(flat_gradient(model), right) > 0.05


def test_grouping_by_length_leaves_the_gradient_as_it_is(model: GPT, many_groups: None) -> None:
    examples = ragged_examples(8)
    whole = copy.deepcopy(model)
    supervised_token_nll(whole, collate(examples, CPU)).mean().backward()
    assert relative(step_gradient(model, examples, 8), flat_gradient(whole)) < 1e-6


def test_the_head_on_learned_positions_alone_gives_the_loss_of_full_logits(model: GPT) -> None:
    batch = collate(ragged_examples(6), CPU)
    nll = supervised_token_nll(model, batch)
    expected, expected_count = response_nll(model(batch.ids), batch.targets, batch.supervised)
    torch.testing.assert_close(nll.sum(), expected, rtol=1e-6, atol=0)
    assert len(nll) == expected_count


def test_bfloat16_keeps_loss_and_weights_in_float32(model: GPT) -> None:
    batch = collate(ragged_examples(6), CPU)
    nll = supervised_token_nll(model, batch, "bfloat16").sum()
    nll.backward()
    assert nll.dtype == torch.float32
    assert {p.grad.dtype for p in model.parameters()} == {torch.float32}
    exact = supervised_token_nll(model, batch).sum()
    assert nll != exact, "the products were in bfloat16"
    torch.testing.assert_close(nll, exact, rtol=0.02, atol=0)


def train(model: GPT, examples: list[Example], steps: int, **changes) -> list[StepReport]:
    trainer = Trainer(model, examples, recipe(steps=steps, **changes))
    return [trainer.train_step() for _ in range(steps)]


def test_ten_steps_make_the_rows_less_surprising(model: GPT) -> None:
    reports = train(model, ragged_examples(8), 10)
    assert reports[-1].loss < 0.8 * reports[0].loss


def test_the_same_seed_gives_the_same_losses_to_the_last_bit(model: GPT) -> None:
    """Dropout included; another seed gives others."""
    runs = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        fresh = GPT(GPTConfig(**{**vars(CONFIG), "dropout": 0.2}))
        runs.append([report.loss for report in train(fresh, ragged_examples(20), 5, seed=seed, micro_batch_size=3)])
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_a_report_says_what_the_step_was(model: GPT) -> None:
    examples = ragged_examples(20)
    before = copy.deepcopy(model)
    report = train(model, examples, 1)[0]
    rows = [examples[i] for i in step_rows(1, 8, 20, seed=1)]
    nll = supervised_token_nll(before, collate(rows, CPU))
    assert (report.step, report.supervised_tokens, report.pretraining) == (1, len(nll), False)
    assert report.tokens == sum(len(row.ids) - 1 for row in rows)
    assert report.loss == pytest.approx(nll.mean().item(), rel=1e-6)
    assert report.lr == pytest.approx(3e-3 / 5)


def test_the_first_steps_learn_from_every_token_where_that_is_asked_for(model: GPT) -> None:
    examples = ragged_examples(8)
    reports = train(model, examples, 3, pretrain_steps=2)
    assert [report.pretraining for report in reports] == [True, True, False]
    everything = sum(len(row.ids) - 1 for row in examples)
    answers = sum(sum(row.supervised) for row in examples)
    assert [report.supervised_tokens for report in reports] == [everything, everything, answers]


def test_the_gradient_is_clipped_to_its_bound(model: GPT, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(model, ragged_examples(8), recipe(clip=0.01))
    norms: list[float] = []
    trainer.optimizer.step = lambda: norms.append(flat_gradient(model).norm().item())
    report = trainer.train_step()
    assert report.grad_norm > 0.1, "reported as it was before"
    assert norms == pytest.approx([0.01], rel=1e-4)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_moves_nothing_and_names_the_rows(model: GPT, bad: float) -> None:
    examples = ragged_examples(20)
    trainer = Trainer(model, examples, recipe())
    trainer.train_step()
    with torch.no_grad():
        model.ln_f.bias[0] = bad
    before = [p.detach().clone() for p in model.parameters()]
    moments = [state["v"].clone() for state in trainer.optimizer.state.values()]
    with pytest.raises(NotFinite, match=r"At step 2 the loss is") as caught:
        trainer.train_step()
    rows = step_rows(2, 8, 20, seed=1)
    assert caught.value.sources == [examples[i].source for i in rows]
    assert all(source in str(caught.value) for source in caught.value.sources)
    assert trainer.step == 1
    assert all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(before, model.parameters(), strict=True))
    assert all(torch.equal(a, s["v"]) for a, s in zip(moments, trainer.optimizer.state.values(), strict=True))
    assert all(p.grad is None for p in model.parameters())


def reference_losses(theirs: nn.Module, examples: list[Example], r: Recipe) -> list[float]:
    """The same run from parts that are not ours: model, loss, optimiser, clipping and schedule."""
    layers = [p for name, p in theirs.named_parameters() if ".h." in name and p.dim() == 2]
    others = [p for name, p in theirs.named_parameters() if not (".h." in name and p.dim() == 2)]
    groups = [{"params": layers, "weight_decay": r.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=r.lr, betas=r.betas)
    losses = []
    for step in range(1, r.steps + 1):
        rows = [examples[i] for i in step_rows(step, r.batch_size, len(examples), r.seed)]
        T = max(len(row.ids) for row in rows)
        ids = torch.tensor([row.ids + [0] * (T - len(row.ids)) for row in rows])
        labels = torch.full_like(ids, -100)
        for b, row in enumerate(rows):
            learned = torch.tensor(row.supervised).nonzero().flatten()
            labels[b, learned] = ids[b, learned]
        logits = theirs(input_ids=ids).logits
        loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
        loss.backward()
        nn.utils.clip_grad_norm_(theirs.parameters(), r.clip)
        past = (step - 1 - r.warmup_steps) / (r.steps - r.warmup_steps)
        rate = step / r.warmup_steps if past < 0 else (1 + math.cos(math.pi * past)) / 2
        for group in optimizer.param_groups:
            group["lr"] = r.lr * rate
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def test_thirty_steps_lose_what_transformers_and_torchs_optimiser_lose() -> None:
    ours, theirs = make_pair(CONFIG, noise=0.05)
    examples, settings = ragged_examples(20), recipe(micro_batch_size=3)
    found = [report.loss for report in train(ours, examples, 30, micro_batch_size=3)]
    expected = reference_losses(theirs.train(), examples, settings)
    largest = max(abs(a - b) for a, b in zip(found, expected, strict=True))
    print(f"losses from {found[0]:.3f} to {found[-1]:.3f}; largest difference {largest:.1e}")
    assert found[-1] < 0.8 * found[0]
    assert largest < 1e-5


def test_a_step_in_bfloat16_multiplies_in_it_and_splits_as_float32_does(model: GPT) -> None:
    """Weights are cast once for all micro-batches of a step, so each must still get the gradient of every one of them:
    the split ones differ from the whole by rounding to eight bits, a lost micro-batch by far more."""
    examples = ragged_examples(8)
    exact = step_gradient(model, examples, 8)
    whole, split = (step_gradient(model, examples, size, dtype="bfloat16") for size in (8, 2))
    assert {whole.dtype, split.dtype} == {torch.float32}
    assert 1e-4 < relative(whole, exact) < 0.02
    assert 1e-4 < relative(split, exact) < 0.02


def test_a_step_trains_with_dropout_even_where_the_model_was_left_evaluating() -> None:
    """As a model from --init is when it is loaded."""
    torch.manual_seed(0)
    model = GPT(GPTConfig(**{**vars(CONFIG), "dropout": 0.2})).eval()
    dropped, examples = copy.deepcopy(model), ragged_examples(8)
    expected = supervised_token_nll(model, collate([examples[i] for i in step_rows(1, 8, 8, seed=1)], CPU)).mean()
    assert train(dropped, examples, 1)[0].loss != pytest.approx(expected.item(), rel=1e-4)
    assert dropped.training


def test_the_default_recipe_clips_the_gradient_at_one() -> None:
    """What `train` relies on, as it has no option for it."""
    assert recipe().clip == 1.0


def test_a_micro_batch_holds_some_500_tokens_at_124m_on_a_cpu_and_any_number_on_a_gpu(
    model: GPT, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More make no product faster on a CPU, and their activations would be the peak of memory."""
    model.config = GPTConfig.named("gpt2")
    assert 500 < trainer_module.room(model) < 600
    model.config = GPTConfig.named("gpt2-medium")  # 24 layers of 1024 channels instead of 12 of 768
    assert 500 < trainer_module.room(model) * 24 * 1024 / (12 * 768) < 600
    for kind in ("cuda", "mps"):
        monkeypatch.setattr(GPT, "device", torch.device(kind))
        assert trainer_module.room(model) == math.inf


def test_evaluation_takes_the_form_that_the_model_is_set_to(model: GPT, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    for name in ("token_nll", "token_nll_fast"):
        form = getattr(trainer_module, name)
        monkeypatch.setattr(
            trainer_module, name, lambda *given, form=form, name=name: taken.append(name) or form(*given)
        )
    supervised_token_nll(model, collate(ragged_examples(2), CPU))
    assert taken == ["token_nll" if model.is_explicit else "token_nll_fast"]
