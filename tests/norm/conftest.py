"""What all tests of the norms share."""

import pytest
import torch


@pytest.fixture(autouse=True)
def one_seed() -> None:
    """The same random inputs in every run."""
    torch.manual_seed(0)
