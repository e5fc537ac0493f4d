"""For each place of the package that a learner's function can take: a check that does not go through that function.

Under --mine a test that compares the fast form with the explicit one compares the learner's function with itself.
These compare with something else: each raises an error for a wrong function in its place. Add a new lesson's places.
"""

from collections.abc import Callable
from functools import cache, partial

import torch
from torch import Tensor

from minigpt import GPTConfig
from minigpt.model.cache import Cache
from tests.reference.pair import Pair, make_pair, random_ids


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


ORACLES: dict[str, Callable[[], None]] = {
    "minigpt.model.attention.split_heads": partial(logits_of_transformers, explicit=True),
    "minigpt.model.attention.attend": partial(logits_of_transformers, explicit=True),
    "minigpt.model.attention.attend_fast": partial(logits_of_transformers, explicit=False),
    "minigpt.model.layer_norm.layer_norm": partial(logits_of_transformers, explicit=True),
    "minigpt.model.layer_norm.layer_norm_fast": partial(logits_of_transformers, explicit=False),
    "minigpt.model.block.Block.forward": partial(logits_of_transformers, explicit=True),
}
