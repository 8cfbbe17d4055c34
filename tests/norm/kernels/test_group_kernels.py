"""Several small groups in one program: the same as one a program, for each group by itself."""

import pytest
import torch

from lightning_tune.norm.kernels import geometry
from lightning_tune.norm.kernels.geometry import View
from lightning_tune.norm.kernels.groups import group_norm_backward, group_norm_forward


@pytest.mark.parametrize(("size", "groups"), [((7, 10), 5), ((3, 6, 5, 5), 3), ((1, 8, 3), 8)])
def test_groups_of_a_program_do_not_mix(
    size: tuple[int, ...], groups: int, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    x, grad = (torch.randn(size, device=device) for _ in range(2))
    weight, bias = (torch.randn(size[1], device=device) for _ in range(2))
    width = size[1] // groups

    def run() -> list[torch.Tensor]:
        y, mean, rstd = group_norm_forward(x, groups, weight, bias, 1e-5)
        return [y, mean, rstd, *group_norm_backward(grad, x, mean, rstd, weight, groups)]

    several = run()
    cut = View(x, merge=False).whole_group(width)
    assert cut is not None
    assert cut.groups > 1
    monkeypatch.setattr(geometry, "_SMALLEST", 1)
    cut = View(x, merge=False).whole_group(width)
    assert cut is not None
    assert cut.groups == 1
    for found, other in zip(several, run(), strict=True):
        torch.testing.assert_close(found, other, rtol=1e-6, atol=1e-6)
