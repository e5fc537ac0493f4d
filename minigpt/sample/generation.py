"""One token after another, over the cache. Read with lesson 07."""

from collections.abc import Collection, Sequence

import torch

from minigpt.errors import UserError
from minigpt.model.cache import Cache
from minigpt.model.gpt import GPT
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
    return generate_batch(model, [ids], max_new_tokens, stop=stop, seed=seed, **settings)[0]


@torch.inference_mode()
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
    check_sampling(temperature, top_k, top_p)
    if max_new_tokens < 0:
        raise UserError(f"{max_new_tokens} new tokens were asked for; it must be 0 or more.")
    new: list[list[int]] = [[] for _ in prompts]
    if not prompts or max_new_tokens == 0:
        return new
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
        going = list(range(len(prompts)))  # the prompts that have not ended, in the order of the cache's rows
        while True:
            drawn = choose(logits[:, : model.config.tokens], temperature, top_k, top_p, generator)
            going_on = []
            for row, token in enumerate(drawn.tolist()):
                text = new[going[row]]
                if token in stop:
                    continue
                text.append(token)
                if len(text) < max_new_tokens and lengths[going[row]] + len(text) <= n_ctx:
                    going_on.append(row)
            if not going_on:
                return new
            if len(going_on) < len(going):
                cache.keep(going_on)
                drawn, going = drawn[going_on], [going[row] for row in going_on]
                # The longest may have ended, full; the others need its slots no more.
                cache.trim([lengths[i] + len(new[i]) - 1 for i in going])
            logits = model(drawn.unsqueeze(1), cache)[:, 0]
    finally:
        model.train(was_training)
