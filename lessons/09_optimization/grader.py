"""Lesson 09's grader: what is asked for, on which numbers, and the hint for each typical mistake."""

import inspect
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, partial, wraps
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from torch import Tensor

from lessons.harness.grade import Exercise, Lesson, difference, same, where
from lessons.harness.mine import put
from minigpt import GPT, GPTConfig
from minigpt.learn.trainer import Recipe, Trainer
from minigpt.text.examples import Example

OPTIMIZER, TRAINER = "minigpt.learn.optimizer.", "minigpt.learn.trainer."


Number = partial(Exercise, trains=False)  # nothing is trained through it


@dataclass(frozen=True)
class Changing(Exercise):
    """The function changes what it is given; `after` says what is looked at then, by name: that is its answer."""

    trains: bool = False
    returns_nothing: ClassVar[bool] = True

    def verdict(self, mine: Callable | None, lesson: Lesson) -> str | None:
        if mine is None:
            return super().verdict(mine, lesson)
        returned = []
        for case in self.cases():  # the base class sees only the wrapper, and could not say the learner's own line
            try:
                returned.append(mine(*deepcopy(case)))
            except NotImplementedError:
                break
            except Exception as error:
                return f"{self.name} stopped: {type(error).__name__}: {error}\n{where(error, mine)}"
        solutions, mistakes = (
            SimpleNamespace(**{self.name: self.wrapped(getattr(module, self.name))})
            for module in (lesson.solutions, lesson.mistakes)
        )
        stand_in = SimpleNamespace(solutions=solutions, mistakes=mistakes)
        wrong = super().verdict(self.wrapped(mine), stand_in)
        if not wrong and self.returns_nothing and any(value is not None for value in returned):
            return f"{self.name} changes what it should. Now let it return nothing, as the package's function does."
        return wrong

    def wrapped(self, function: Callable) -> Callable:
        @wraps(function)
        def changed(*given: Any, **switches: bool) -> tuple:
            given = deepcopy(given)
            return tuple(self.after(given, function(*given, **switches)).values())

        return changed

    def after(self, given: tuple, returned: Any) -> dict[str, Any]:
        raise NotImplementedError

    def difference(self, answers: Sequence[tuple], expected: Sequence[tuple]) -> str:
        pairs = zip(self.cases(), answers, expected, strict=True)
        case, a, b = next(pair for pair in pairs if not same(*pair[1:], self.tolerance))
        i = next(i for i in range(len(b)) if not same(a[i], b[i], self.tolerance))
        return f"After {self.name}{self.shown(case)}, {self.names[i]} {difference(a[i], b[i], self.tolerance)}"

    def shown(self, case: tuple) -> str:
        return ""


class InPlace(Changing):
    """The tensors that it was given are its answer."""

    @property
    def names(self) -> list[str]:
        return ["theta", "g", "m", "v"] if self.name != "descend" else ["theta", "direction"]

    def after(self, given: tuple, returned: Any) -> dict[str, Any]:
        return dict(zip(self.names, (x for x in given if isinstance(x, Tensor)), strict=True))

    def shown(self, case: tuple) -> str:
        return f" with t = {case[4]} and {case[5]}" if len(case) > 4 else ""


class Accumulated(Changing):
    """What it returned and the gradient that it left in the model's parameters are its answer."""

    returns_nothing = False
    looks: ClassVar[dict[tuple, tuple]] = {}  # what each mistake gives, and each pair of them: computed once
    names = ("the loss returned", "the number of tokens returned", "the gradient of all parameters, side by side,")

    def wrapped(self, function: Callable) -> Callable:
        changed = super().wrapped(function)

        def remembered(*given: Any, **switches: bool) -> tuple:
            key = function, *switches
            if key not in self.looks:
                self.looks[key] = changed(*given, **switches)
            return self.looks[key]

        return remembered if function.__module__.startswith(__package__) else changed

    def after(self, given: tuple, returned: Any) -> dict[str, Any]:
        trainer = given[0]
        flat = [torch.zeros_like(p) if p.grad is None else p.grad for p in trainer.model.parameters()]
        loss, count = returned if isinstance(returned, tuple | list) and len(returned) == 2 else (returned, None)
        return dict(zip(self.names, (loss, count, torch.cat([g.flatten() for g in flat])), strict=True))


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def paper_gradient() -> Tensor:
    """Of the paper model's ln_f.bias, to two decimals."""
    return torch.tensor([0.12, 0.04, -0.08, -0.05], dtype=torch.float64)


def descend_cases() -> list[tuple]:
    zeros = torch.zeros(4, dtype=torch.float64)
    return [(zeros, paper_gradient(), 1.0), (random(2, 3, seed=0), random(2, 3, seed=1), 0.3)]


def adam_cases() -> list[tuple]:
    paper = dict(lr=0.1, betas=(0.9, 0.999), eps=1e-8, bias_correction=True, weight_decay=0.0)
    zeros = [0.0] * 4
    first = [torch.tensor(zeros, dtype=torch.float64) for _ in range(3)]
    cases = [(first[0], paper_gradient(), *first[1:], 1, paper)]
    for t, bias_correction in ((12, True), (3, False)):
        group = dict(lr=0.05, betas=(0.8, 0.95), eps=0.01, bias_correction=bias_correction, weight_decay=0.3)
        tensors = [random(2, 3, seed=seed) for seed in range(4)]
        cases.append((*tensors[:3], tensors[3].square(), t, group))
    return cases


def adamw_cases() -> list[tuple]:
    return [(*case[:5], case[5] | {"weight_decay": share}) for case in adam_cases()[1:] for share in (0.3, 0.0)]


@cache
def small_model() -> GPT:
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=11, n_ctx=16, n_embd=8, n_head=2, n_layer=1, bos_token_id=0))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn(parameter.shape)
    return model


def ragged_rows() -> list[Example]:
    """Answers of one to eight tokens; the last row is supervised from its first token on."""
    generator, rows = torch.Generator().manual_seed(0), []
    for asked, answered in ((2, 8), (5, 1), (1, 2), (6, 1), (0, 4)):
        ids = torch.randint(11, (asked + answered,), generator=generator).tolist()
        rows.append(Example(ids, [False] * asked + [True] * answered, f"row {len(rows) + 1}"))
    return rows


class SmallTrainer(Trainer):
    def __eq__(self, other: object) -> bool:
        return isinstance(other, SmallTrainer)

    __hash__ = None

    def __deepcopy__(self, memo: dict) -> "SmallTrainer":
        """Without a gradient, and before its first step."""
        return SmallTrainer(deepcopy(self.model), self.examples, self.recipe)


def small_trainer(explicit: bool) -> SmallTrainer:
    recipe = Recipe(steps=12, batch_size=5, micro_batch_size=2, lr=0.03, warmup_steps=3, betas=(0.9, 0.99))
    return SmallTrainer(deepcopy(small_model()).explicit(explicit), ragged_rows(), recipe)


@cache
def gradients_cases() -> list[tuple]:
    return [(small_trainer(explicit=False), ragged_rows())]


@cache
def losses_of_torch() -> list[float]:
    """Of a dozen steps through torch's own kernel, which no exercise replaces."""
    taken = small_trainer(explicit=True)
    taken.optimizer.explicit = False
    return [taken.train_step().loss for _ in range(12)]


def trains_like_torch(mine: Callable) -> str | None:
    """A dozen steps of the package's trainer through it, beside torch's kernel."""
    undo = put(OPTIMIZER + "adam", lambda *given: [None, inspect.unwrap(mine)(*given)][0], "adam")
    try:
        taken = small_trainer(explicit=True)
        found = [taken.train_step().loss for _ in range(12)]
    finally:
        undo()
    apart = [step for step, (a, b) in enumerate(zip(found, losses_of_torch(), strict=True), 1) if abs(a - b) > 1e-5]
    return f"adam is right, but in the trainer its losses leave torch's at step {apart[0]}." if apart else None


def a_hundred_steps(mine: Callable) -> str | None:
    settings = dict(lr=0.01, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.3)
    ours, theirs = random(2, 3, seed=0), random(2, 3, seed=0)
    m, v = torch.zeros_like(ours), torch.zeros_like(ours)
    reference = torch.optim.AdamW([theirs], **settings)
    for t in range(1, 101):
        theirs.grad = random(2, 3, seed=t)
        inspect.unwrap(mine)(ours, theirs.grad.clone(), m, v, t, settings | {"bias_correction": True})
        reference.step()
    return None if same(ours, theirs, 1e-9) else "adamw is right, but after 100 steps it is not where torch's AdamW is."


ADAM = {
    "not_corrected": "Bias correction is missing: m and v began at 0, so at step t they are only 1 - b1^t and 1 - b2^t "
    "of a mean. Divide by that where the group says bias_correction.",
    "always_corrected": "You correct the bias even where group[\"bias_correction\"] is False; that is the documents' "
    "form.",
    "correction_kept": "You wrote the corrected moments back into m and v. The correction is for this step's movement "
    "only; the running means go on from what they were.",
    "only_m_corrected": "You corrected m but not v. Both began at 0, and each has a beta of its own.",
    "power_forgotten": "You divided by 1 - b at every step. The share of a mean that has come together grows: it is "
    "1 - b^t.",
    "from_step_0": "You corrected with t - 1, and 1 - b^0 is 0. Steps count from 1, and `t` is this step.",
    "not_squared": "Your v is a mean of g; it is the mean of its square, which has no sign.",
    "of_m": "Your v is made of m^2. It is the mean of this step's g^2.",
    "betas_swapped": "Your betas are swapped: the first is for m, the second for v.",
    "shares_swapped": "The old and the new have each other's share: b of what was, 1 - b of what is new.",
    "eps_inside": "Your eps is inside the root, where 1e-8 acts like 1e-4. It is added to the root. (LayerNorm has its "
    "eps inside.)",
    "eps_forgotten": "There is no eps in your answer. A parameter whose gradient was always 0 would give 0/0.",
    "no_root": "You divide by v; divide by its root, which has the size of a gradient, so that the step is about eta.",
    "no_momentum": "You step along this step's g. Step along m, the running mean.",
    "moments_rebound": "m and v are as before. `m = ...` gives a new tensor the name m, and the caller keeps the old "
    "one; write into it, as m[...] = ... does.",
    "theta_rebound": "theta is as before: `theta = theta - ...` makes a new tensor that nobody keeps. Change it in "
    "place, as theta -= ... does.",
    "uphill": "You go up the slope. The gradient points to where the loss grows.",
}  # fmt: skip
EXERCISES = [
    InPlace("descend", "turtle", 5, descend_cases, {
        "not_in_place": "theta is as before. `theta = theta - ...` makes a new tensor that nobody keeps, and so does "
        "returning one; change theta in place.",
        "uphill": "You go up the slope. The gradient points to where the loss grows.",
        "rate_forgotten": "You took the whole direction; eta says how much of it.",
        "sign_only": "You used only the signs of the direction. In (9.1) a steeper slope makes a longer step.",
        "unit_length": "You divided the direction by its length. (9.1) takes it as it is; limiting its length is "
        "clipping, and done elsewhere.",
        "shrunk": "You multiplied the direction by theta; a parameter that is 0 would never move.",
    }, places=(OPTIMIZER + "descend",)),
    Number("warmup_then_decay", "turtle", 10, lambda: [
        (1, 0.8, 4, 100), (4, 0.8, 4, 100), (5, 0.8, 4, 100), (6, 0.8, 4, 100), (52, 0.8, 4, 100), (100, 0.8, 4, 100),
        (150, 0.8, 4, 100), (1, 0.5, 0, 100), (1, 0.5, 0, 1), (1, 0.5, 1, 1), (20, 1.0, 10, 50, 0.2),
        (51, 1.0, 10, 50, 0.2), (3, 1.0, 10, 50, 0.2),
    ], {
        "from_zero": "Your first step has the rate 0: it moves nothing. Steps count from 1, and the last of the warmup "
        "has the full rate.",
        "one_too_long": "Your warmup takes one step more than it should: step T_warmup has the full rate already.",
        "never_ends": "Your rate rises forever. (9.5) is for the steps up to T_warmup only.",
        "no_decay": "After the warmup your rate stays where it is. It falls along half a cosine.",
        "straight": "Your rate falls in a straight line; it is half a cosine, flat at both ends.",
        "of_all_steps": "Your cosine starts at step 1, under the warmup, so the rate drops where the two meet. Count "
        "its steps from the end of the warmup.",
        "reaches_zero": "Your last step has the rate lr_min; if that is 0, it moves nothing. lr_min belongs to the "
        "step after the last.",
        "peak_skipped": "Your cosine is one step ahead: the step after the warmup still has lr_max.",
        "quarter": "You took a quarter of a cosine, from 1 to 0. It is (1 + cos x) / 2 for x from 0 to pi.",
        "whole": "Your cosine turns all the way round, so the rate comes back at the end. Half a turn is pi.",
        "min_ignored": "Your rate falls to 0 and not to lr_min.",
        "min_added": "You added lr_min to the whole cosine, so it starts above lr_max. It spans lr_max - lr_min.",
        "rises_again": "After the last step your rate rises again, as a cosine does. Later steps keep lr_min.",
    }, places=("minigpt.learn.schedule.warmup_then_decay",)),
    Accumulated("gradients", "dog", 25, gradients_cases, {
        "mean_of_means": "You took the mean of the micro-batches' means. A token in a micro-batch with few of them "
        "then weighs more than one among many. There is one divisor, the same for all micro-batches.",
        "sum_of_means": "You added up the micro-batches' means. Add up their sums; one divisor serves all of them.",
        "sum_of_means_in_gradient": "The loss that you return is right, but the gradient is that of the micro-batches' "
        "means, added up. Call backward() on the same parts of the loss that you add up, with one divisor for all.",
        "mean_of_means_in_gradient": "The loss that you return is right, but the gradient is that of the mean of the "
        "micro-batches' means. Call backward() on parts with one divisor, the same for all micro-batches.",
        "not_divided": "You left the gradient of the sum. It grows with the number of tokens; the mean is wanted.",
        "by_rows": "You divided by the number of rows. The mean is over supervised tokens.",
        "by_micro_batches": "You divided sums by the number of micro-batches; divide by the supervised tokens of all.",
        "by_tokens_read": "You divided by all tokens that are read. Only the supervised ones are in the sum.",
        "all_supervised": "You trained on every token. `supervised` in the rows says which ones count.",
        "only_the_last": "The gradient is that of the last micro-batch: the others were cleared. backward() adds to "
        "what is there, and that is what accumulation lives on.",
        "no_backward": "The loss is right, but there is no gradient: nothing called backward().",
        "running_count": "You divided by the tokens seen so far. Count the tokens of all micro-batches first.",
        "rest_dropped": "The last rows are missing: the last micro-batch may have fewer than micro_batch_size.",
        "loss_of_the_last": "The gradient is right, but the loss that you return is the last micro-batch's part alone.",
        "loss_summed": "The gradient is right, but the loss that you return is a sum and not the mean.",
        "rows_counted": "You return the number of rows; the number of supervised tokens is wanted.",
        "first_token_counted": "You counted a row's first token too. It is never a target, as nothing comes before it: "
        "count in the batches.",
    }, places=(TRAINER + "Trainer.gradients",), tolerance=1e-6),
    InPlace("adam", "lion", 30, adam_cases, ADAM | {
        "decayed": "You let theta shrink by weight_decay. AdamW does that itself, before it calls adam; now it happens "
        "twice.",
    }, places=(OPTIMIZER + "adam",), judge=trains_like_torch),
    InPlace("adamw", "lion", 15, adamw_cases, ADAM | {
        "not_decayed": "The weight decay changes nothing in your answer.",
        "l2": "You added weight_decay * theta to the gradient, so it enters the moments, and the root divides it away: "
        "weights with large gradients hardly decay. That is L2 in Adam; AdamW shrinks theta apart from all that.",
        "scaled_by_v": "You added weight_decay * theta to m, so it is divided by the root of v. The decay must not "
        "know about the moments at all.",
        "rate_left_out": "You shrank theta by weight_decay alone; it is eta * weight_decay, so a small rate decays "
        "little.",
        "grown": "Your theta grows. Decay makes it smaller.",
        "shrunk_after": "You shrank theta after Adam's step, and with it the step. Shrink what was there before.",
        "decay_squared": "You multiplied eta * weight_decay by itself.",
    }, judge=a_hundred_steps),
]  # fmt: skip
