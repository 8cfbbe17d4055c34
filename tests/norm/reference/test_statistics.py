import numpy as np
import pytest
import torch

from lightning_tune.norm.reference.statistics import following, moments, scaled, widened


@pytest.mark.parametrize(
    ("stored", "computed"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_narrow_types_are_widened(stored: torch.dtype, computed: torch.dtype) -> None:
    values = torch.tensor([1.5, -2.0], dtype=stored)
    assert widened(values).dtype == computed
    assert widened(values).tolist() == [1.5, -2.0]


@pytest.mark.parametrize("dims", [(0,), (1,), (0, 2), (-2, -1)])
def test_moments_are_those_of_numpy(dims: tuple[int, ...]) -> None:
    values = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mean, variance = moments(values, dims)
    np.testing.assert_allclose(mean, values.numpy().mean(dims, keepdims=True), rtol=1e-13)
    np.testing.assert_allclose(variance, values.numpy().var(dims, keepdims=True), rtol=1e-13)


def test_a_large_mean_leaves_the_variance_its_digits() -> None:
    """In float32; the mean square less the square of the mean is off by more than the variance itself."""
    values = torch.randn(1, 1000, generator=torch.Generator().manual_seed(0)) + 1e4
    _, variance = moments(values, (1,))
    expected = values.double().numpy().var()
    assert abs(variance.item() - expected) < 1e-4
    assert abs((values.square().mean() - values.mean().square()).item() - expected) > 1


def test_moments_of_nothing_are_zero() -> None:
    mean, variance = moments(torch.empty(0, 3), (0,))
    assert mean.tolist() == variance.tolist() == [[0.0] * 3]


def test_following_keeps_the_values_and_adds_the_derivatives() -> None:
    values = torch.randn(3, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values.requires_grad_()
    mean, variance = moments(values, (1,))
    rstd = torch.rsqrt(variance + 0.1)
    saved = mean.detach(), rstd.detach()
    again = following(values, *saved, (1,))
    for new, old in zip(again, (mean, rstd), strict=True):
        torch.testing.assert_close(new, old, rtol=1e-14, atol=1e-14)
        (of_new,) = torch.autograd.grad(new.pow(3).sum(), values, retain_graph=True)
        (of_old,) = torch.autograd.grad(old.pow(3).sum(), values, retain_graph=True)
        torch.testing.assert_close(of_new, of_old)
    with torch.no_grad():
        untouched = following(values, *saved, (1,))
    assert all(new is old for new, old in zip(untouched, saved, strict=True))


def test_scaled_takes_either_both_or_none() -> None:
    rows, weight, bias = torch.tensor([[1.0, 2.0]]), torch.tensor([3.0, 4.0]), torch.tensor([5.0, 6.0])
    assert scaled(rows, None, None) is rows
    assert scaled(rows, weight, None).tolist() == [[3.0, 8.0]]
    assert scaled(rows, None, bias).tolist() == [[6.0, 8.0]]
    assert scaled(rows, weight, bias).tolist() == [[8.0, 14.0]]
