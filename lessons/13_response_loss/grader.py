"""Lesson 13's grader: what is asked for, on which numbers, and the hint for each typical mistake."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial, wraps
from types import SimpleNamespace
from unittest import mock

import torch
from torch import Tensor

from lessons.harness.grade import Exercise, Lesson
from lessons.tiny import IDS, TARGETS, E, paper_model
from lessons.trained import trained_model
from minigpt import GPT, GPTConfig
from minigpt.learn.batches import Batch
from minigpt.learn.trainer import Recipe, Trainer
from minigpt.text.examples import Example

from .detective_grader import DETECTIVE

CPU = torch.device("cpu")


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Loss(Exercise):
    """Its gradient is compared in float32 alone: in bfloat16 two right ways may differ in the last digit."""

    def learns(self, mine: Callable, right: Callable) -> str | None:
        exact = [case for case in self.cases() if case[0].dtype != torch.bfloat16]
        return Exercise.learns(replace(self, cases=lambda: exact), mine, right)


@cache
def paper_logits() -> Tensor:
    with torch.no_grad():
        return paper_model()(torch.tensor([IDS]))


def nll_cases() -> list[tuple]:
    ragged = torch.tensor([[0, 0, 1, 1, 1, 0], [0, 1, 0, 0, 1, 1], [1, 0, 0, 0, 0, 0]]).bool()
    targets = torch.randint(5, (3, 6), generator=torch.Generator().manual_seed(1))
    line = torch.tensor([False, True, True, False])
    return [
        (paper_logits(), torch.tensor([TARGETS]), torch.tensor([[False, True, True]])),
        (2.0 * random(3, 6, 5), targets, ragged),
        (random(4, 5, seed=2), torch.tensor([2, 0, 4, 1]), line),
        (3.0 * random(3, 6, 5).bfloat16(), targets, ragged),
    ]


Written = partial(Exercise, trains=False)  # nothing is trained through it


def conversation_cases() -> list[tuple]:
    user, assistant, system = [7, 1], [7, 2], [7, 3]
    return [
        ([("user", user, [20, 21, 22]), ("assistant", assistant, [30, 31])], 8, [9]),
        ([("system", system, [40]), ("user", user, [20, 8]), ("assistant", assistant, [30]), ("user", user, [23]),
          ("assistant", assistant, [32, 9, 33]), ("user", user, [24]), ("assistant", assistant, [34])], 8, [9]),
        ([("user", user, [25]), ("assistant", [], [35, 36]), ("user", [1], [26]), ("assistant", [2], [37])], 0, []),
    ]  # fmt: skip


def row(ids: list[int], mask: str) -> Example:
    return Example(ids, [sign == "x" for sign in mask], "")


def batch_cases() -> list[tuple]:
    """The end token is 8; the last two cases pad with it, and with an id within a response."""
    short, long = row([7, 20, 8, 30, 8, 9], "...xx."), row([7, 20, 21, 22, 8, 7, 30, 31, 8, 9], "......xxx.")
    two_turns = row([7, 20, 8, 30, 31, 8, 9, 21, 8, 32, 8, 9], "...xxx...xx.")
    return [([short], CPU), ([short, long], CPU), ([long, short, two_turns], CPU, 8), ([two_turns, short], CPU, 31)]


def whole_rows(batch: Batch, examples: list[Example]) -> tuple[Tensor, Tensor, Tensor]:
    """Its tensors, with the last id of every row written in: nothing is predicted from it, so it may be padding too."""
    ids = batch.ids
    if isinstance(ids, Tensor) and ids.ndim == 2 and len(ids) == len(examples):
        ids = ids.clone()
        for mine, example in zip(ids, examples, strict=True):
            n = len(example.ids) - 1
            mine[n : n + 1] = example.ids[n]
    return ids, batch.targets, batch.supervised


class Batches(Exercise):
    """Compares the three tensors of a Batch."""

    def verdict(self, mine: Callable | None, lesson: Lesson) -> str | None:
        def taken_apart(function: Callable) -> Callable:
            @wraps(function)
            def tensors(*args, **kwargs):
                batch = function(*args, **kwargs)
                return whole_rows(batch, args[0]) if isinstance(batch, Batch) else batch

            return tensors

        try:
            for case in self.cases():
                mine(*case)
        except Exception:
            return super().verdict(mine, lesson)  # which says where it stopped
        right, wrong = taken_apart(lesson.solutions.collate), taken_apart(lesson.mistakes.collate)
        parts = SimpleNamespace(solutions=SimpleNamespace(collate=right), mistakes=SimpleNamespace(collate=wrong))
        return super().verdict(taken_apart(mine), parts)


def gradient_cases() -> list[tuple]:
    paper_row = (paper_logits()[0].softmax(-1).double(), torch.tensor(TARGETS), torch.tensor([False, True, True]))
    table, rows = random(6, 3, seed=3).double(), []
    for seed, mask in enumerate(("0011", "0000001", "011")):
        p = random(len(mask), 6, seed=seed).double().softmax(-1)
        targets = torch.randint(6, (len(mask),), generator=torch.Generator().manual_seed(seed))
        rows.append((p, targets, torch.tensor([sign == "1" for sign in mask])))
    ways = ("sum", "mean over tokens", "mean over examples")
    return [([paper_row], torch.tensor(E).double(), "mean over tokens"), *((rows, table, way) for way in ways)]


def as_autograd_has_it(mine: Callable) -> str | None:
    """On three rows of the trained model: the two parts are what autograd finds for the bias of its last LayerNorm."""
    model, template = trained_model()
    said = [("Who am I?", "You are Tom."), ("Hi!", "Hello!"), ("Opposite of hot?", "cold")]
    rows, parts = [], torch.zeros(2, model.config.n_embd)
    for asked, answered in said:
        messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
        ids, supervised = map(torch.tensor, template.encode(messages))
        logits, targets, mask = model(ids[None, :-1])[0], ids[1:], supervised[1:]
        nll = -logits.log_softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1) / (len(said) * len(targets))
        for part, chosen in zip(parts, (~mask, mask), strict=True):
            part += torch.autograd.grad(nll[chosen].sum(), model.ln_f.bias, retain_graph=True)[0]
        rows.append((logits.softmax(-1).detach(), targets, mask))
    found = torch.stack(list(mine(rows, model.wte.weight.detach(), "mean over examples")))
    if torch.allclose(found, parts, rtol=1e-4, atol=1e-5):
        return None
    return "In the trained model autograd finds other parts of the gradient of ln_f.bias."


class Model(GPT):
    """Equal to another one with the same weights, so that it can be seen whether it was changed."""

    def __eq__(self, other: object) -> bool:
        mine, theirs = self.state_dict(), other.state_dict()
        return all(torch.equal(mine[name], theirs[name]) for name in mine)

    __hash__ = GPT.__hash__

    def __repr__(self) -> str:
        return "a small GPT"


class Rows(Batch):
    def __eq__(self, other: object) -> bool:
        return all(torch.equal(getattr(self, name), getattr(other, name)) for name in ("ids", "targets", "supervised"))

    __hash__ = None

    def __repr__(self) -> str:
        return "a Batch of {} rows of {}".format(*self.ids.shape)


def small_model() -> Model:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Model(GPTConfig(vocab_size=40, n_ctx=16, n_embd=16, n_head=2, n_layer=1, bos_token_id=0)).eval()


@cache
def loss_cases() -> list[tuple]:
    """Of the second batch the labels of the instructions are others: they may not matter."""
    generator, model = torch.Generator().manual_seed(0), small_model()
    with torch.no_grad():
        model.wte.weight.mul_(20.0)  # probabilities that differ
    tokens = torch.randint(40, (3, 9), generator=generator)
    tokens[0, 7] = 0
    mask = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 0], [0, 1, 1, 0, 0, 0, 1, 0], [0, 0, 1, 0, 0, 0, 0, 0]]).bool()
    ids, targets = tokens[:, :-1], tokens[:, 1:]
    changed = torch.where(mask, targets, (targets + 7) % 40)
    return [(model, Rows(ids, targets, mask)), (model, Rows(ids, changed, mask)),
            (model, Rows(ids[:1, :5], targets[:1, :5], mask[:1, :5]))]  # fmt: skip


def losses_of_twelve_steps() -> list[float]:
    generator, rows = torch.Generator().manual_seed(0), []
    for asked, answered in ((3, 9), (5, 1), (2, 4), (6, 2), (1, 7), (4, 3)):
        ids = torch.randint(40, (asked + answered,), generator=generator).tolist()
        rows.append(Example(ids, [False] * asked + [True] * answered, ""))
    recipe = Recipe(steps=12, batch_size=4, micro_batch_size=2, lr=3e-3, warmup_steps=2)
    trainer = Trainer(small_model(), rows, recipe)
    return [trainer.train_step().loss for _ in range(12)]


def trains_as_the_package_does(mine: Callable) -> str | None:
    """The losses of twelve steps, and how many positions go through the head."""
    wanted = losses_of_twelve_steps()
    with mock.patch("minigpt.learn.trainer.supervised_nll", mine):
        try:
            found = losses_of_twelve_steps()
        except RuntimeError as error:
            return f"Its value is right, but a training step through it stops: {error}"
    for step, (a, b) in enumerate(zip(found, wanted, strict=True), 1):
        if abs(a - b) > 1e-4:
            return f"Training through it loses {a:.4f} at step {step}; the package's own loses {b:.4f}."
    model, (_, batch) = small_model(), loss_cases()[0]
    seen, head = [], model.logits
    model.logits = lambda hidden: seen.append(hidden[..., 0].numel()) or head(hidden)
    mine(model, batch)
    if sum(seen) > (needed := int(batch.supervised.sum())):
        return (
            f"The loss is right, and so are twelve steps. But the head computed the logits of {sum(seen)} positions, "
            f"and {needed} are supervised: choose before the head, with model(batch.ids, at=...)."
        )
    return None


EXERCISES = [
    Loss("response_nll", "turtle", 10, nll_cases, {
        "mask_ignored": "Your sum and count are over every token: the prompt is trained on too. Choose where "
        "`supervised` is True.",
        "mask_inverted": "You summed over the prompt. True in the mask means that the target is trained on.",
        "shifted_again": "You shifted the targets by one. They are shifted already: logits[b, t] belong to "
        "targets[b, t].",
        "mask_shifted_again": "You shifted the mask by one more: the last prompt token is trained on, and the end of "
        "the response is not. `supervised` belongs to the targets as it is.",
        "mask_too_late": "Your mask comes one place too late: the first token of each response is never trained on. "
        "`supervised` belongs to the targets as it is.",
        "mean": "You divided by |R|. (13.1) is a sum; only the total of a whole step may be divided.",
        "over_all_tokens": "You divided by the number of all tokens, prompts included. (13.1) is a sum.",
        "mean_of_means": "You took the mean of each row and then the mean of those: a token of a short response "
        "weighs more than one of a long response. (13.1) is one sum over all rows.",
        "all_counted": "Your count is that of all tokens. |R| is the number of supervised ones.",
        "logits_zeroed": "You set the logits of the prompt to 0. Equal logits are a guess among V tokens, which costs "
        "log V at each position; leave these positions out of the sum.",
        "wrong_sign": "Your sign is turned around: log P is negative, the loss is positive.",
        "no_logarithm": "You added up probabilities; (13.1) adds up their logarithms.",
        "no_softmax": "You added up logits. The softmax makes probabilities of them, then comes the logarithm.",
        "base_2": "Your logarithm is that to base 2, in bits. The loss is in nats: the natural logarithm.",
        "dtype_kept": "Logits in bfloat16 have three digits. Go to float32 before the softmax.",
    }, places=("minigpt.learn.loss.response_nll",), tolerance=1e-6),
    Written("ids_and_mask", "turtle", 10, conversation_cases, {
        "end_untrained": "The end token is unsupervised: such a model answers and never stops.",
        "last_end_only": "Only the last end token is supervised. Every assistant's message has to stop, those in the "
        "middle too.",
        "header_supervised": "The assistant's header is supervised. Whoever asks writes it; the first supervised "
        "token is the first of the content.",
        "everything": "Whole assistant's messages are supervised, and all the others too. Only the assistant's content "
        "and end are.",
        "users_supervised": "The user's messages are supervised too, as in pretraining. The model shall answer and "
        "not ask.",
        "prompt_supervised": "You supervise the user in place of the assistant.",
        "only_last_turn": "Only the last answer is supervised. Every answer of a conversation is an example.",
        "only_first_turn": "Only the first answer is supervised. Every answer of a conversation is an example.",
        "every_end": "The ends of the user's and the system's messages are supervised too. Only the assistant's own "
        "are said by the model.",
        "after_end_supervised": "What comes after the end is supervised. Generation stops at the end, so nobody will "
        "ever need it.",
        "shifted": "Your mask is shifted by one already. Here it belongs to the ids; `collate` shifts it.",
    }),
    Batches("collate", "dog", 20, batch_cases, {
        "mask_not_shifted": "You shifted the targets and not the mask: the first token of a response is never trained "
        "on, and what follows its end is. The mask belongs to the targets.",
        "targets_not_shifted": "Your targets are the ids that are read: the model would learn to repeat. The target "
        "at t is the next id.",
        "shifted_twice": "You shifted by two: the target at t is ids[t + 1].",
        "mask_shifted_twice": "Your mask is shifted by two: the last prompt token is supervised, and the end is not.",
        "masked_by_id": "You left out every target that equals the padding id. A real token with that id goes with "
        "it, and where it is the end token the model never learns to stop. Padding is known by its place.",
        "padding_supervised": "Padding is supervised in your batch: the model would learn to say it.",
        "padded_left": "You padded on the left. There the padding takes the first positions, and is seen by all "
        "tokens after it; on the right nothing looks at it.",
        "reads_on": "Your T is larger than needed: after the last supervised target of the longest row nothing is "
        "trained on.",
        "cut_short": "You cut every row to the shortest, and lose the ends of the others.",
        "one_short": "Your T is one too small: the last supervised target, an end token, is lost.",
        "pad_ignored": "You padded with 0 and not with `pad`.",
        "ignored_by_100": "You padded the targets with -100, which torch's cross-entropy leaves out. Here the mask "
        "does that, and -100 is no token: pad them with `pad`.",
    }, places=("minigpt.learn.batches.collate",)),
    Written("split_gradient", "dog", 20, gradient_cases, {
        "onehot_forgotten": "You used p alone. The gradient of the NLL by the logits is p - onehot: the right token is "
        "pulled up.",
        "wrong_sign": "Your signs are turned around: that is the direction of a step, which goes against the gradient.",
        "swapped": "Your two results are swapped: first the prompts' part, then the responses'.",
        "each_part_by_its_own": "You divided each part by its own number of tokens. Then the parts do not add up to "
        "the gradient of one loss: both have the same divisor.",
        "responses_counted": "For the mean over tokens you divided by the responses' tokens. The loss that is split "
        "here is over all tokens.",
        "rows_forgotten": "For the mean over examples you did not divide by the number of rows.",
        "whole_first": "Your first result is the whole gradient. It has two parts: g_Q is the prompts' alone.",
        "always_summed": "`reduction` changes nothing in your answer.",
        "read_instead": "You took the mask one place too late: it belongs to the targets, not to what is read.",
    }, judge=as_autograd_has_it),
    DETECTIVE,
    Exercise("supervised_nll", "lion", 30, loss_cases, {
        "mean": "You returned a mean. The trainer divides itself, once, by the supervised tokens of the whole step: "
        "return the sum.",
        "over_all_tokens": "You divided by the number of all positions, prompts and padding too. Return the sum.",
        "mean_of_means": "You took the mean of each row and then the mean of those. Return the sum over all rows.",
        "mask_ignored": "Every position counts in your loss, the prompts and the padding too.",
        "mask_inverted": "Your loss is that of the prompts. True in batch.supervised means that the target is trained "
        "on.",
        "mask_too_late": "Your mask comes one place too late: batch.supervised is shifted already.",
        "shifted_again": "You shifted the targets. A batch's targets are shifted already.",
        "what_was_read": "You compare with batch.ids, which the model has just read. It has to predict batch.targets.",
        "masked_by_id": "You look for padding by its id, 0. Any token may have the padding's id; batch.supervised "
        "says what counts.",
        "wrong_sign": "Your sign is turned around: log P is negative, the loss is positive.",
        "prompt_hidden": "You took the prompt out of what the model reads. It is not trained on, but it is read: "
        "that is the question.",
    }, places=("minigpt.learn.trainer.supervised_nll",), tolerance=1e-5, judge=trains_as_the_package_does),
]  # fmt: skip
