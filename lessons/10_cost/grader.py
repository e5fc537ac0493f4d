"""Lesson 10's grader: what is asked for, on which numbers, and the hint for each typical mistake."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from lessons.harness.grade import Exercise, same
from lessons.tiny import paper_model
from minigpt import GPT, GPTConfig
from minigpt.learn.batches import collate
from minigpt.learn.trainer import supervised_nll
from minigpt.measure import cost
from minigpt.text.examples import Example

COST = "minigpt.measure.cost."
PADDED = GPTConfig.named("tiny", n_padding_rows=4)
FAR = 0.04  # how far the lion's answer may be off


@cache
def config_cases() -> list[tuple]:
    sizes = [GPTConfig.named(name) for name in ("gpt2", "gpt2-xl")]
    return [(paper_model().config,), (PADDED,), *((size,) for size in sizes)]


@cache
def flops_cases() -> list[tuple]:
    return [(paper_model().config, 3), (PADDED, 100), (GPTConfig.named("gpt2"), 1024)]


@dataclass(frozen=True)
class Cost:
    """a T + b T^2, of which only the values can be asked."""

    a: int
    b: int

    def __call__(self, T: int) -> int:
        return self.a * T + self.b * T * T

    def __repr__(self) -> str:
        return f"T -> {self.a} T + {self.b} T^2"


@cache
def crossing_cases() -> list[tuple]:
    """The paper model with its head; GPT-2 small's layers; two that cross between whole numbers."""
    return [(Cost(416, 8),), (Cost(12 * 24 * 768**2, 12 * 2 * 768),), (Cost(7, 4),), (Cost(5, 8),)]


@cache
def batch_cases() -> list[tuple]:
    """The first has room for exactly four rows, the second not for one."""
    tiny, wide = GPTConfig.named("tiny"), GPTConfig.named("tiny", n_embd=96, vocab_size=5000)
    exact = cost.training_bytes(tiny) + cost.activation_bytes(tiny, 4, 512, 4 * 512, explicit=False)
    return [
        (tiny, 512, exact, False), (tiny, 512, 20_000_000, True), (tiny, 100, 2**28, True), (wide, 64, 2**28, False),
        (wide, 64, 2**28, True),
    ]  # fmt: skip


def shape(n_embd: int, n_head: int, n_layer: int, vocab_size: int = 260) -> GPTConfig:
    return GPTConfig.named("tiny", n_embd=n_embd, n_head=n_head, n_layer=n_layer, vocab_size=vocab_size)


@cache
def kept_cases() -> list[tuple]:
    """Two layers; long rows; many layers; a wide head; one layer with all tokens supervised."""
    shapes = [
        (shape(64, 4, 2), 2, 16, 10), (shape(64, 8, 1), 3, 200, 150), (shape(192, 4, 8), 4, 100, 400),
        (shape(64, 4, 1, 1000), 4, 50, 48), (shape(128, 4, 1), 4, 100, 400),
    ]  # fmt: skip
    return [(*case, explicit) for case in shapes for explicit in (False, True)]


@cache
def measured_bytes(config: GPTConfig, rows: int, T: int, supervised: int, explicit: bool) -> int:
    """What autograd really keeps: every storage once, without the parameters' own."""
    model, kept = GPT(config).explicit(explicit), {}
    mask = [False] * (T + 1 - supervised // rows) + [True] * (supervised // rows)
    batch = collate([Example([0] * (T + 1), mask, "row")] * rows, model.device)

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = supervised_nll(model, batch)
    assert loss.requires_grad
    return sum(kept.values()) - sum(kept.get(p.untyped_storage().data_ptr(), 0) for p in model.parameters())


def measure(mine: Callable) -> str | None:
    """On models of shapes that the cases do not have."""
    shapes = [(shape(96, 6, 3), 3, 40, 60), (shape(96, 8, 1), 5, 96, 240), (shape(128, 4, 2, 900), 2, 24, 48)]
    for config, *given in shapes:
        for explicit in (False, True):
            kept, said = measured_bytes(config, *given, explicit), mine(config, *given, explicit)
            if abs(said - kept) > FAR * kept:
                return (
                    f"kept_bytes is off by {said / kept - 1:+.0%} on a model that it has not seen: "
                    f"{described(config, *given, explicit)}."
                )
    return None


def described(config: GPTConfig, rows: int, T: int, supervised: int, explicit: bool) -> str:
    return (
        f"{rows} rows of {T} tokens, {supervised} of them supervised, C = {config.n_embd}, H = {config.n_head}, "
        f"L = {config.n_layer}, V = {config.vocab_size}, {'explicit' if explicit else 'fast'} forms"
    )


class Estimate(Exercise):
    """The answer is a number of bytes, whole or not."""

    def difference(self, answers: Sequence[Any], expected: Sequence[float]) -> str:
        pairs = zip(self.cases(), answers, expected, strict=True)
        case, said, right = next(pair for pair in pairs if not same(*pair[1:], self.tolerance))
        if not isinstance(said, int | float):
            return f"{self.name} gave {type(said).__name__}; wanted a number."
        return f"{self.name} gave {said:,.0f}; {right:,.0f} bytes are kept.\n{described(*case)}."


EXERCISES = [
    Exercise("training_bytes", "turtle", 5, config_cases, {
        "weights_only": "You counted 4 bytes a parameter: that holds the weights, as for generation. Training also "
        "holds what lesson 09 computes for each of them.",
        "eight": "8 bytes a parameter are two of the four numbers, or all four in half precision. Adam keeps two "
        "moments for each parameter, and here everything is in float32.",
        "twelve": "12 bytes a parameter: one of the four numbers is missing. Is it the gradient, or one of Adam's two "
        "moments?",
        "half_weights": "2 bytes a parameter are the weights in half precision and nothing else, which is where "
        "document B's figure begins.",
        "half_copy_on_top": "18 bytes a parameter: you added a copy of the weights in half precision. Here weights, "
        "gradients and moments are in float32, and nothing else is held all the time.",
        "head_counted": "You counted the head. It is tied: it is the embedding itself, with one gradient and one pair "
        "of moments.",
        "padding_left_out": "You left out the padding rows of the vocabulary. They belong to no token, but are "
        "parameters like the others.",
        "positions_left_out": "You left out the table of positions. It is learned as well.",
        "kibibytes": "You divided by 1024. Bytes are asked for; and a GB, as used here, is 1,000,000,000 of them.",
    }, places=(COST + "training_bytes",)),
    Exercise("forward_flops", "turtle", 10, flops_cases, {
        "multiply_add_as_one": "You counted a multiplication and its addition as one operation. They are two, in the "
        "formula as in the speeds that processors are sold by.",
        "all_pairs": "You counted all T x T pairs of attention. Half of them are behind the causal mask.",
        "attention_forgotten": "Attention's own products are missing: each query with the keys, and the weighted sum "
        "of the values. They are what grows with T squared.",
        "sums_forgotten": "Attention has two products for each pair of positions: the score, and the value's part in "
        "the weighted sum. You counted one.",
        "T_forgotten": "Your attention has one factor T. Each of the T queries looks at up to T keys: T squared.",
        "context_for_T": "You let every query look at n_ctx positions. The text has T.",
        "exact_half": "You counted the T (T + 1) / 2 visible pairs, which is exact. The formula takes half of T x T, "
        "nearly the same for a long text; take that too.",
        "once_per_head": "You counted attention H times over C channels. Each head has only D = C / H of them, so that "
        "the number of heads changes nothing.",
        "width_of_a_head": "You counted attention in one head of D channels. There are H heads, and H D = C.",
        "C_squared": "Attention's products cost T times C for each query, not T times C squared: a score is a sum over "
        "the channels of one head.",
        "head_forgotten": "The head is missing: each hidden vector is multiplied with all V rows of E.",
        "head_once": "You counted the head for one position. Every position predicts its next token.",
        "head_in_each_layer": "The head is inside your sum over the layers. It comes once, after the last one.",
        "padding_left_out": "The head multiplies with every row of E, padding rows included: use vocab_size.",
        "one_layer": "You counted one layer; there are n_layer of them.",
        "for_one_token": "That is the cost of one token; T of them are read.",
        "mlp_as_square": "Your MLP's maps are C by C. Its hidden layer is four times as wide: C to 4 C and back.",
        "one_mlp_map": "8 C^2 operations are missing in each layer. That is one of the MLP's two maps, C to 4 C and "
        "back, or all four maps of attention.",
        "qkv_as_one": "c_attn makes queries, keys and values: three C by C maps side by side.",
        "output_map_forgotten": "Attention has a fourth map, c_proj, which mixes the heads: C by C.",
        "two_a_parameter": "Two operations a parameter is the rule of thumb. It counts table rows that are only looked "
        "up, biases and norms, and leaves out attention's scores and sums. Count the products.",
        "trained": "You counted training, forward and backward. The forward pass alone is a third of it.",
    }, places=(COST + "forward_flops",)),
    Exercise("crossing", "dog", 15, crossing_cases, {
        "linear_part_not_cleared": "You took cost(1) for a. But cost(1) = a + b: take b away first.",
        "doubled": "cost(2) - 2 cost(1) is (2 a + 4 b) - (2 a + 2 b). That is not b yet.",
        "subtracted_once": "You took cost(2) - cost(1), in which a is left. Which multiple of cost(1) has as many a's "
        "as cost(2)?",
        "upside_down": "You have b / a. Write a T = b T^2 down and solve it for T.",
        "rooted": "You took a root. In a T = b T^2 one T cancels, and nothing is squared any more.",
        "rounded": "You rounded. The two may be equal between two whole numbers.",
    }),
    Exercise("largest_micro_batch", "dog", 20, batch_cases, {
        "weights_forgotten": "You gave all the memory to the activations. Weights, gradients and moments take their 16 "
        "bytes a parameter first.",
        "weights_alone": "You set aside the weights only. Gradients and moments are in memory at the same time.",
        "a_row_as_the_first": "You divided by the need of one row. Not everything grows with the rows: of the logits, "
        "only one chunk exists at a time. Ask activation_bytes for each number of rows.",
        "model_for_each_row": "You counted the model once for each row. All rows share one set of weights.",
        "first_too_many": "You returned the first number of rows that does *not* fit, or one more than fits.",
        "exactly_is_too_much": "What needs exactly the memory that there is fits: <=, not <.",
        "at_least_one": "Where not even one row fits, the answer is 0.",
        "powers_of_two": "You tried powers of two only. Any number of rows will do.",
        "one_row_supervised": "You passed T as the supervised tokens of all rows together. Each row has T of them.",
        "always_fast": "You computed the fast form's need even where `explicit` is True.",
    }),
    Estimate("kept_bytes", "lion", 30, kept_cases, {
        "numbers": "You counted numbers. Each is 4 bytes in float32.",
        "half": "You counted 2 bytes a number. Activations are in float32 here: 4.",
        "twice": "You counted twice as much. The gradients of activations come and go in the backward pass; none of "
        "them is there when the forward pass ends.",
        "one_row": "You counted one row; each row of the micro-batch keeps its own.",
        "one_layer": "You counted one layer. Nothing is thrown away before the backward pass has used it.",
        "parameters_too": "You counted the parameters. They are in memory anyway.",
        "explicit_as_fast": "You counted the kernels of LayerNorm and GELU in both forms. Spelled out, they keep their "
        "intermediate results.",
        "fast_as_explicit": "You counted the explicit form in both cases. Torch's kernels of LayerNorm and GELU keep "
        "their input only, that of attention does not keep the weights, and the fast head does not keep logits.",
        "weights_forgotten": "In the explicit form attention keeps its weights, T for each query and head.",
        "weights_in_fast_too": "You counted the attention weights in the fast form too. Torch's kernel never has them "
        "all: it computes them again.",
        "one_head": "You counted one table of attention weights. Each head has its own.",
        "scores_too": "You counted scores and weights. The softmax's backward pass needs its result only.",
        "channels_for_heads": "You multiplied the T x T weights by C. A weight is one number for a pair of positions, "
        "once per head.",
        "visible_half": "You counted the visible half of the weights. The explicit form has a full table, with zeros "
        "in it.",
        "context_for_T": "You took n_ctx for the length of the text. Attention has T weights for each query.",
        "narrow": "You took the MLP's hidden layer to be C wide. It is 4 C.",
        "two_missing": "Two tables of C numbers a layer are missing. A LayerNorm keeps what it reads, and the map "
        "after it (c_attn, c_fc) keeps what *it* reads, the norm's result. And q, k and v are three.",
        "gelu_once": "The MLP's hidden layer is kept before the GELU, for its slope, and after it, as the input of "
        "c_proj. You counted one of the two.",
        "gelu_in_one": "Spelled out, the GELU is several multiplications, a power and a tanh, and most of these keep a "
        "table of 4 C. You counted it as the kernel that needs its input only.",
        "norms_in_one": "Spelled out, a LayerNorm keeps three tables, for the square, the quotient and the product "
        "with the gain. You counted it as the kernel that needs its input only.",
        "qkv_forgotten": "q, k and v are kept: the gradient of a product needs both of its factors.",
        "heads_forgotten": "The heads' results side by side are kept too: they are the input of attention's c_proj.",
        "additions_too": "You counted the results of x + attn and x + mlp beside the norms' inputs. A sum's gradient "
        "needs neither summand; where a LayerNorm reads the sum, it is the same table.",
        "last_mlp_whole": "The last layer's MLP, with its LayerNorm, runs at the supervised tokens only: nobody reads "
        "its other results. See `at` in minigpt/model/block.py.",
        "last_layer_short": "You took the supervised tokens for all of the last layer. Its attention needs every "
        "token; only its MLP skips some.",
        "logits_forgotten": "The explicit form keeps tables of V numbers for each supervised token: see `token_nll`.",
        "logits_of_all": "You counted logits for every token. Only the supervised ones go through the head.",
        "logits_in_fast_too": "You counted logits in the fast form. `head_nll_fast` computes the gradients of the "
        "hidden vectors and of E chunk by chunk, while each chunk's logits exist, and keeps those instead.",
        "logits_once": "You counted the logits once. `token_nll` keeps two tables of V for a supervised token: "
        "logsumexp its input, the logits, and gather its input, log P.",
        "table_s_gradient_forgotten": "The fast head keeps the gradient of the whole table E, V rows of C, until the "
        "backward pass asks for it.",
        "last_norm_forgotten": "ln_f, after the last layer, keeps what a LayerNorm keeps, for the supervised tokens.",
    }, judge=measure, tolerance=FAR),
]  # fmt: skip
