"""How moments are merged, by the kernel alone: against the moments of all values in float64."""

import pytest
import torch

from lightning_tune.norm.kernels.channel_kernels import merge_moments
from lightning_tune.norm.kernels.launch import launch

EPS = 1e-5


@pytest.mark.parametrize("parts", [1, 3, 40])
@pytest.mark.parametrize(("rows", "width"), [(1, 1), (5, 1), (33, 1), (4, 3), (1, 37)])
def test_moments_of_parts_and_channels_are_joined(
    parts: int, rows: int, width: int, device: torch.device
) -> None:
    """Parts of 0 to 4 values around 1e4, handed over less their statistic's shift."""
    torch.manual_seed(0)
    values = torch.randn(parts, rows, width, 4, dtype=torch.float64) * torch.rand(parts, rows, width, 1)
    there = torch.arange(4) < torch.randint(0, 5, (parts, rows, width, 1))
    there[0] = True
    count = there.sum(-1)
    mean = (values * there).sum(-1) / count.clamp(min=1)
    squares = ((values - mean[..., None]).square() * there).sum(-1)
    shift = (1e4 + torch.arange(rows)).repeat_interleave(width).double()
    planes = [count.double(), mean, squares]
    moments = torch.cat([*(plane.reshape(parts, -1) for plane in planes), shift[None]]).float().to(device)
    found = [torch.empty(rows, device=device) for _ in range(3)]
    sizes = (parts, rows, width, EPS)
    launch(merge_moments, (-(-rows // 8),), moments, *found, *sizes, PARTS=16, ROWS=8)
    for row in range(rows):
        chosen = values[:, row][there[:, row]]
        wanted = [1e4 + row + chosen.mean(), chosen.var(correction=0)]
        wanted.append((wanted[1] + EPS).rsqrt())
        for each, exact, bound in zip(found, wanted, (1e-3, 1e-6, 2e-4), strict=True):
            assert abs(float(each[row]) - float(exact)) <= bound
