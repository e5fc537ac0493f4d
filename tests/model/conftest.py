"""One model for the laws that leave it as it is."""

import pytest

from minigpt import GPT
from tests.conftest import two_layers


@pytest.fixture(scope="session")
def model() -> GPT:
    """Two layers over 64 positions. No test may change it."""
    return two_layers()
