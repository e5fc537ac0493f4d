"""Oracles of lessons 01 to 07: transformers' GPT-2 and its samplers, Python's own UTF-8, torch's count."""

from collections.abc import Callable
from functools import cache, partial

import torch
from torch import Tensor
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from minigpt import GPT, GPTConfig, load_tokenizer
from minigpt.model.cache import Cache
from minigpt.sample import sampling
from tests.reference.pair import Pair, make_pair, random_ids

WARPERS = TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper  # in the order of transformers' generate


@cache
def pair() -> tuple[Pair, Tensor, Tensor]:
    """A small GPT-2 here and in transformers with the same weights, some ids, and the logits wanted."""
    found = make_pair(GPTConfig.named("tiny", n_embd=32, n_head=4), noise=0.2)
    ids = random_ids(found.ours.config, B=2, T=12)
    with torch.no_grad():
        return found, ids, found.theirs(ids).logits


def logits_of_transformers(explicit: bool) -> None:
    """All at once; in two parts over a cache; and in two parts with rows of unequal length, so under a mask."""
    (ours, _), ids, expected = pair()
    ours.explicit(explicit)
    for first in (None, [7, 7], [7, 5]):
        cache = first and Cache(ours.config, 2, 12, ids.device)
        with torch.no_grad():
            if not cache:
                logits, wanted = ours(ids), expected
            else:
                ours(ids[:, :7], cache)
                cache.trim(first)
                rest = [slice(n, n + 5) for n in first]
                logits = ours(torch.stack([row[part] for row, part in zip(ids, rest, strict=True)]), cache)
                wanted = torch.stack([row[part] for row, part in zip(expected, rest, strict=True)])
        torch.testing.assert_close(logits, wanted, rtol=0, atol=2e-5)


def text_of_bytes() -> None:
    """What Python itself makes of the bytes, and the control tokens' names."""
    text = "Tiếng Việt 🤖"
    assert load_tokenizer("bytes").decode([*text.encode(), 257, 258, 256, 259]) == (
        f"{text}<|im_start|><|im_end|><|endoftext|><|sep|>"
    )


def parameters_of_the_model() -> None:
    """What torch counts in models of these shapes, made without memory."""
    for name, n_padding_rows in (("gpt2", 0), ("gpt2-large", 0), ("tiny", 4)):
        config = GPTConfig.named(name, n_padding_rows=n_padding_rows)
        with torch.device("meta"):
            model = GPT(config)
        assert config.parameter_count == sum(parameter.numel() for parameter in model.parameters())


def chances_of_transformers() -> None:
    """Temperature, top-k and top-p, each alone and all together; one row has equal logits at the edge of top-k."""
    logits = 3.0 * torch.randn(4, 30, generator=torch.Generator().manual_seed(0))
    logits[0] = logits[0].round()
    for settings in ((0.7, None, None), (1.0, 5, None), (1.0, 80, None), (1.0, None, 0.8), (1.5, 9, 0.9)):
        wanted = logits
        for warper, setting in zip(WARPERS, settings, strict=True):
            wanted = wanted if setting is None else warper(setting)(None, wanted)
        torch.testing.assert_close(sampling.probabilities(logits, *settings), wanted.softmax(-1), rtol=0, atol=1e-6)


ORACLES: dict[str, Callable[[], None]] = {
    "minigpt.text.tokenizer.ByteTokenizer.token_bytes": text_of_bytes,
    "minigpt.model.embedding.embed": partial(logits_of_transformers, explicit=True),
    "minigpt.model.attention.split_heads": partial(logits_of_transformers, explicit=True),
    "minigpt.model.attention.attend": partial(logits_of_transformers, explicit=True),
    "minigpt.model.attention.attend_fast": partial(logits_of_transformers, explicit=False),
    "minigpt.model.gpt.GPT.logits": partial(logits_of_transformers, explicit=True),
    "minigpt.config.GPTConfig.parameter_count.fget": parameters_of_the_model,
    "minigpt.model.mlp.gelu": partial(logits_of_transformers, explicit=True),
    "minigpt.model.mlp.gelu_fast": partial(logits_of_transformers, explicit=False),
    "minigpt.model.linear.linear": partial(logits_of_transformers, explicit=True),
    "minigpt.model.linear.linear_fast": partial(logits_of_transformers, explicit=False),
    "minigpt.sample.sampling.keep_top_k": chances_of_transformers,
    "minigpt.sample.sampling.keep_top_p": chances_of_transformers,
    "minigpt.sample.sampling.probabilities": chances_of_transformers,
    "minigpt.model.layer_norm.layer_norm": partial(logits_of_transformers, explicit=True),
    "minigpt.model.layer_norm.layer_norm_fast": partial(logits_of_transformers, explicit=False),
    "minigpt.model.block.Block.forward": partial(logits_of_transformers, explicit=True),
}
