"""Lesson 16's grader: what is asked for, on which numbers, and the hint for each typical mistake."""

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from copy import deepcopy
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lessons.harness.grade import Exercise
from lessons.harness.mine import put
from lessons.languages import language
from lessons.tiny import paper_model
from lessons.trained import trained_model
from minigpt import GPT, GPTConfig, encode_within, read_conversations
from minigpt.learn.trainer import Recipe, Trainer
from minigpt.model.block import Block
from minigpt.model.linear import Linear
from minigpt.model.low_rank import LowRankLinear, adapt, adapter_of
from minigpt.pretrained.adapter import write_peft
from minigpt.text.examples import Example
from minigpt.text.records import BUILTIN

STEPS, ROWS, RANK, FALL, NEAR = 12, 16, 4, 0.25, 3e-5
MODEL = "minigpt.model."
FORWARD = MODEL + "low_rank.LowRankLinear.forward"


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Same:
    """A module that equals another one with the same numbers, so that it can be seen whether it was changed."""

    def __eq__(self, other: object) -> bool:
        mine, theirs = self.state_dict(), other.state_dict()
        return all(torch.equal(mine[name], theirs[name]) for name in mine)

    __hash__ = nn.Module.__hash__


class Map(Same, LowRankLinear):
    """A map whose A and B have learned something."""


class Dropping(Same, Block):
    """A block that drops channels."""


def loss_cases() -> list[tuple]:
    """What each of two processes is given (the tiny numbers), and three tokens of 17 over four processes."""
    on_paper = [(torch.tensor(nll, dtype=torch.float64), 3, 2) for nll in ([0.36, 0.52], [0.57])]
    return [*on_paper, (random(3).abs(), 17, 4)]


def of_no_token(mine: Callable) -> str | None:
    """A process may have a micro-batch in which nothing is supervised."""
    return None if mine(random(0), 5, 2).item() == 0 else "own_loss is right, but without a token it is to be 0."


def map_of(n_in: int, n_out: int, rank: int, alpha: float) -> Map:
    whole = Linear(n_in, n_out).double()
    with torch.no_grad():
        whole.weight.copy_(random(n_in, n_out))
        whole.bias.copy_(random(n_out, seed=1))
        found = Map(whole, rank, alpha)
        found.A.copy_(random(n_in, rank, seed=2))
        found.B.copy_(random(rank, n_out, seed=3))
    return found


def light_cases() -> list[tuple]:
    """A square map, one that is not, and bfloat16 without a bias, as the head is."""

    def integers(n_out: int, n_in: int) -> Tensor:
        return (60 * random(n_out, n_in)).round().clamp(-127, 127).to(torch.int8)

    units = random(5).abs() / 100 + 0.003
    return [
        (random(2, 3), integers(3, 3), units[:3], random(3, seed=1)),
        (random(4, 3), integers(5, 3), units, random(5, seed=1)),
        (random(1, 3), random(4, 3).to(torch.bfloat16), torch.ones(4, dtype=torch.float64)),
    ]


def weight_cases() -> list[tuple]:
    on_paper = torch.tensor([[0.304, -1.27, 0.068, 0.557], [0.03, -0.02, 0.127, 0.0552]]).T
    zeros = random(3, 3).float()
    zeros[:, 1] = 0.0
    return [(on_paper, "int8"), (zeros, "int8"), (random(5, 4).float(), "int8"), (random(3, 2).float(), "bfloat16")]


def share_cases() -> list[tuple]:
    """Each process of two, of three with few rows at a time, of two with little room, and one alone."""
    two, three = [7, 3, 9, 4, 3, 8, 20, 2], [5, 1, 4, 1, 5, 9, 2, 6, 5, 30, 31, 60]
    cases = [(two, hand, 2, 4, 8) for hand in (0, 1)] + [(three, hand, 3, 8, 2) for hand in (0, 1, 2)]
    return [*cases, *[(two, hand, 2, 50, 8, 18.0) for hand in (0, 1)], (two, 0, 1, 4, 8)]


@cache
def block_cases() -> list[tuple]:
    """A block of the paper model's shape, and one in training, with dropout."""
    cases = []
    for config, seed in ((paper_model().config, 0), (GPTConfig.named("tiny", n_embd=8, n_head=2, dropout=0.5), 7)):
        torch.manual_seed(0)
        block = Dropping(config).double()
        for i, parameter in enumerate(block.parameters()):
            parameter.data = random(*parameter.shape, seed=i) / 2
        shape = 2, 3, config.n_embd
        cases.append((block.train(config.dropout > 0), random(*shape), random(*shape, seed=1), seed))
    return cases


def without_graph(mine: Callable) -> str | None:
    """Whether what is given is left alone."""
    block, x, d_y, seed = deepcopy(block_cases()[1])
    mine(block, x, d_y, seed)
    if any(parameter.grad is not None for parameter in block.parameters()):
        return "computed_again is right, but it left gradients in the block: torch.autograd.grad does not."
    return None


def map_cases() -> list[tuple]:
    """The tiny numbers, and two maps of which one is square."""
    on_paper = Map(paper_model().double().h[0].attn.c_proj, 1, 2.0)
    with torch.no_grad():
        on_paper.A.copy_(torch.tensor([[0.0], [1.0], [0.0], [0.0]]))
        on_paper.B.copy_(torch.tensor([[1.0, 0.0, -1.0, 0.0]]))
    heads = torch.tensor([[0.0, 0.0, 1.0, 0.0], [0.0, 0.2, 0.8, 0.0], [0.0, 0.67, 0.67, 0.0]], dtype=torch.float64)
    return [(on_paper, heads[None]), (map_of(4, 4, 4, 6.0), random(3, 4)), (map_of(3, 6, 2, 5.0), random(2, 2, 3))]


class Largest(TorchFunctionMode):
    """Whether a product of parameters alone was as large as a weight."""

    def __init__(self, shape: torch.Size) -> None:
        super().__init__()
        self.shape, self.formed = shape, False

    def __torch_function__(self, function, types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        if isinstance(found, Tensor) and found.shape in (self.shape, self.shape[::-1]):
            self.formed |= "mul" in getattr(function, "__name__", "") or "einsum" in getattr(function, "__name__", "")
        return found


@contextmanager
def quiet() -> Iterator[None]:
    """transformers and peft have much to say."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logging.disable(level)


@cache
def vietnamese() -> tuple[list[Example], Tensor]:
    """Rows to learn from, and ids on which the logits are compared."""
    _, template = trained_model()
    rows = [row for row in read_conversations([BUILTIN / "train.jsonl"]) if language(row) == "vietnamese"]
    examples = encode_within(rows[:ROWS], template, 256).examples
    return examples, torch.tensor([examples[0].ids[:20]])


def fine_tuned() -> tuple[GPT, list[float]]:
    """lessons/model after some steps at a low rank, by the package's own training; and the losses."""
    torch.manual_seed(0)
    model = adapt(trained_model()[0], RANK, 2.0 * RANK)
    trainer = Trainer(model, vietnamese()[0], Recipe(STEPS, ROWS, ROWS, lr=3e-3, warmup_steps=2))
    return model.eval(), [trainer.train_step().loss for _ in range(STEPS)]


def peft_opens_it(mine: Callable) -> str | None:
    """A run through the learner's function, and what another program makes of it."""
    wide = map_of(30, 40, 2, 4.0)
    with Largest(wide.weight.shape) as seen:
        mine(wide, random(1, 30))
    if seen.formed:
        return "low_rank is right, but it forms a matrix as large as W. First x A, which is small; then times B."
    x = random(5, 30)
    slopes = torch.autograd.grad(mine(wide, x).sum(), [wide.A, wide.B], allow_unused=True)
    right = [2.0 * x.sum(0)[:, None] * wide.B.sum(1), 2.0 * (x @ wide.A).sum(0)[:, None].expand(2, 40)]
    if not all(slope is not None and torch.allclose(slope, b) for slope, b in zip(slopes, right, strict=True)):
        return "low_rank is right, but its gradient by A or B is not: was one of them detached?"
    undo = put(FORWARD, mine, "low_rank")
    try:
        model, losses = fine_tuned()
        ids = vietnamese()[1]
        with torch.no_grad():
            ours = model.eval()(ids)
    finally:
        undo()
    first, last = losses[0], losses[-1]
    if not last < FALL * first:
        return f"low_rank is right, but a model learns little through it: the loss went from {first:.2f} to {last:.2f}."
    with quiet():
        try:
            from peft import PeftModel
            from transformers import GPT2LMHeadModel
        except ImportError:
            return (
                f"low_rank is right, and the model learned (loss {first:.2f} to {last:.2f}). PEFT is to open it, and "
                'is not installed here: pip install -e ".[test]"'
            )
        with TemporaryDirectory() as folder, torch.no_grad():
            trained_model()[0].save_pretrained(Path(folder) / "base")
            write_peft(Path(folder) / "adapter", adapter_of(model, "base"))
            base = GPT2LMHeadModel.from_pretrained(Path(folder) / "base")
            theirs = PeftModel.from_pretrained(base, Path(folder) / "adapter").eval()(ids).logits
    off = (ours - theirs).abs().max().item()
    return None if off < NEAR else f"low_rank is right, but PEFT's logits are others, by up to {off:.2g}."


EXERCISES = [
    Exercise("own_loss", "turtle", 5, loss_cases, {
        "own_mean": "You took the mean over this process's own tokens. Then a token counts more, the fewer others its "
        "process has: a mean of means. All divide by M.",
        "own_mean_undone": "You took the mean over this process's own tokens, times N. All divide by M, the tokens of "
        "the step.",
        "not_undone": "The engine will divide by the number of processes. Multiply by it first.",
        "mean_of_the_step": "You have two divisors: the mean over the own tokens, and M. There is one for all, M.",
        "divided_by_size": "You divided by the number of processes. The engine does that; you have to undo it.",
        "summed": "That is the sum over the tokens. The gradient is that of the mean over the step's M tokens.",
        "size_squared": "You multiplied by the number of processes twice.",
        "tokens_per_process": "You divided by M / N, rounded to a whole number. N / M is not always one over that.",
    }, judge=of_no_token),
    Exercise("light", "turtle", 10, light_cases, {
        "unit_forgotten": "q alone is a matrix of integers. Each output has its unit, s.",
        "bias_forgotten": "The bias is missing.",
        "bias_scaled": "The bias was multiplied by the unit too. It was not rounded: add it last.",
        "divided": "You divided by s. The weight is s q: how many units times the unit.",
        "not_transposed": "q has a row for each output, so the product is with q transposed. Here it is square, and "
        "nothing complains.",
        "unit_of_inputs": "You multiplied the inputs by the units. There is one for each output.",
        "unit_squared": "You multiplied by the unit twice.",
        "input_rounded": "You rounded the input. Only the weights are rounded.",
    }, places=(MODEL + "light.light", MODEL + "light.light_fast")),
    Exercise("rounded", "dog", 15, weight_cases, {
        "one_unit": "You have one unit for the whole matrix. An output whose weights are all small then keeps few "
        "digits: give each output its own.",
        "of_inputs": "Your unit is that of an input. It is one for each output, that is each column of W, so that it "
        "can be multiplied after the sum.",
        "cut_off": "You cut the fraction off, and are wrong by up to a whole unit. Round to the nearest.",
        "floored": "You rounded down. Round to the nearest integer, on both sides of 0.",
        "sign_ignored": "The largest is that of the absolute values: a weight of -1.27 is large.",
        "up_to_128": "You divided by 128. A byte with a sign goes from -128 to 127, and the largest weight may be "
        "positive.",
        "four_bits": "You used the integers up to 7, which take four bits. Eight go up to 127.",
        "zeros_divided": "An output whose weights are all 0 has the unit 0 in your answer. It is 1, by which one can "
        "divide.",
        "not_transposed": "q is to have a row for each output, (n_out, n_in): an output's weights beside each other.",
        "always_int8": "`weights` changes nothing in your answer.",
        "unit_inverted": "Your s is how many units make 1. It is the unit: largest / 127.",
    }, places=(MODEL + "light.rounded",), trains=False),
    Exercise("share", "dog", 20, share_cases, {
        "unsorted": "You dealt the rows as they came. Then a deal has long and short ones, and who has a short one "
        "waits.",
        "longest_first": "You began with the longest. The shortest come first.",
        "in_blocks": "You gave each process a stretch of the sorted rows: one has all the short ones, another all the "
        "long ones, for which the others wait. Deal them in turn.",
        "own_grouped": "You grouped this process's own rows. Another may then have more micro-batches, and wait for an "
        "exchange that never comes. Group the deals, by what all processes know.",
        "shortest_of_a_deal": "You grouped the deals by their shortest rows. All wait for the longest.",
        "next_hand": "Those are the rows of another process. They are numbered from 0.",
        "lengths_given": "Those are the lengths. Wanted are the rows' indices.",
        "room_ignored": "`room` changes nothing in your answer: how many tokens a micro-batch may have.",
        "equal_ones_turned": "Rows of equal length changed their order. Python's sort keeps it.",
        "ungrouped": "You have one micro-batch for all. split_by_length says which rows go together.",
        "most_shared": "You divided `most` by the number of processes. It is what one process holds at a time.",
    }, places=("minigpt.learn.batches.share",), trains=False),
    Exercise("computed_again", "dog", 20, block_cases, {
        "other_masks": "Your second pass has other dropout masks than the first: its gradient is another block's.",
        "no_masks": "Your second pass drops nothing. The first one did, in training.",
        "seed_after": "Something drew random numbers between torch.manual_seed(seed) and your pass: other masks.",
        "of_the_sum": "That is the gradient of y's sum. Each number of y has its own gradient, d_y.",
        "of_the_mean": "That is the gradient of y's mean. Each number of y has its own gradient, d_y.",
        "stream_alone": "The gradient by x is d_y plus what comes through attention and the MLP.",
        "parameters_first": "Your first result is a parameter's gradient. x comes first.",
    }, trains=False, judge=without_graph),
    Exercise("low_rank", "lion", 40, map_cases, {
        "scale_forgotten": "The change is not scaled. It has the factor alpha / r.",
        "alpha_alone": "You multiplied by alpha. The factor is alpha / r.",
        "rank_alone": "You divided by r and left alpha out.",
        "root_of_rank": "You divided by the root of r. That is rsLoRA, which PEFT calls use_rslora; (16.1) has r.",
        "scaled_twice": "You scaled twice.",
        "everything_scaled": "You scaled all of y. What is frozen stays as it was.",
        "frozen_scaled": "You scaled what is frozen, and the change is left as it is.",
        "frozen_forgotten": "That is the change alone. x W + b goes on beside it.",
        "bias_forgotten": "The frozen bias is missing.",
        "bias_twice": "The bias was added twice.",
        "in_place_of_bias": "The bias was scaled with the change. It is frozen: add it as it is.",
        "subtracted": "You subtracted the change.",
        "bent": "There is a nonlinearity between A and B. Without one, A B can be added to W in the end.",
    }, places=(FORWARD,), tolerance=1e-8, judge=peft_opens_it),
]  # fmt: skip
