"""`RMSNorm` against torch.nn's; PyTorch's own samples are in test_module_info."""

import inspect

import pytest
import torch
from torch import nn

from lightning_tune.norm.rms import RMSNorm


def test_the_constructor_is_torchs_and_a_backend():
    found = dict(inspect.signature(RMSNorm).parameters)
    assert found.pop("backend").kind is inspect.Parameter.KEYWORD_ONLY
    wanted = inspect.signature(nn.RMSNorm).parameters
    assert [(name, each.default) for name, each in found.items()] == [
        (name, each.default) for name, each in wanted.items()
    ]


@pytest.mark.parametrize("shape", [4, (4,), [2, 4], torch.Size([2, 4])])
def test_rows_of_any_shape(shape):
    ours, theirs, x = RMSNorm(shape, backend="reference"), nn.RMSNorm(shape), torch.randn(3, 2, 4)
    assert ours.normalized_shape == theirs.normalized_shape
    torch.testing.assert_close(ours(x), theirs(x))


def test_a_parametrized_weight_is_used():
    ours, theirs, x = RMSNorm(4), nn.RMSNorm(4), torch.randn(3, 4)

    class Doubled(nn.Module):
        def forward(self, weight: torch.Tensor) -> torch.Tensor:
            return 2 * weight

    for layer in (ours, theirs):
        nn.utils.parametrize.register_parametrization(layer, "weight", Doubled())
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours(x), 2 * nn.functional.rms_norm(x, (4,)))


def test_eps_of_the_type_that_is_computed_in():
    tiny = torch.full((1, 4), 1e-4)
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        for backend in ("aten", "reference"):
            given = tiny.to(dtype)
            found = RMSNorm(4, dtype=dtype, backend=backend)(given)
            eps = torch.finfo(torch.promote_types(dtype, torch.float32)).eps
            wanted = given.double() / (given.double().square() + eps).sqrt()
            torch.testing.assert_close(found.double(), wanted, rtol=0.01, atol=0)
