"""`InstanceNorm1d`, `2d` and `3d` against torch.nn's; PyTorch's own samples are in test_module_info."""

import inspect
from typing import Any

import pytest
import torch
from torch import nn

from lightning_tune import norm

NAMES = ("InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d")
BACKENDS = ("auto", "aten", "reference")


@pytest.mark.parametrize("name", NAMES)
def test_the_constructor_is_torchs_and_a_backend(name: str):
    found = dict(inspect.signature(getattr(norm, name)).parameters)
    assert found.pop("backend").kind is inspect.Parameter.KEYWORD_ONLY
    wanted = inspect.signature(getattr(nn, name)).parameters
    assert [(each, value.default) for each, value in found.items()] == [
        (each, value.default) for each, value in wanted.items()
    ]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", NAMES)
def test_dimensions_and_errors_are_torchs(name: str, backend: Any):
    positions = int(name[-2])
    for layer in (getattr(norm, name)(3, affine=True, backend=backend), getattr(nn, name)(3, affine=True)):
        whole = torch.randn(2, 3, *[4] * positions)
        torch.testing.assert_close(layer(whole)[1], layer(whole[1]))
        for wrong in (whole[..., None], whole[0, 0]):
            with pytest.raises(ValueError, match=rf"expected .* input \(got {wrong.dim()}D input\)"):
                layer(wrong)
        with pytest.raises(ValueError, match=r"to match num_features \(3\), but got: 2"):
            layer(whole[:, :2])
        with pytest.raises(ValueError, match="Expected more than 1 spatial element"):
            layer(torch.ones(2, 3, *[1] * positions))


@pytest.mark.parametrize("backend", BACKENDS)
def test_other_channels_than_announced_are_a_warning(backend: Any):
    with pytest.warns(UserWarning, match="does not match num_features"):
        assert norm.InstanceNorm1d(3, backend=backend)(torch.randn(2, 4, 5)).shape == (2, 4, 5)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("momentum", [0.3, None])
def test_statistics_are_torchs(momentum: float | None, backend: Any):
    ours = norm.InstanceNorm1d(3, momentum=momentum, track_running_stats=True, backend=backend)
    theirs = nn.InstanceNorm1d(3, momentum=momentum, track_running_stats=True)
    for step in range(3):
        x = torch.randn(4, 3, 6) + step
        torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))
    torch.testing.assert_close(ours(x[0]), theirs(x[0]))
