"""`GroupNorm` against torch.nn's; PyTorch's own samples are in test_module_info."""

import inspect

import pytest
import torch
from torch import nn

from lightning_tune.norm.group import GroupNorm


def test_the_constructor_is_torchs_and_a_backend():
    found = dict(inspect.signature(GroupNorm).parameters)
    assert found.pop("backend").kind is inspect.Parameter.KEYWORD_ONLY
    wanted = inspect.signature(nn.GroupNorm).parameters
    assert [(name, each.default) for name, each in found.items()] == [
        (name, each.default) for name, each in wanted.items()
    ]


@pytest.mark.parametrize("backend", ["auto", "aten", "reference"])
def test_errors_are_torchs(backend: str):
    with pytest.raises(ValueError, match=r"num_channels \(10\) must be divisible by num_groups \(3\)"):
        GroupNorm(3, 10, backend=backend)
    for layer in (GroupNorm(2, 4, backend=backend), nn.GroupNorm(2, 4)):
        with pytest.raises(RuntimeError, match="at least 2 dimensions"):
            layer(torch.ones(4))
        with pytest.raises(RuntimeError, match="Expected weight to be a vector of size equal"):
            layer(torch.ones(2, 6))


def test_one_group_is_layer_norm_and_as_many_as_channels_instance_norm():
    x = torch.randn(3, 4, 5)
    for backend in ("aten", "reference"):
        one = GroupNorm(1, 4, affine=False, backend=backend)(x)
        torch.testing.assert_close(one, nn.functional.layer_norm(x, (4, 5)))
        each = GroupNorm(4, 4, affine=False, backend=backend)(x)
        torch.testing.assert_close(each, nn.functional.instance_norm(x))
