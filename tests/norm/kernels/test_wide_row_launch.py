"""The launches for wide rows, of an empty matrix and of one that is full."""

import pytest
import torch

from lightning_tune.norm.kernels import wide_row_launch

FLAGS = {"CENTRED": True, "HAS_WEIGHT": True, "HAS_BIAS": True}


@pytest.mark.parametrize("rows", [0, 1, 3])
@pytest.mark.parametrize("columns", [5, 5000])
def test_all_outputs_are_filled(rows: int, columns: int, device: torch.device) -> None:
    x, weight = torch.randn(rows, columns, device=device), torch.randn(columns, device=device)
    y, mean, rstd = (
        torch.full(size, torch.nan, device=device) for size in ((rows, columns), (rows,), (rows,))
    )
    wide_row_launch.forward(x, None, weight, weight, y, x, mean, rstd, 1e-5, {**FLAGS, "ADD": False})
    expected = torch.nn.functional.layer_norm(x, (columns,), weight, weight)
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(mean, x.mean(1), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(
        rstd, (x - x.mean(1, keepdim=True)).square().mean(1).add(1e-5).rsqrt(), rtol=1e-5, atol=1e-6
    )
    grad_x = torch.full_like(y, torch.nan)
    flags = {**FLAGS, "FROM_OUTPUT": False}
    parts = wide_row_launch.backward(x, None, x, (mean, rstd, weight, x), grad_x, flags)
    assert not grad_x.isnan().any()
    torch.testing.assert_close(parts[1].sum(0), x.sum(0), rtol=1e-4, atol=1e-4)
