"""Statistics and sums that several programs share, whatever their number."""

import pytest
import torch

from lightning_tune.norm.kernels import geometry
from lightning_tune.norm.kernels.geometry import View
from lightning_tune.norm.kernels.tile_launch import Shared, added_parts, gradient_type


@pytest.mark.parametrize("programs", [1, 5, 64])
@pytest.mark.parametrize("width", [None, 1, 3, 6])
def test_moments(
    programs: int, width: int | None, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of channels over the batch, and of `width` channels of each sample."""
    monkeypatch.setattr(geometry, "PROGRAMS", programs)
    torch.manual_seed(0)
    x = torch.randn(2, 6, 13, 17, device=device) + 3
    dims = (0, 2, 3) if width is None else (2, 3, 4)
    exact = x.double() if width is None else x.double().unflatten(1, (-1, width))
    shared = Shared(View(x, merge=width is None), width)
    assert shared.cut.blocks * shared.cut.parts <= max(programs, shared.cut.blocks) * 2
    mean, var, rstd = shared.moments(1e-5)
    wanted = exact.var(dims, correction=0).flatten()
    torch.testing.assert_close(mean.double(), exact.mean(dims).flatten(), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(var.double(), wanted, rtol=1e-5, atol=0)
    torch.testing.assert_close(rstd.double(), (wanted + 1e-5).rsqrt(), rtol=1e-5, atol=0)


@pytest.mark.parametrize(("parts", "rows"), [(1, 1), (3, 40), (130, 33), (0, 5)])
def test_parts_are_added(parts: int, rows: int, device: torch.device) -> None:
    left, right = (torch.randn(parts, rows, device=device) for _ in range(2))
    for found, values in zip(added_parts(left, right), (left, right), strict=True):
        torch.testing.assert_close(found.double(), values.double().sum(0), rtol=1e-5, atol=1e-5)


def test_a_gradients_type_is_its_parameters() -> None:
    x, half, single = torch.zeros(2), torch.zeros(2).bfloat16(), torch.zeros(2)
    assert gradient_type(half, single, half) == torch.float32
    assert gradient_type(x, None, half) == torch.bfloat16
    assert gradient_type(half, None, None) == torch.bfloat16
