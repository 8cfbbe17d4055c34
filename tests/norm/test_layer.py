"""`LayerNorm` against torch.nn's; PyTorch's own samples are in test_module_info."""

import inspect

import pytest
import torch
from torch import nn

from lightning_tune import norm
from lightning_tune.norm.layer import LayerNorm


def test_the_constructor_is_torchs_and_a_backend():
    found = dict(inspect.signature(LayerNorm).parameters)
    assert found.pop("backend").kind is inspect.Parameter.KEYWORD_ONLY
    wanted = inspect.signature(nn.LayerNorm).parameters
    assert [(name, each.default) for name, each in found.items()] == [
        (name, each.default) for name, each in wanted.items()
    ]


@pytest.mark.parametrize("shape", [4, (4,), [2, 4], torch.Size([2, 4])])
def test_rows_of_any_shape(shape):
    ours, theirs, x = LayerNorm(shape, backend="reference"), nn.LayerNorm(shape), torch.randn(3, 2, 4)
    assert ours.normalized_shape == theirs.normalized_shape
    torch.testing.assert_close(ours(x), theirs(x))


def test_a_parametrized_weight_is_used():
    ours, theirs, x = LayerNorm(4), nn.LayerNorm(4), torch.randn(3, 4)

    class Doubled(nn.Module):
        def forward(self, weight: torch.Tensor) -> torch.Tensor:
            return 2 * weight

    for layer in (ours, theirs):
        nn.utils.parametrize.register_parametrization(layer, "weight", Doubled())
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours(x), 2 * nn.functional.layer_norm(x, (4,)))


def test_within_a_transformer_it_is_used():
    """The encoder layer's fast path takes weight and eps of its norms for its own, as it takes torch.nn's."""
    theirs = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    x = torch.randn(2, 3, 8)
    with torch.no_grad():
        wanted = theirs(x)
        norm.replace_norms(theirs, backend="reference")
        assert type(theirs.norm1) is LayerNorm
        torch.testing.assert_close(theirs(x), wanted)
