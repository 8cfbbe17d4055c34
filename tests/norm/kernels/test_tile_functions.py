"""What batch and group norm's kernels share, each run by a small kernel of its own."""

from collections.abc import Callable

import pytest
import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional

from lightning_tune.norm.kernels.channels import ACTIVATIONS
from lightning_tune.norm.kernels.launch import launch
from lightning_tune.norm.kernels.tile_functions import activate, merge, times_slope


@triton.jit
def run_activation(z, grad, y, slope, ACTIVATION: tl.constexpr, SIZE: tl.constexpr):  # type: ignore[no-untyped-def]
    place = tl.arange(0, SIZE)
    value = tl.load(z + place)
    tl.store(y + place, activate(value, ACTIVATION))
    tl.store(slope + place, times_slope(tl.load(grad + place), value, ACTIVATION))


@triton.jit
def run_merge(left, right, result, SIZE: tl.constexpr):  # type: ignore[no-untyped-def]
    place = tl.arange(0, SIZE)
    count, mean, m2 = merge(
        tl.load(left + place),
        tl.load(left + SIZE + place),
        tl.load(left + 2 * SIZE + place),
        tl.load(right + place),
        tl.load(right + SIZE + place),
        tl.load(right + 2 * SIZE + place),
    )
    tl.store(result + place, count)
    tl.store(result + SIZE + place, mean)
    tl.store(result + 2 * SIZE + place, m2)


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda z: z,
    "relu": functional.relu,
    "silu": functional.silu,
    "gelu": functional.gelu,
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_and_their_slopes(activation: str, device: torch.device) -> None:
    special = torch.tensor([0.0, -0.0, torch.nan, 1e-30, 80.0, -80.0, 3.0, -3.0], device=device)
    z = torch.cat([special, torch.randn(248, device=device) * 3])
    grad, y, slope = torch.randn(256, device=device), torch.empty_like(z), torch.empty_like(z)
    launch(run_activation, (1,), z, grad, y, slope, ACTIVATION=ACTIVATIONS.index(activation), SIZE=256)
    exact = z.double().requires_grad_()
    expected = FUNCTIONS[activation](exact)
    torch.testing.assert_close(y.double(), expected.detach(), equal_nan=True, rtol=1e-5, atol=1e-6)
    (wanted,) = torch.autograd.grad(expected, exact, grad.double())
    torch.testing.assert_close(slope.double(), wanted, equal_nan=True, rtol=1e-5, atol=1e-6)


def moments(values: Tensor) -> Tensor:
    if not len(values):
        return values.new_zeros(3)
    return torch.stack(
        [values.new_tensor(len(values)), values.mean(), (values - values.mean()).square().sum()]
    )


@pytest.mark.parametrize(("first", "second"), [(5, 7), (1, 1), (0, 3), (4, 0), (0, 0), (1000, 1)])
def test_merged_moments_are_those_of_all(first: int, second: int, device: torch.device) -> None:
    torch.manual_seed(0)
    values = torch.randn(first + second, 4, device=device, dtype=torch.float64) * 3 + 100
    left, right, whole = (
        torch.stack([moments(column) for column in part.unbind(1)], 1)
        for part in (values[:first], values[first:], values)
    )
    result = torch.empty(3, 4, device=device)
    launch(run_merge, (1,), left.float(), right.float(), result, SIZE=4)
    torch.testing.assert_close(result.double(), whole, rtol=1e-5, atol=1e-5)
