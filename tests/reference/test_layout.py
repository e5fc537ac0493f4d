"""Names, shapes and numbers of the tensors beside transformers' GPT-2, in all four official sizes."""

import pytest
import torch
from transformers import GPT2LMHeadModel

from minigpt import GPT, GPTConfig
from tests.reference.pair import reference_config
from tests.test_config import OFFICIAL


@pytest.mark.parametrize("name", OFFICIAL)
def test_the_state_dict_is_the_official_file_key_by_key(name: str) -> None:
    """The official files have neither the prefix "transformer." nor the tied head."""
    config = GPTConfig.named(name)
    with torch.device("meta"):
        ours, theirs = GPT(config), GPT2LMHeadModel(reference_config(config))
    official = {
        key.removeprefix("transformer."): tuple(tensor.shape)
        for key, tensor in theirs.state_dict().items()
        if key != "lm_head.weight"
    }
    print(f"{name}: {len(official)} tensors")
    assert {key: tuple(tensor.shape) for key, tensor in ours.state_dict().items()} == official
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters()) == OFFICIAL[name]
    assert config.parameter_count == OFFICIAL[name]
