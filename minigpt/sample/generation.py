"""Generate tokens one at a time with a key-value cache. Read with lesson 07."""

from collections.abc import Collection, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from minigpt.errors import UserError
from minigpt.model.cache import Cache
from minigpt.model.gpt import GPT, evaluating
from minigpt.sample.prompt import as_ids, as_stops, whole
from minigpt.sample.sampling import Sampling, sample


def generate(
    model: GPT,
    ids: Sequence[int] | np.ndarray | Tensor,
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    stop: Collection[int] = (),
    seed: int | None = None,
) -> list[int]:
    """The new ids that continue `ids`; an empty prompt starts from <|endoftext|>.

    It ends after `max_new_tokens`, before the first token in `stop`, or when the context is full: absolute positions
    end at n_ctx, and a sliding window would have to be read again for every token. Temperature 0 is greedy; the same
    `seed` gives the same text on the same device. `ids` and `stop` may be lists, arrays or tensors. UserError for a
    prompt longer than n_ctx, and for anything but ids.
    """
    return list(stream(model, ids, max_new_tokens, Sampling(temperature, top_k, top_p), stop, seed))


def stream(
    model: GPT,
    ids: Sequence[int] | np.ndarray | Tensor,
    max_new_tokens: int,
    sampling: Sampling,
    stop: Collection[int] = (),
    seed: int | None = None,
) -> Iterator[int]:
    """Yield what `generate` returns, each id as soon as it is sampled. `Tokenizer.pieces` turns them into text."""
    [prompt], cache, generator = _prepare(model, [ids], max_new_tokens, seed)
    stop = as_stops(stop)
    read = torch.tensor([prompt], device=model.device)
    with evaluating(model):
        for _ in range(_most_new(model, prompt, max_new_tokens)):
            logits = next_logits(model, read, cache, [read.shape[1]])
            read = sample(logits, sampling, generator).unsqueeze(1)
            if (token := read.item()) in stop:
                return
            yield token


@torch.inference_mode()
def next_logits(
    model: GPT, read: Int[Tensor, "B T"], cache: Cache, lengths: Sequence[int]
) -> Float[Tensor, "B tokens"]:
    """The scores of the token after each row's last one, over the vocabulary without its padding rows.

    Rows end at their `lengths`; what is on the right of that is padding.
    """
    if read.shape[1] == 1:
        return model(read, cache)[:, 0, : model.config.tokens]
    last = torch.tensor(lengths, device=read.device).unsqueeze(1) - 1
    at = torch.arange(read.shape[1], device=read.device) == last
    return model(read, cache, at=at)[:, : model.config.tokens]


def generate_batch(
    model: GPT,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    sampling: Sampling,
    stop: Collection[int] = (),
    seed: int | None = None,
) -> list[list[int]]:
    """`generate` for prompts of any lengths at once; greedily, each gets the same tokens as it would alone."""
    stop = as_stops(stop)
    drawn = draw_batch(model, prompts, max_new_tokens, sampling, stop, seed)
    return [ids[:-1] if ids and ids[-1] in stop else ids for ids in drawn]


def draw_batch(
    model: GPT,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    sampling: Sampling,
    stop: Collection[int] = (),
    seed: int | None = None,
    copies: int = 1,
) -> list[list[int]]:
    """What `generate_batch` returns, with the token in `stop` at its end exactly if one was drawn. `copies` texts
    continue each prompt, prompt after prompt; it is read once for all of them."""
    new: list[list[int]] = [[] for _ in range(len(prompts) * copies)]
    for drawn in _decode(model, prompts, max_new_tokens, sampling, stop, seed, copies):
        for i, token in drawn.items():
            new[i].append(token)
    return new


def tee(drawn: Iterator[int], ids: list[int]) -> Iterator[int]:
    """Yield from `drawn`, appending each id to `ids` as well."""
    for token in drawn:
        ids.append(token)
        yield token


def _decode(
    model: GPT,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    sampling: Sampling,
    stop: Collection[int],
    seed: int | None,
    copies: int = 1,
) -> Iterator[dict[int, int]]:
    """Yields {index of the text: token}, one decoding step at a time; a text is over after a token in `stop`."""
    prompts, cache, generator = _prepare(model, prompts, max_new_tokens, seed)
    stop = as_stops(stop)
    lengths = [len(prompt) for prompt in prompts]
    left = [_most_new(model, prompt, max_new_tokens) for prompt in prompts]  # how many tokens each may still get
    active = [i for i, n in enumerate(left) if n]  # in the order of the cache's rows: all prompts, or none
    if not active:
        return
    read = torch.tensor([prompt + [0] * (max(lengths) - len(prompt)) for prompt in prompts], device=model.device)
    with evaluating(model):
        logits = next_logits(model, read, cache, lengths)
        cache.trim(lengths)
        if copies > 1:
            rows = [row for row in range(len(prompts)) for _ in range(copies)]
            cache.select_rows(rows)
            logits, left, active = logits[rows], [left[row] for row in rows], [*range(len(rows))]
        while True:
            drawn = sample(logits, sampling, generator)
            new = dict(zip(active, drawn.tolist(), strict=True))
            yield new
            for i in active:
                left[i] -= 1
            rows = [row for row, i in enumerate(active) if left[i] and new[i] not in stop]
            if not rows:
                return
            if len(rows) < len(active):
                cache.select_rows(rows)
                drawn, active = drawn[rows], [active[row] for row in rows]
            read = drawn.unsqueeze(1)
            logits = next_logits(model, read, cache, [1] * len(active))


def _prepare(
    model: GPT, prompts: Sequence[Sequence[int] | np.ndarray | Tensor], max_new_tokens: int, seed: int | None
) -> tuple[list[list[int]], Cache | None, torch.Generator | None]:
    """Nonempty prompts, a cache large enough, and the random generator. UserError for what cannot be continued."""
    if not isinstance(model, nn.Module):
        raise UserError(f"generate takes a GPT; {type(model).__name__} was given. GPT.from_pretrained loads one.")
    if whole(max_new_tokens, "The number of new tokens") < 0:
        raise UserError(f"{max_new_tokens} new tokens were requested; it must be 0 or more.")
    n_ctx = model.config.n_ctx
    prompts = [as_ids(prompt, model.config) for prompt in prompts]
    longest = max(map(len, prompts), default=0)
    if longest > n_ctx:
        raise UserError(f"The prompt has {longest} tokens; this model's context holds {n_ctx}.")
    if seed is not None and not -(2**63) <= whole(seed, "The seed") < 2**64:
        raise UserError(f"The seed is {seed}; it must be at least -2^63 and below 2^64.")
    generator = None if seed is None else torch.Generator(model.device).manual_seed(int(seed))
    if not prompts or not max_new_tokens:
        return prompts, None, generator
    # The last token sampled is never read, so it needs no room in the cache.
    capacity = min(n_ctx, longest + max_new_tokens - 1)
    return prompts, Cache(model.config, len(prompts), capacity, model.device, model.wpe.weight.dtype), generator


def _most_new(model: GPT, prompt: list[int], max_new_tokens: int) -> int:
    """How many tokens may follow a prompt: the one after the context's last position is sampled but never read."""
    return min(max_new_tokens, model.config.n_ctx - len(prompt) + 1)
