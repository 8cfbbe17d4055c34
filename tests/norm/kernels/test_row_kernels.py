"""Single kernels, where a launcher would hide what they do."""

import pytest
import torch

from lightning_tune.norm.kernels.launch import launch
from lightning_tune.norm.kernels.row_kernels import add_parts, forward_rows


@pytest.mark.parametrize("parts", [0, 1, 7, 64, 200])
def test_parts_are_added_up(parts: int, device: torch.device) -> None:
    weight_parts, bias_parts = (torch.randn(parts, 37, device=device) for _ in range(2))
    weight, bias = (torch.full((37,), torch.nan, device=device) for _ in range(2))
    flags = {"HAS_WEIGHT": True, "HAS_BIAS": True, "PARTS": 64, "COLUMNS": 16}
    launch(add_parts, (3,), weight_parts, bias_parts, weight, bias, parts, 37, **flags)
    torch.testing.assert_close(weight, weight_parts.sum(0), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(bias, bias_parts.sum(0), rtol=1e-5, atol=1e-5)


def test_an_absent_parameter_is_left_alone(device: torch.device) -> None:
    """What stands in for it is neither read nor written."""
    parts, nan = torch.ones(2, 8, device=device), torch.full((8,), torch.nan, device=device)
    result = torch.empty(8, device=device)
    flags = {"HAS_WEIGHT": True, "HAS_BIAS": False, "PARTS": 4, "COLUMNS": 8}
    launch(add_parts, (1,), parts, nan, result, nan, 2, 8, **flags)
    assert torch.equal(result, torch.full_like(result, 2))
    assert bool(nan.isnan().all())


@pytest.mark.parametrize(("tile_rows", "tile_columns"), [(1, 16), (4, 16), (16, 32)])
def test_nothing_beyond_the_rows_is_written(tile_rows: int, tile_columns: int, device: torch.device) -> None:
    """Tiles reach beyond a matrix of 5 x 11; outputs lie in larger buffers, which keep their NaN."""
    x = torch.randn(5, 11, device=device)
    y, mean, rstd = (torch.full((size,), torch.nan, device=device) for size in (7 * 16, 16, 16))
    flags = {"CENTRED": True, "ADD": False, "HAS_WEIGHT": False, "HAS_BIAS": False}
    sizes = {"ROWS": tile_rows, "COLUMNS": tile_columns}
    launch(forward_rows, (2,), x, x, x, x, y, x, mean, rstd, 5, 11, 11, 1, 11, 1, 1e-5, **flags, **sizes)
    expected = torch.nn.functional.layer_norm(x, (11,))
    torch.testing.assert_close(y[:55].view(5, 11), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(mean[:5], x.mean(1), rtol=1e-5, atol=1e-6)
    assert bool(torch.cat([y[55:], mean[5:], rstd[5:]]).isnan().all())
