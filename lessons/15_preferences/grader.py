"""Lesson 15's grader: what is asked for, on which numbers, and the hint for each typical mistake."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial, wraps
from itertools import product
from types import SimpleNamespace
from unittest import mock

import jaxtyping
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from lessons.harness.grade import Exercise, Lesson
from lessons.tiny import paper_model
from minigpt import GPT, GPTConfig
from minigpt.learn.trainer import Recipe
from minigpt.preference.likelihood import continued, log_likelihood
from minigpt.preference.optimum import optimum
from minigpt.preference.policy import Draw, draw_answers
from minigpt.preference.rewards import Prompt
from minigpt.preference.rl_trainer import RLTrainer
from minigpt.text.examples import Example

END, K, STEPS, BETA, NEAR = 3, 64, 100, 0.5, 0.06
PREFERENCE = "minigpt.preference."
Written = partial(Exercise, trains=False)  # nothing is trained through it


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Model(GPT):
    """Equal to another one with the same weights, so that it can be seen whether it was changed. In training its logits
    are smaller: like dropout, but the same for whoever forgets to turn it off."""

    def forward(self, *args, **kwargs):
        logits = super().forward(*args, **kwargs)
        return 0.8 * logits if self.training else logits

    def __eq__(self, other: object) -> bool:
        mine, theirs = self.state_dict(), other.state_dict()
        return all(torch.equal(mine[name], theirs[name]) for name in mine)

    __hash__ = GPT.__hash__


def on_paper(seed: int | None = None) -> Model:
    """The paper model; with a seed, some way off."""
    model = Model(paper_model().config).eval()
    model.load_state_dict(paper_model().state_dict())
    generator = torch.Generator().manual_seed(seed or 0)
    with torch.no_grad():
        for parameter in model.parameters() if seed else ():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return model


def margin_cases() -> list[tuple]:
    return [
        (torch.tensor([0.0, 0.63, -0.63, 3.0], dtype=torch.float64),),
        (3.0 * random(2, 3), 0.1),
        (torch.tensor([-1000.0, -1.0, 40.0], dtype=torch.float64),),
    ]


def pair_cases() -> list[tuple]:
    return [([0], [2], [1, 2], 3), ([7, 1, 9], [20, 21, 22], [30], 8)]


def row_cases() -> list[tuple]:
    """A model with rows that no token has, in training; answers of several lengths, and a conversation of two turns."""
    torch.manual_seed(0)
    model = Model(GPTConfig(vocab_size=8, n_padding_rows=3, n_ctx=8, n_embd=8, n_head=2, n_layer=1, bos_token_id=4))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(10 if parameter.dim() == 2 else 1)
    rows = [continued([1, 2], [3, 0, 4]), continued([0, 3, 1], [2, 4]), continued([2], [0, 0, 1, 3])]
    turns = Example([1, 3, 2, 4, 0, 1, 4], [False, True, True, False, False, True, True], "")
    paper = [continued([0], [2, 3]), continued([0], [1, 2, 3])]
    return [(on_paper(), paper), (model.train(), [*rows, turns])]


def learns_through_it(mine: Callable) -> str | None:
    """Whether the gradient is that of torch's own cross-entropy."""
    model, rows = paper_model(), [continued([0], [2, 3]), continued([0], [1, 2, 3])]
    found = mine(model, rows)
    if not found.requires_grad:
        return "log_likelihood is right, but no gradient comes through it: was it detached, or made of numbers?"
    weights = [1.0, -2.0]
    ours, theirs = (
        torch.autograd.grad(total, list(model.parameters()), allow_unused=True)
        for total in (
            sum(w * x for w, x in zip(weights, found, strict=True)),
            sum(
                -w * cross_entropy(model(torch.tensor([row.ids[:-1]]))[0], torch.tensor(row.ids[1:]), reduction="sum")
                for w, row in zip(weights, rows, strict=True)
            ),
        )
    )
    if all(torch.allclose(a, b, atol=1e-5) for a, b in zip(ours, theirs, strict=True) if b is not None):
        return None
    return "log_likelihood is right, but its gradient is not."


def return_cases() -> list[tuple]:
    return [
        (torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]]).double(),),
        (random(3, 4),),
        (5.0 + 2.0 * random(2, 2, seed=1),),
    ]


def sides_cases() -> list[tuple]:
    on_paper = [torch.tensor([x]).double() for x in (-3.22, -1.49, -3.80, -1.44)]
    sides = [-5.0 - 3.0 * random(4, seed=seed).abs() for seed in range(4)]
    return [(*on_paper, 1.0), (*sides, 0.2), (*sides, 0.5, 0.1)]


def draws_of(prompts: list[int], answers: list[list[list[int]]]) -> list[Draw]:
    """The prompts have a token each."""
    return [Draw([p], ids, ids[-1] == END) for p, said in zip(prompts, answers, strict=True) for ids in said]


def loss_cases() -> list[tuple]:
    short = draws_of([0], [[[2, 3], [1, 2, 3], [1, 1, 2]]])
    two = draws_of([0, 1], [[[2, 3], [1, 2, 3], [1, 1, 2]], [[2, 3], [0, 3], [0, 1, 3]]])
    ones = torch.tensor([[1.0, 0.0, 0.0]])
    return [(on_paper(1), on_paper(), short, ones, 0.5), (on_paper(2), on_paper(3), two, random(2, 3).float(), 0.3)]


@cache
def known(lesson: str, name: str, which: float, switches: tuple[str, ...], by_gradient: bool) -> Tensor:
    """What the right function, or with switches a typical mistake, gives for a case; kept, since models run in it."""
    module = getattr(Lesson(lesson), "mistakes" if switches else "solutions")
    function = slope(getattr(module, name)) if by_gradient else getattr(module, name)
    (case,) = [case for case in kept_cases(lesson, name) if number(case) == which]
    return function(*case, **dict.fromkeys(switches, True))


@cache
def kept_cases(lesson: str, name: str) -> list[tuple]:
    return Lesson(lesson).graders[name].cases()


def number(case: tuple) -> float:
    """Which case it is: they have unequal beta, or unequal numbers of rows."""
    return case[-1] if isinstance(case[-1], float) else len(case[-1])


def slope(function: Callable) -> Callable:
    """The gradient of the policy, as one vector, in place of the loss."""

    @wraps(function)
    def gradient(policy: GPT, *args, **switches) -> Tensor:
        loss = function(policy, *args, **switches)
        slopes = torch.autograd.grad(loss, list(policy.parameters()), allow_unused=True)
        some = zip(policy.parameters(), slopes, strict=True)
        return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for p, g in some])

    return gradient


class OfModels(Exercise):
    """Its cases have models, so that what it is compared with is worked out once."""

    by_gradient = False

    def verdict(self, mine: Callable | None, lesson: Lesson) -> str | None:
        def kept(*case, **chosen) -> Tensor:
            return known(lesson.folder, self.name, number(case), tuple(chosen), self.by_gradient)

        module = SimpleNamespace(**{self.name: kept})
        return Exercise.verdict(self, mine, SimpleNamespace(solutions=module, mistakes=module))


class ByGradient(OfModels):
    """What a loss is for: it is compared by its gradient, so that the same gradient of another value is right."""

    by_gradient = True

    def verdict(self, mine: Callable | None, lesson: Lesson) -> str | None:
        try:
            for case in self.cases():
                loss = mine(*case)
                if not isinstance(loss, Tensor) or loss.shape != () or not loss.requires_grad:
                    return f"{self.name} has to give a loss: one number as a tensor, with a gradient for the policy."
        except Exception:
            return super().verdict(mine, lesson)  # which says where it stopped
        judged = replace(self, judge=lambda _: self.judge(mine))
        return OfModels.verdict(judged, slope(mine), lesson)

    def difference(self, answers: list, expected: list) -> str:
        return f"The gradient of your loss is another one. {super().difference(answers, expected)}"


@cache
def all_answers() -> tuple[list[tuple[int, ...]], Tensor, Tensor]:
    """The 40 answers to "I", log ref of each, and the lesson's reward."""
    answers = [(*said, END) for n in range(3) for said in product(range(3), repeat=n)]
    answers += list(product(range(3), repeat=3))
    with torch.no_grad():
        log_ref = log_likelihood(paper_model(), [continued([0], answer) for answer in answers]).double()
    return answers, log_ref, torch.tensor([float(len(answer) <= 2) for answer in answers]).double()


def lands_on_the_optimum(mine: Callable) -> str | None:
    """Steps of the package's RLTrainer, with the learner's loss in it."""

    class Through(RLTrainer):
        def gradients(self, rows: list[Prompt]) -> tuple[float, int]:
            draws = draw_answers(self.model, [row.ids for row in rows], K, END, self.max_new_tokens, self.seed())
            rewards = self.reward(rows, draws).view(-1, K)
            loss = mine(self.model, self.reference, draws, rewards, self.beta)
            loss.backward()
            return loss.item(), sum(len(draw.answer) for draw in draws)

    def short(prompts: list[Prompt], draws: list[Draw]) -> Tensor:
        return torch.tensor([float(len(draw.answer) <= 2) for draw in draws])

    model, recipe = (
        paper_model(),
        Recipe(STEPS, 1, 1, 0.05, warmup_steps=3, weight_decay=0.0, betas=(0.8, 0.98), clip=100.0),
    )
    prompt = Prompt([0], [{"role": "user", "content": "I"}], None, "the paper model's prompt")
    trainer = Through(model, [prompt], recipe, short, paper_model(), BETA, END, K, 3)
    trainer.read = 0
    with mock.patch.object(jaxtyping.config, "jaxtyping_disable", True):  # shapes were checked on the cases
        for _ in range(STEPS):
            trainer.train_step()
    answers, log_ref, r = all_answers()
    best = optimum(log_ref, r, BETA)
    with torch.no_grad():
        log_pi = log_likelihood(model, [continued([0], answer) for answer in answers]).double()
    apart = ((log_pi.exp() - best.exp()).abs().sum() / 2).item()
    if apart < NEAR:
        return None
    return (
        f"After {STEPS} steps the policy is {apart:.2f} from the optimum in total variation; wanted is {NEAR} at most."
    )


EXERCISES = [
    Exercise("preference_nll", "turtle", 5, margin_cases, {
        "turned": "A large margin costs much in your answer; it must cost little. Or are the two shares of the label "
        "smoothing swapped? e is the *small* part, of the pair turned around.",
        "wrong_sign": "Your sign is turned around: log sigmoid is negative, the loss is positive.",
        "no_logarithm": "That is minus the probability. (15.3) is minus its logarithm.",
        "one_minus": "That is the probability of the other order. (15.3) is minus a logarithm.",
        "base_2": "Your logarithm is that to base 2, in bits. The loss is in nats.",
        "smoothing_ignored": "`label_smoothing` changes nothing in your answer.",
        "unstable": "At a margin of -1000 sigmoid is 0, and its logarithm infinite. Take torch's log sigmoid in one.",
        "mean": "You returned a mean. Wanted is the loss of each pair.",
        "hinge": "That is the hinge loss, which ends at a margin of 1. (15.3) has log sigmoid.",
    }, places=(PREFERENCE + "bradley_terry.preference_nll",)),
    Written("pair_rows", "turtle", 5, pair_cases, {
        "chosen_prompt_supervised": "The chosen side's prompt is supervised. Its tokens would be in one side of the "
        "difference and not in the other.",
        "rejected_prompt_supervised": "The rejected side's prompt is supervised. Its tokens would be in one side of "
        "the difference and not in the other.",
        "no_end": "Neither answer has its end token: whether to stop would never be learned.",
        "rejected_not_ended": "The rejected answer has no end token. A difference needs both, as both were whole.",
        "end_unsupervised": "The end is read and not supervised: whether to stop would never be learned.",
        "rejected_unsupervised": "Nothing of the rejected side is supervised. Its likelihood is needed too.",
        "swapped": "The chosen side comes first.",
        "mask_turned": "Your mask is turned around: True is what is supervised, the answer.",
        "shifted": "Your mask is shifted by one already. Here it belongs to the ids.",
        "answers_alone": "The prompt is missing. It is not supervised, but it is read.",
        "prompt_end": "You put the end token after the prompt too. The prompt is complete as it is.",
    }),
    OfModels("log_likelihood", "turtle", 10, row_cases, {
        "mean": "You took the mean over the answer's tokens. The probability of an answer is a product, so its "
        "logarithm is a sum; with means DPO ends at another model.",
        "end_lost": "The last token of each answer is missing. It is an action like any other, and the end mostly is "
        "what a reward depends on.",
        "first_lost": "Your mask comes one place too late: the logits at t predict ids[t + 1], so the first token of "
        "the answer is predicted at the last of the prompt.",
        "prompt_counted": "The prompt's tokens are in your sum. (15.5) is over the supervised tokens.",
        "unused_rows": "Your softmax is over all rows. Those from model.config.tokens on are never drawn, so that this "
        "is not the distribution that was drawn from.",
        "dropout_on": "You left the model in training mode, so dropout is on: two calls then differ, and the first "
        "ratio to the reference is not 1. See minigpt.model.gpt.evaluating.",
        "wrong_sign": "That is the NLL. A log-likelihood is below 0.",
        "no_logarithm": "That is the probability itself, a product. Wanted is its logarithm.",
        "no_softmax": "You added up logits. The softmax makes probabilities of them.",
        "base_2": "Your logarithm is that to base 2, in bits. Wanted are nats.",
        "shifted": "You compare with the ids that were read. The logits at t predict ids[t + 1].",
        "everything_summed": "You added up all rows. Wanted is a number for each.",
    }, places=(PREFERENCE + "likelihood.log_likelihood",), tolerance=1e-5, judge=learns_through_it, trains=False),
    Exercise("leave_one_out", "dog", 15, return_cases, {
        "own_draw": "The draw itself is in its baseline, which is the mean of all K. So each return takes a K-th of "
        "itself away, and the gradient is too small by (K - 1) / K.",
        "draw_left_in": "You divided the sum of all K by K - 1. The draw itself has to leave the sum too.",
        "divided_by_k": "You took the draw out of the sum, but divided by K. The others are K - 1.",
        "all_prompts": "Your baseline is over all prompts. The others are the answers to the same prompt, a row.",
        "other_axis": "You went down the columns. The K answers to one prompt are a row.",
        "standard_deviation": "You divided by the standard deviation. (15.6) has no such divisor: it changes the "
        "direction, and is near 0 where all rewards are alike.",
        "grpo": "That is GRPO's advantage: the mean of all K, and divided by the standard deviation. Wanted is "
        "(15.7), with no divisor.",
        "wrong_sign": "Your sign is turned around: what did better than the others has a positive advantage.",
        "baseline_alone": "That is b. Wanted is R - b.",
        "best_of_the_others": "You subtracted the best of the others. (15.7) is their mean.",
        "no_baseline": "Nothing is subtracted. That is unbiased too, but varies more: subtract (15.7).",
    }, places=(PREFERENCE + "policy.leave_one_out",)),
    Exercise("dpo_loss", "dog", 15, sides_cases, {
        "beta_outside": "beta stands before the logarithm. It belongs inside of the sigmoid: it scales the margin.",
        "beta_inside_out": "You divided by beta. The reward that (15.8) implies is beta *times* the log-ratio.",
        "beta_forgotten": "beta changes nothing in your answer.",
        "beta_on_policy": "You multiplied the model's log-likelihoods by beta and not the reference's.",
        "turned": "Your margin is that of the rejected answer over the chosen one. Or are the two shares of the label "
        "smoothing swapped?",
        "wrong_sign": "Your sign is turned around: log sigmoid is negative, the loss is positive.",
        "reference_forgotten": "The reference changes nothing in your answer: that pulls apart what it has together.",
        "reference_added": "You added the reference's log-likelihoods, or swapped its sides. A ratio is a difference "
        "of logarithms, each side's with its own.",
        "sides_apart": "You have a sigmoid for each side. In (15.3) there is one, of the difference, so that log Z "
        "cancels.",
        "ipo": "That is the squared loss of IPO. (15.4) is minus log sigmoid of the margin.",
        "smoothing_ignored": "`label_smoothing` changes nothing in your answer.",
        "mean": "You returned a mean. Wanted is the loss of each pair.",
        "chosen_alone": "The rejected answer changes nothing in your answer.",
    }, places=(PREFERENCE + "dpo.dpo_loss",)),
    ByGradient("rloo_loss", "lion", 40, loss_cases, {
        "kl_differentiated": "Your KL is a term of the loss, differentiated straight through the draws: its gradient "
        "is 0 on average, so that nothing holds the policy. Put it into the returns, held constant.",
        "k2_differentiated": "Your KL is half the squared log-ratio, as a term of the loss. On average that is right; "
        "wanted is (15.6), with the log-ratio in the returns, where the baseline sees it.",
        "kl_forgotten": "There is no KL in your loss: nothing holds the policy near the reference.",
        "not_constant": "The gradient goes through the returns too. They are constants: detach them.",
        "ratio_turned": "The log-ratio is turned around: you reward what the reference would not say.",
        "beta_inside_out": "You divided by beta. A nat of divergence costs beta.",
        "own_draw": "The draw itself is in its baseline. (15.7) is the mean of the others.",
        "all_prompts": "Your baseline is over all prompts. The others are the answers to the same prompt.",
        "no_baseline": "Nothing is subtracted from the returns. (15.7) makes the gradient vary less.",
        "divided_by_the_spread": "You divided by the standard deviation, as GRPO does. That is another direction.",
        "wrong_sign": "Your sign is turned around: a loss is made smaller, and J_beta shall grow.",
        "means": "You took means of the log-probabilities over an answer's tokens. (15.5) is a sum.",
        "end_lost": "The last token of each answer is missing, mostly the end: so stopping is never learned.",
        "summed": "You summed over the draws. The loss is a mean, so that the rate does not depend on their number.",
    }, tolerance=1e-5, judge=lands_on_the_optimum, trains=False),
]  # fmt: skip
