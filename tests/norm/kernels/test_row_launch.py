"""That results do not depend on how matrices are cut."""

from collections.abc import Callable

import pytest
import torch

from lightning_tune.norm.kernels import row_launch, rows
from lightning_tune.norm.kernels.row_tiles import BACKWARD, tiles

Near = Callable[..., None]


@pytest.mark.parametrize("multiprocessors", [1, 3])
def test_a_program_takes_many_tiles(
    multiprocessors: int, device: torch.device, assert_near: Near, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same gradients from one program and from 132: only the order of the sums differs."""
    x, grad = (torch.randn(301, 40, device=device) for _ in range(2))
    weight = torch.randn(40, device=device)

    def run() -> list[torch.Tensor | None]:
        y, mean, rstd = rows.layer_norm_forward(x, weight, weight, 1e-5)
        return [y, mean, rstd, *rows.layer_norm_backward(grad, x, mean, rstd, weight, True)]

    expected = run()
    monkeypatch.setattr(row_launch, "multiprocessors_of", lambda device: multiprocessors)
    cut = tiles(BACKWARD, 301, 40, 4, multiprocessors)
    assert cut.programs == multiprocessors < 301 / cut.rows
    for found, other in zip(run(), expected, strict=True):
        assert other is not None
        assert_near(found, other.double(), scale=301)


def test_a_matrix_that_spans_too_much_is_copied(device: torch.device) -> None:
    """Rows of columns that are 2^30 numbers apart, on a tensor that has no memory of its own."""
    near = torch.empty(4, 4, device=device).t()
    far = torch.empty((2, 3), device="meta").as_strided((2, 3), (1, 2**30))
    assert row_launch._near(near) is near
    assert row_launch._near(None) is None
    assert row_launch._near(far).is_contiguous()
