"""One model for the laws that leave it as it is."""

import pytest
import torch

from minigpt import GPT, GPTConfig


@pytest.fixture(scope="session")
def model() -> GPT:
    """Two layers over 64 positions, every weight large enough to matter. No test may change it."""
    torch.manual_seed(0)
    model = GPT(GPTConfig.named("tiny", n_ctx=64, n_embd=32, n_head=4, n_layer=2)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model
