"""`BatchNorm1d`, `2d` and `3d` against torch.nn's; PyTorch's own samples are in test_module_info."""

import inspect
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from lightning_tune import norm

NAMES = ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d")
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
def test_dimensions_are_torchs(name: str, backend: Any):
    for layer in (getattr(norm, name)(3, backend=backend), getattr(nn, name)(3)):
        for dims in range(1, 7):
            x = torch.randn(2, 3, 2, 2, 2, 2)[(...,) + (0,) * (6 - dims)]
            if dims in {"1d": (2, 3), "2d": (4,), "3d": (5,)}[name[-2:]]:
                assert layer(x).shape == x.shape
            else:
                with pytest.raises(ValueError, match=rf"expected .* input \(got {dims}D input\)"):
                    layer(x)


@pytest.mark.parametrize("backend", BACKENDS)
def test_other_errors_are_torchs(backend: Any):
    for layer in (norm.BatchNorm1d(3, backend=backend), nn.BatchNorm1d(3)):
        with pytest.raises(ValueError, match="Expected more than 1 value per channel when training"):
            layer(torch.ones(1, 3))
        with pytest.raises(RuntimeError, match="running_mean should contain 4 elements not 3"):
            layer(torch.ones(2, 4))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("given", [torch.float32, torch.bfloat16, torch.float16])
def test_types_under_autocast_are_torchs(given: torch.dtype, backend: Any):
    ours, theirs, x = norm.BatchNorm1d(3, backend=backend), nn.BatchNorm1d(3), torch.randn(4, 3).to(given)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ours(x).dtype == theirs(x).dtype == given
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_checkpoint_from_before_the_count(backend: Any):
    state = {name: value for name, value in nn.BatchNorm2d(3).state_dict().items() if "tracked" not in name}
    layer = norm.BatchNorm2d(3, backend=backend)
    layer.load_state_dict(state)
    assert int(layer.num_batches_tracked) == 0


def test_others_know_it_for_a_batch_norm():
    """`update_bn` fills the running statistics anew; conversion to synchronised ones takes them over."""
    data = [torch.randn(8, 3) + 2 for _ in range(4)]
    ours, theirs = (nn.Sequential(kind(3), nn.Linear(3, 1)) for kind in (norm.BatchNorm1d, nn.BatchNorm1d))
    for model in (ours, theirs):
        model[0].running_mean.fill_(9.0)
        update_bn(data, model)
    torch.testing.assert_close(ours[0].state_dict(), theirs[0].state_dict())
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(ours)
    assert isinstance(converted[0], nn.SyncBatchNorm)
    assert converted[0].weight is ours[0].weight
