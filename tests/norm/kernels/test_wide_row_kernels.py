"""Kernels for wide rows against those for narrow ones, which compute the same in another way."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lightning_tune.norm.kernels import row_launch, row_tiles, rows, wide_row_launch

Near = Callable[..., None]


@pytest.fixture
def widths(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what makes every row a wide one, of blocks of 32 columns at least."""

    def set_wide() -> None:
        for name in ("FORWARD", "BACKWARD"):
            monkeypatch.setattr(row_launch, name, getattr(row_launch, name)._replace(widest=0))
        monkeypatch.setattr(row_tiles, "_ELEMENTS", 256)

    return set_wide


@pytest.mark.parametrize("columns", [1, 31, 32, 33, 100, 128])
@pytest.mark.parametrize("kind", ["layer", "rms"])
@pytest.mark.parametrize("mean", [0.0, 1e4])
def test_wide_and_narrow_agree(
    columns: int, kind: str, mean: float, widths: Callable[[], None], device: torch.device, assert_near: Near
) -> None:
    """Parts merged by Chan's formula against two passes over a row that is held."""
    x, residual, grad, grad_sum = (torch.randn(19, columns, device=device) for _ in range(4))
    x += mean
    weight, bias = (torch.randn(columns, device=device) / 4 + 1 for _ in range(2))

    def run() -> list[Tensor | None]:
        if kind == "layer":
            y, total, average, rstd = rows.add_layer_norm_forward(x, residual, weight, bias, 1e-2)
            grads = rows.add_layer_norm_backward(grad, grad_sum, total, average, rstd, weight, True)
            again = rows.add_layer_norm_backward_from_output(grad, grad_sum, y, rstd, weight, bias)
            return [y, total, average, rstd, *grads, *again]
        y, total, rstd = rows.add_rms_norm_forward(x, residual, weight, 1e-2)
        again_rms = rows.add_rms_norm_backward_from_output(grad, grad_sum, y, rstd, weight)
        return [y, total, rstd, *rows.add_rms_norm_backward(grad, grad_sum, total, rstd, weight), *again_rms]

    expected = run()
    widths()
    for found, other in zip(run(), expected, strict=True):
        assert other is not None
        assert_near(found, other.double(), scale=200, condition=1 + mean / 5)


def test_a_program_takes_many_tiles(
    widths: Callable[[], None], device: torch.device, assert_near: Near, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wide_row_launch, "multiprocessors_of", lambda device: 1)
    x, grad = (torch.randn(150, 70, device=device) for _ in range(2))
    weight = torch.ones(70, device=device)
    widths()
    cut = row_tiles.wide_tiles(150, 70, 1)
    assert cut.programs * cut.rows < 150
    y, mean, rstd = rows.layer_norm_forward(x, weight, None, 1e-5)
    torch.testing.assert_close(y, torch.nn.functional.layer_norm(x, (70,)))
    grad_x, grad_weight, grad_bias = rows.layer_norm_backward(grad, x, mean, rstd, weight, True)
    x.requires_grad_()
    expected = torch.autograd.grad(torch.nn.functional.layer_norm(x, (70,)), x, grad)[0]
    torch.testing.assert_close(grad_x, expected, rtol=1e-4, atol=1e-5)
    assert_near(grad_weight, (grad.double() * y.double()).sum(0), scale=150)
    assert_near(grad_bias, grad.double().sum(0), scale=150)
