"""One token after another, over the cache. Read with lesson 07."""

from collections.abc import Collection, Iterator, Sequence

import torch

from minigpt.errors import UserError
from minigpt.model.cache import Cache
from minigpt.model.gpt import GPT
from minigpt.model.step import Step
from minigpt.sample.sampling import check_sampling, choose


def generate(
    model: GPT,
    ids: Sequence[int],
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    stop: Collection[int] = (),
    seed: int | None = None,
) -> list[int]:
    """The new ids that continue `ids`; an empty prompt starts from <|endoftext|>.

    It ends with `max_new_tokens`, before the first token of `stop`, or where the context is full: absolute positions
    end at n_ctx, and a window that slid along would have to be read anew for every token. Temperature 0 is greedy;
    the same `seed` gives the same text on the same device. UserError for a prompt longer than n_ctx.
    """
    settings = dict(temperature=temperature, top_k=top_k, top_p=top_p)
    return list(stream(model, ids, max_new_tokens, stop=stop, seed=seed, **settings))


def stream(
    model: GPT,
    ids: Sequence[int],
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    stop: Collection[int] = (),
    seed: int | None = None,
) -> Iterator[int]:
    """What `generate` gives, each id as soon as it is drawn. `Tokenizer.pieces` makes text of them."""
    settings = dict(temperature=temperature, top_k=top_k, top_p=top_p)
    for drawn in _rounds(model, [ids], max_new_tokens, stop=stop, seed=seed, **settings):
        yield from drawn.values()


def recorded(drawn: Iterator[int], ids: list[int]) -> Iterator[int]:
    """`drawn` as it comes, each id also put at the end of `ids`."""
    for token in drawn:
        ids.append(token)
        yield token


def generate_batch(
    model: GPT,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    stop: Collection[int] = (),
    seed: int | None = None,
) -> list[list[int]]:
    """`generate` for prompts of any lengths at once; each gets what it alone would get (greedily)."""
    new: list[list[int]] = [[] for _ in prompts]
    settings = dict(temperature=temperature, top_k=top_k, top_p=top_p)
    for drawn in _rounds(model, prompts, max_new_tokens, stop=stop, seed=seed, **settings):
        for i, token in drawn.items():
            new[i].append(token)
    return new


@torch.inference_mode()
def _rounds(
    model: GPT,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    *,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    stop: Collection[int],
    seed: int | None,
) -> Iterator[dict[int, int]]:
    """Round after round, the next token of each prompt, by its number, that has not ended."""
    check_sampling(temperature, top_k, top_p)
    if max_new_tokens < 0:
        raise UserError(f"{max_new_tokens} new tokens were asked for; it must be 0 or more.")
    if not prompts or max_new_tokens == 0:
        return
    n_ctx, device = model.config.n_ctx, model.device
    prompts = [list(prompt) or [model.config.bos_token_id] for prompt in prompts]
    lengths = [len(prompt) for prompt in prompts]
    longest = max(lengths)
    if longest > n_ctx:
        raise UserError(f"The prompt has {longest} tokens; this model's context holds {n_ctx}.")
    generator = None if seed is None else torch.Generator(device).manual_seed(seed)
    was_training = model.training
    model.eval()
    try:
        # The last token drawn is never read, so it needs no room in the cache.
        cache = Cache(model.config, len(prompts), min(n_ctx, longest + max_new_tokens - 1), device, model.dtype)
        padded = torch.tensor([prompt + [0] * (longest - len(prompt)) for prompt in prompts], device=device)
        hidden = model.hidden(padded, cache)
        cache.trim(lengths)
        logits = model.logits(
            hidden[torch.arange(len(prompts), device=device), torch.tensor(lengths, device=device) - 1]
        )
        step = Step(model)
        going = list(range(len(prompts)))  # the prompts that have not ended, in the order of the cache's rows
        for count in range(1, max_new_tokens + 1):
            drawn = choose(logits[:, : model.config.tokens], temperature, top_k, top_p, generator)
            tokens = drawn.tolist()
            yield {i: token for i, token in zip(going, tokens, strict=True) if token not in stop}
            for i in going:
                lengths[i] += 1
            going_on = [
                row
                for row, token in enumerate(tokens)
                if token not in stop and count < max_new_tokens and lengths[going[row]] <= n_ctx
            ]
            if not going_on:
                return
            if len(going_on) < len(going):
                cache.keep(going_on)
                drawn, going = drawn[going_on], [going[row] for row in going_on]
                # The longest may have ended, full; the others need its slots no more.
                cache.trim([lengths[i] - 1 for i in going])
            logits = step(drawn, cache)
    finally:
        model.train(was_training)
