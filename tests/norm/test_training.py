"""Two networks from one seed, one with torch.nn's layers and one with ours, are trained side by side."""

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from lightning_tune import norm
from lightning_tune.testing.norms import CASES, Case, outputs

EPOCHS, BATCH, RATE = 3, 64, 0.05


def network(layers: object) -> nn.Module:
    """Return a small convolutional network with a norm of each kind; the same weights for each seed."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1),
        layers.BatchNorm2d(12),
        nn.ReLU(),
        nn.Conv2d(12, 16, 3, stride=2),
        layers.GroupNorm(4, 16),
        nn.ReLU(),
        layers.InstanceNorm2d(16, affine=True),
        nn.Flatten(),
        nn.Linear(16 * 9, 64),
        layers.LayerNorm(64),
        nn.GELU(),
        nn.Linear(64, 32),
        layers.BatchNorm1d(32),
        nn.ReLU(),
        layers.RMSNorm(32),
        nn.Linear(32, 10),
    )


def losses(model: nn.Module, dtype: torch.dtype, rate: float = RATE) -> torch.Tensor:
    """Train on the digits, and return the loss of each step."""
    images, labels = (torch.from_numpy(each) for each in load_digits(return_X_y=True))
    images = (images.reshape(-1, 1, 8, 8) / 16).to(dtype)
    model = model.to(dtype).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    order = torch.Generator().manual_seed(1)
    found = []
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(images), generator=order).split(BATCH):
            loss = nn.functional.cross_entropy(model(images[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.append(loss.detach())
    return torch.stack(found)


def test_the_losses_are_those_of_torch():
    """In single precision, to its rounding."""
    theirs, ours = losses(network(nn), torch.float32), losses(network(norm), torch.float32)
    assert theirs[-10:].mean() < 0.3 < theirs[0]
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_the_losses_of_the_reference_are_those_of_torch():
    """The reference rounds otherwise, and training doubles a difference in a few steps: so the first ones."""
    model = network(norm)
    for module in model.modules():
        if hasattr(module, "backend"):
            module.backend = "reference"
    ours, theirs = (losses(each, torch.float64, rate=0.003)[:20] for each in (model, network(nn)))
    assert not torch.equal(ours, theirs)
    torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=0.0)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_outputs_and_gradients_are_those_of_the_twin(case: Case):
    ours, twin = case.ours(), case.twin()
    twin.load_state_dict(ours.state_dict())
    found = []
    for module in (ours, twin):
        inputs = [each.requires_grad_() for each in case.inputs(3, dtype=torch.float32)]
        results = outputs(module(*inputs))
        sum((each * torch.linspace(-1, 1, each.numel()).view_as(each)).sum() for each in results).backward()
        found.append(
            [*results, *(each.grad for each in inputs), *(each.grad for each in module.parameters())]
        )
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    for one, other in zip(ours.buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(one, other)
