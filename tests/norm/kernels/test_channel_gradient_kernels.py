"""What every gradient of a batch norm in training must be like, whatever the numbers."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from lightning_tune.norm.kernels.channels import batch_norm_backward, batch_norm_forward

CASES: Sequence[tuple[int, ...]] = [(3, 5, 30, 31), (70, 9)]


def by_channel(tensor: Tensor) -> Tensor:
    return tensor.movedim(1, 0).flatten(1).double()


@pytest.mark.parametrize("size", CASES)
def test_a_constant_and_the_input_itself_bring_no_gradient(
    size: tuple[int, ...], device: torch.device
) -> None:
    """The output is the same for a · x + b, so the gradient has no part along 1 and none along x."""
    torch.manual_seed(0)
    x, grad = (torch.randn(size, device=device) for _ in range(2))
    weight = torch.randn(size[1], device=device)
    y, mean, _, rstd = batch_norm_forward(x, weight, None, 1e-12, "none")
    grad_x, grad_weight, grad_bias = batch_norm_backward(grad, x, mean, rstd, weight, None, "none", True)
    length = by_channel(grad_x).norm(dim=1)
    assert bool((length > 1e-3).all())
    for along in (torch.ones_like(x), x):
        part = (by_channel(grad_x) * by_channel(along)).sum(1) / by_channel(along).norm(dim=1)
        assert bool((part.abs() < 1e-5 * length).all())
    # and those of a gradient that is a constant or the output itself are known
    grad_x, grad_weight, grad_bias = batch_norm_backward(
        torch.ones_like(x), x, mean, rstd, weight, None, "none", True
    )
    count = x.numel() // size[1]
    torch.testing.assert_close(grad_bias, torch.full_like(grad_bias, count))
    assert float(grad_weight.abs().max()) < 1e-5 * count
    assert float(grad_x.abs().max()) < 1e-5
    grad_x, grad_weight, _ = batch_norm_backward(y, x, mean, rstd, weight, None, "none", True)
    torch.testing.assert_close(grad_weight, weight * count, rtol=1e-4, atol=1e-3)
    assert float(grad_x.abs().max()) < 1e-4


@pytest.mark.parametrize("size", CASES)
def test_in_evaluation_channels_are_only_scaled(size: tuple[int, ...], device: torch.device) -> None:
    x, grad = (torch.randn(size, device=device) for _ in range(2))
    mean, rstd, weight = (torch.rand(size[1], device=device) + 0.5 for _ in range(3))
    grad_x, _, grad_bias = batch_norm_backward(grad, x, mean, rstd, weight, None, "none", False)
    wanted = by_channel(grad) * (weight.double() * rstd.double())[:, None]
    torch.testing.assert_close(by_channel(grad_x), wanted, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(grad_bias.double(), by_channel(grad).sum(1), rtol=1e-5, atol=1e-4)
