"""Wrong answers of lesson 13."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from minigpt import GPT
from minigpt.learn.batches import Batch
from minigpt.learn.loss import sequence_nll, token_nll
from minigpt.text.examples import Example

Messages = Sequence[tuple[str, list[int], list[int]]]


def torch_s_mean_with_ignored_targets(logits: Tensor, targets: Tensor, supervised: Tensor) -> tuple[Tensor, int]:
    ignored = targets.masked_fill(~supervised, -100).flatten()
    return F.cross_entropy(logits.float().flatten(0, -2), ignored), int(supervised.sum())


def reduced_after_multiplying_by_the_mask(logits: Tensor, targets: Tensor, supervised: Tensor) -> tuple[Tensor, int]:
    nll = token_nll(logits, targets) * supervised
    return nll.mean(), int(supervised.sum())


def count_as_a_tensor(logits: Tensor, targets: Tensor, supervised: Tensor) -> tuple[Tensor, Tensor]:
    return token_nll(logits, targets)[supervised].sum(), supervised.sum()


def every_token(logits: Tensor, targets: Tensor, supervised: Tensor) -> tuple[Tensor, int]:
    return sequence_nll(logits, targets), targets.numel()


def sum_of_the_rows_means(logits: Tensor, targets: Tensor, supervised: Tensor) -> tuple[Tensor, int]:
    nll = token_nll(logits, targets) * supervised
    return (nll.sum(-1) / supervised.sum(-1)).sum(), int(supervised.sum())


def as_transformers_shifts_labels(logits: Tensor, targets: Tensor, supervised: Tensor) -> tuple[Tensor, int]:
    labels = targets.masked_fill(~supervised, -100)
    shifted, wanted = logits.float()[..., :-1, :], labels[..., 1:]
    loss = F.cross_entropy(shifted.flatten(0, -2), wanted.flatten(), reduction="sum")
    return loss, int((wanted != -100).sum())


def masked_targets_become_token_0(logits: Tensor, targets: Tensor, supervised: Tensor) -> tuple[Tensor, int]:
    return token_nll(logits, targets * supervised).sum(), int(supervised.sum())


def multiplied_logits_and_all_positions(logits: Tensor, targets: Tensor, supervised: Tensor) -> tuple[Tensor, int]:
    return token_nll(logits.float() * supervised[..., None], targets).sum(), int(supervised.sum())


def log_of_a_bfloat16_softmax(logits: Tensor, targets: Tensor, supervised: Tensor) -> tuple[Tensor, int]:
    P = logits.softmax(-1).gather(-1, targets[..., None]).squeeze(-1)
    return -P[supervised].log().sum(), int(supervised.sum())


def detached_to_a_float(logits: Tensor, targets: Tensor, supervised: Tensor) -> tuple[float, int]:
    return float(token_nll(logits, targets)[supervised].sum()), int(supervised.sum())


def prompts_in_place_of_responses(logits: Tensor, targets: Tensor, supervised: Tensor) -> tuple[Tensor, int]:
    return token_nll(logits, targets)[~supervised].sum(), int((~supervised).sum())


def logarithm_forgotten(logits: Tensor, targets: Tensor, supervised: Tensor) -> tuple[Tensor, int]:
    P = logits.float().softmax(-1).gather(-1, targets[..., None]).squeeze(-1)
    return -(P * supervised).sum(), int(supervised.sum())


def softmax_over_the_positions(logits: Tensor, targets: Tensor, supervised: Tensor) -> tuple[Tensor, int]:
    log_P = logits.float().log_softmax(-2).gather(-1, targets[..., None]).squeeze(-1)
    return -log_P[supervised].sum(), int(supervised.sum())


def rows_counted(logits: Tensor, targets: Tensor, supervised: Tensor) -> tuple[Tensor, int]:
    return token_nll(logits, targets)[supervised].sum(), len(targets)


def ends_left_out(messages: Messages, end: int, after_end: list[int]) -> tuple[list[int], list[bool]]:
    ids, mask = [], []
    for role, header, content in messages:
        ids += header + content + [end] + after_end
        mask += [False] * len(header) + [role == "assistant"] * len(content) + [False] * (1 + len(after_end))
    return ids, mask


def assistant_s_whole_message(messages: Messages, end: int, after_end: list[int]) -> tuple[list[int], list[bool]]:
    ids, mask = [], []
    for role, header, content in messages:
        part = header + content + [end] + after_end
        ids += part
        mask += [role == "assistant"] * len(part)
    return ids, mask


def from_the_first_answer_on(messages: Messages, end: int, after_end: list[int]) -> tuple[list[int], list[bool]]:
    ids, mask, begun = [], [], False
    for role, header, content in messages:
        begun = begun or role == "assistant"
        ids += header + content + [end] + after_end
        mask += [False] * len(header) + [begun] * (len(content) + 1) + [False] * len(after_end)
    return ids, mask


def last_message_only(messages: Messages, end: int, after_end: list[int]) -> tuple[list[int], list[bool]]:
    ids, mask = [], []
    for i, (_, header, content) in enumerate(messages):
        said = content + [end]
        ids += header + said + after_end
        mask += [False] * len(header) + [i == len(messages) - 1] * len(said) + [False] * len(after_end)
    return ids, mask


def all_but_the_user(messages: Messages, end: int, after_end: list[int]) -> tuple[list[int], list[bool]]:
    ids, mask = [], []
    for role, header, content in messages:
        ids += header + content + [end] + after_end
        mask += [False] * len(header) + [role != "user"] * (len(content) + 1) + [False] * len(after_end)
    return ids, mask


def one_end_at_the_end(messages: Messages, end: int, after_end: list[int]) -> tuple[list[int], list[bool]]:
    ids, mask = [], []
    for role, header, content in messages:
        ids += header + content
        mask += [False] * len(header) + [role == "assistant"] * len(content)
    return [*ids, end, *after_end], [*mask, True, *[False] * len(after_end)]


def ends_found_by_their_id(messages: Messages, end: int, after_end: list[int]) -> tuple[list[int], list[bool]]:
    ids, mask = [], []
    for role, header, content in messages:
        part = header + content + [end] + after_end
        ids += part
        inside = [False] * len(header) + [role == "assistant"] * len(content) + [False] * (1 + len(after_end))
        mask += [a or i == end for a, i in zip(inside, part, strict=True)]
    return ids, mask


def all_tokens(messages: Messages, end: int, after_end: list[int]) -> tuple[list[int], list[bool]]:
    ids = [i for _, header, content in messages for i in [*header, *content, end, *after_end]]
    return ids, [True] * len(ids)


def mask_of_ones_and_zeros(messages: Messages, end: int, after_end: list[int]) -> tuple[list[int], list[int]]:
    ids, mask = [], []
    for role, header, content in messages:
        ids += header + content + [end] + after_end
        mask += [0] * len(header) + [int(role == "assistant")] * (len(content) + 1) + [0] * len(after_end)
    return ids, mask


def nothing_after_the_end(messages: Messages, end: int, after_end: list[int]) -> tuple[list[int], list[bool]]:
    ids, mask = [], []
    for role, header, content in messages:
        ids += header + content + [end]
        mask += [False] * len(header) + [role == "assistant"] * (len(content) + 1)
    return ids, mask


def lists_that_grow(messages: Messages, end: int, after_end: list[int]) -> tuple[list[int], list[bool]]:
    ids, mask = [], []
    for role, header, content in messages:
        content.append(end)
        ids += header + content + after_end
        mask += [False] * len(header) + [role == "assistant"] * len(content) + [False] * len(after_end)
    return ids, mask


def mask_one_early(messages: Messages, end: int, after_end: list[int]) -> tuple[list[int], list[bool]]:
    ids, mask = [], []
    for role, header, content in messages:
        ids += header + content + [end] + after_end
        mask += [False] * len(header) + [role == "assistant"] * (len(content) + 1) + [False] * len(after_end)
    return ids, mask[1:] + [False]


def stacked(rows: list[list], filler: int | bool, T: int) -> Tensor:
    return torch.tensor([(row + [filler] * T)[:T] for row in rows])


def needed(examples: Sequence[Example]) -> int:
    return max(t for example in examples for t, mine in enumerate(example.supervised) if mine)


def longest(examples: Sequence[Example]) -> int:
    return max(len(example.ids) for example in examples)


def labels_without_the_padding_id(examples: Sequence[Example], device: torch.device, pad: int = 0) -> Batch:
    T = needed(examples)
    targets = stacked([e.ids[1:] for e in examples], pad, T)
    mask = stacked([e.supervised[1:] for e in examples], False, T) & targets.ne(pad)
    return Batch(stacked([e.ids for e in examples], pad, T), targets, mask)


def all_of_each_row(examples: Sequence[Example], device: torch.device, pad: int = 0) -> Batch:
    T = longest(examples)
    ids, mask = stacked([e.ids for e in examples], pad, T), stacked([e.supervised for e in examples], False, T)
    return Batch(ids[:, :-1], ids[:, 1:], mask[:, 1:])


def mask_beside_the_ids(examples: Sequence[Example], device: torch.device, pad: int = 0) -> Batch:
    T = needed(examples)
    ids, targets = stacked([e.ids for e in examples], pad, T), stacked([e.ids[1:] for e in examples], pad, T)
    return Batch(ids, targets, stacked([e.supervised for e in examples], False, T))


def nothing_shifted(examples: Sequence[Example], device: torch.device, pad: int = 0) -> Batch:
    T = needed(examples) + 1
    ids = stacked([e.ids for e in examples], pad, T)
    return Batch(ids, ids.clone(), stacked([e.supervised for e in examples], False, T))


def padded_with_the_last_id(examples: Sequence[Example], device: torch.device, pad: int = 0) -> Batch:
    T = needed(examples)
    ids = torch.tensor([(e.ids + e.ids[-1:] * T)[:T] for e in examples])
    targets = torch.tensor([(e.ids[1:] + e.ids[-1:] * T)[:T] for e in examples])
    return Batch(ids, targets, stacked([e.supervised[1:] for e in examples], False, T))


def padding_on_the_other_side(examples: Sequence[Example], device: torch.device, pad: int = 0) -> Batch:
    T = longest(examples) - 1
    ids = torch.tensor([[pad] * (T + 1 - len(e.ids)) + e.ids for e in examples])
    mask = torch.tensor([[False] * (T + 1 - len(e.ids)) + e.supervised for e in examples])
    return Batch(ids[:, :-1], ids[:, 1:], mask[:, 1:])


def shortest_row_decides(examples: Sequence[Example], device: torch.device, pad: int = 0) -> Batch:
    T = min(needed([example]) for example in examples)
    return Batch(
        stacked([e.ids for e in examples], pad, T),
        stacked([e.ids[1:] for e in examples], pad, T),
        stacked([e.supervised[1:] for e in examples], False, T),
    )


def ones_for_the_mask(examples: Sequence[Example], device: torch.device, pad: int = 0) -> Batch:
    T = needed(examples)
    return Batch(
        stacked([e.ids for e in examples], pad, T),
        stacked([e.ids[1:] for e in examples], pad, T),
        stacked([e.supervised[1:] for e in examples], False, T).long(),
    )


def ignored_prompt_targets(examples: Sequence[Example], device: torch.device, pad: int = 0) -> Batch:
    T = needed(examples)
    mask = stacked([e.supervised[1:] for e in examples], False, T)
    targets = stacked([e.ids[1:] for e in examples], pad, T).masked_fill(~mask, -100)
    return Batch(stacked([e.ids for e in examples], pad, T), targets, mask)


def padded_with_zeros(examples: Sequence[Example], device: torch.device, pad: int = 0) -> Batch:
    T = needed(examples)
    made = [torch.zeros(len(examples), T, dtype=dtype) for dtype in (torch.long, torch.long, torch.bool)]
    for b, e in enumerate(examples):
        for tensor, row in zip(made, (e.ids, e.ids[1:], e.supervised[1:]), strict=True):
            tensor[b, : len(row[:T])] = torch.tensor(row[:T])
    return Batch(*made)


def one_position_missing(examples: Sequence[Example], device: torch.device, pad: int = 0) -> Batch:
    T = needed(examples) - 1
    return Batch(
        stacked([e.ids for e in examples], pad, T),
        stacked([e.ids[1:] for e in examples], pad, T),
        stacked([e.supervised[1:] for e in examples], False, T),
    )


Rows = Sequence[tuple[Tensor, Tensor, Tensor]]


def slopes_of(row: tuple[Tensor, Tensor, Tensor], E: Tensor) -> Tensor:
    p, targets, _ = row
    return (p - F.one_hot(targets, len(E))) @ E


def divisors(rows: Rows, reduction: str) -> list[float]:
    tokens = sum(len(row[1]) for row in rows)
    return [{"sum": 1, "mean over tokens": tokens}.get(reduction, len(rows) * len(row[1])) for row in rows]


def total(rows: Rows, E: Tensor, weights: Sequence[float]) -> tuple[Tensor, Tensor]:
    pairs = list(zip(rows, weights, strict=True))
    g_Q = sum(slopes_of(row, E)[~row[2]].sum(0) * w for row, w in pairs)
    return g_Q, sum(slopes_of(row, E)[row[2]].sum(0) * w for row, w in pairs)


def response_first(rows: Rows, E: Tensor, reduction: str) -> tuple[Tensor, Tensor]:
    return total(rows, E, [1 / d for d in divisors(rows, reduction)])[::-1]


def downhill(rows: Rows, E: Tensor, reduction: str) -> tuple[Tensor, Tensor]:
    g_Q, g_R = total(rows, E, [1 / d for d in divisors(rows, reduction)])
    return -g_Q, -g_R


def examples_without_their_number(rows: Rows, E: Tensor, reduction: str) -> tuple[Tensor, Tensor]:
    tokens = sum(len(row[1]) for row in rows)
    return total(rows, E, [{"sum": 1, "mean over tokens": 1 / tokens}.get(reduction, 1 / len(row[1])) for row in rows])


def examples_without_their_lengths(rows: Rows, E: Tensor, reduction: str) -> tuple[Tensor, Tensor]:
    tokens = sum(len(row[1]) for row in rows)
    return total(rows, E, [{"sum": 1, "mean over tokens": 1 / tokens}.get(reduction, 1 / len(rows)) for _ in rows])


def means_swapped(rows: Rows, E: Tensor, reduction: str) -> tuple[Tensor, Tensor]:
    other = {"mean over tokens": "mean over examples", "mean over examples": "mean over tokens"}
    return total(rows, E, [1 / d for d in divisors(rows, other.get(reduction, reduction))])


def response_lengths(rows: Rows, E: Tensor, reduction: str) -> tuple[Tensor, Tensor]:
    N = sum(int(row[2].sum()) for row in rows)
    weights = [
        {"sum": 1, "mean over tokens": 1 / N}.get(reduction, 1 / (len(rows) * int(row[2].sum()))) for row in rows
    ]
    return total(rows, E, weights)


def mean_of_each_part(rows: Rows, E: Tensor, reduction: str) -> tuple[Tensor, Tensor]:
    parts = []
    for wanted in (False, True):
        chosen = torch.cat([slopes_of(row, E)[row[2] == wanted] for row in rows])
        parts.append(chosen.sum(0) if reduction == "sum" else chosen.mean(0))
    return tuple(parts)


def by_the_logits(rows: Rows, E: Tensor, reduction: str) -> tuple[Tensor, Tensor]:
    identity = torch.eye(len(E), dtype=E.dtype)
    return total(rows, identity, [1 / d for d in divisors(rows, reduction)])


def the_whole_and_the_response(rows: Rows, E: Tensor, reduction: str) -> tuple[Tensor, Tensor]:
    g_Q, g_R = total(rows, E, [1 / d for d in divisors(rows, reduction)])
    return g_Q + g_R, g_R


def pulled_up_only(rows: Rows, E: Tensor, reduction: str) -> tuple[Tensor, Tensor]:
    """The right token's part alone, -onehot E."""
    zeros = [(torch.zeros_like(p), targets, mask) for p, targets, mask in rows]
    return total(zeros, E, [1 / d for d in divisors(rows, reduction)])


def without_the_right_token(rows: Rows, E: Tensor, reduction: str) -> tuple[Tensor, Tensor]:
    pairs = list(zip(rows, divisors(rows, reduction), strict=True))
    return tuple(sum((row[0] @ E)[row[2] == wanted].sum(0) / d for row, d in pairs) for wanted in (False, True))


def one_tensor_of_norms(rows: Rows, E: Tensor, reduction: str) -> tuple[Tensor, Tensor]:
    return tuple(g.norm() for g in total(rows, E, [1 / d for d in divisors(rows, reduction)]))


def torch_s_mean(model: GPT, batch: Batch) -> Tensor:
    logits = model(batch.ids)
    return F.cross_entropy(logits.flatten(0, 1), batch.targets.masked_fill(~batch.supervised, -100).flatten())


def head_everywhere(model: GPT, batch: Batch) -> Tensor:
    return token_nll(model(batch.ids), batch.targets)[batch.supervised].sum()


def without_a_gradient(model: GPT, batch: Batch) -> Tensor:
    return sequence_nll(model(batch.ids, at=batch.supervised).detach(), batch.targets[batch.supervised])


def no_grad_inside(model: GPT, batch: Batch) -> Tensor:
    with torch.no_grad():
        logits = model(batch.ids, at=batch.supervised)
    return sequence_nll(logits, batch.targets[batch.supervised])


def the_ids_as_targets(model: GPT, batch: Batch) -> Tensor:
    return sequence_nll(model(batch.ids, at=batch.supervised), batch.ids[batch.supervised])


def shifted_as_labels(model: GPT, batch: Batch) -> Tensor:
    logits, wanted = model(batch.ids)[:, :-1], batch.targets[:, 1:]
    return token_nll(logits, wanted)[batch.supervised[:, 1:]].sum()


def every_position(model: GPT, batch: Batch) -> Tensor:
    return sequence_nll(model(batch.ids), batch.targets)


def rows_averaged(model: GPT, batch: Batch) -> Tensor:
    nll = token_nll(model(batch.ids), batch.targets) * batch.supervised
    return (nll.sum(1) / batch.supervised.sum(1)).mean()


def only_the_responses_read(model: GPT, batch: Batch) -> Tensor:
    rows = zip(batch.ids, batch.targets, batch.supervised, strict=True)
    return sum(sequence_nll(model(ids[R][None])[0], targets[R]) for ids, targets, R in rows)


def first_row_only(model: GPT, batch: Batch) -> Tensor:
    R = batch.supervised[0]
    return sequence_nll(model(batch.ids[:1])[0][R], batch.targets[0][R])


def divided_by_the_supervised(model: GPT, batch: Batch) -> Tensor:
    return sequence_nll(model(batch.ids, at=batch.supervised), batch.targets[batch.supervised]) / batch.supervised.sum()


def in_bits(model: GPT, batch: Batch) -> Tensor:
    return head_everywhere(model, batch) / math.log(2)


def a_mask_that_is_not_shifted(model: GPT, batch: Batch) -> Tensor:
    late = F.pad(batch.supervised[:, :-1], (1, 0))
    return sequence_nll(model(batch.ids, at=late), batch.targets[late])


FOLDER = "13_response_loss"
ANSWERS = {
    (FOLDER, "response_nll"): [
        torch_s_mean_with_ignored_targets, reduced_after_multiplying_by_the_mask, count_as_a_tensor, every_token,
        sum_of_the_rows_means, as_transformers_shifts_labels, masked_targets_become_token_0,
        multiplied_logits_and_all_positions, log_of_a_bfloat16_softmax, detached_to_a_float,
        prompts_in_place_of_responses, logarithm_forgotten, softmax_over_the_positions, rows_counted,
    ],
    (FOLDER, "ids_and_mask"): [
        ends_left_out, assistant_s_whole_message, from_the_first_answer_on, last_message_only, all_but_the_user,
        one_end_at_the_end, ends_found_by_their_id, all_tokens, mask_of_ones_and_zeros, nothing_after_the_end,
        lists_that_grow, mask_one_early,
    ],
    (FOLDER, "collate"): [
        labels_without_the_padding_id, all_of_each_row, mask_beside_the_ids, nothing_shifted, padded_with_the_last_id,
        padding_on_the_other_side, shortest_row_decides, ones_for_the_mask, ignored_prompt_targets, padded_with_zeros,
        one_position_missing,
    ],
    (FOLDER, "split_gradient"): [
        response_first, downhill, examples_without_their_number, examples_without_their_lengths, means_swapped,
        response_lengths, mean_of_each_part, by_the_logits, the_whole_and_the_response, pulled_up_only,
        without_the_right_token, one_tensor_of_norms,
    ],
    (FOLDER, "supervised_nll"): [
        torch_s_mean, head_everywhere, without_a_gradient, no_grad_inside, the_ids_as_targets, shifted_as_labels,
        every_position, rows_averaged, only_the_responses_read, first_row_only, divided_by_the_supervised, in_bits,
        a_mask_that_is_not_shifted,
    ],
}  # fmt: skip
