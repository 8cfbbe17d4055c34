"""Batch norm, alone and with an activation, by each backend, against torch's."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as theirs
from torch.testing import assert_close

from lightning_tune.errors import ArgumentError
from lightning_tune.norm import functional as ours
from lightning_tune.norm.channel_functions import checked_activation

BACKENDS = ("auto", "aten", "reference")
SHAPES = [(5, 4), (2, 4, 3), (2, 4, 3, 2), (1, 4, 2, 1, 2), (0, 4), (2, 4, 0)]
ACTIVATIONS = {"none": lambda x: x, "relu": theirs.relu, "silu": theirs.silu, "gelu": theirs.gelu}
WITHIN = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 2**-6, torch.float16: 2**-9}


def near(found: Tensor, wanted: Tensor) -> None:
    within = WITHIN[wanted.dtype]
    assert_close(found, wanted, rtol=within, atol=within)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", WITHIN)
def test_shapes_and_types(shape: tuple[int, ...], training: bool, dtype: torch.dtype, backend: Any):
    """Parameters and statistics are in single precision for half inputs, as under mixed precision."""
    input, single = torch.randn(shape).to(dtype), torch.promote_types(dtype, torch.float32)
    weight, bias = torch.randn(4).to(single), torch.randn(4).to(single)
    mine, other = ([torch.zeros(4).to(single), torch.ones(4).to(single)] for _ in range(2))
    found = ours.batch_norm(input, *mine, weight, bias, training, 0.3, backend=backend)
    near(found, theirs.batch_norm(input, *other, weight, bias, training, 0.3))
    assert_close(mine, other, rtol=1e-5, atol=1e-5)
    for name, function in ACTIVATIONS.items():
        options = {"activation": name, "backend": backend}
        found = ours.batch_norm_act(input, *mine, weight, bias, training, 0.3, **options)
        wanted = theirs.batch_norm(input.to(single), *other, weight, bias, training, 0.3)
        near(found, function(wanted).to(dtype))
        assert_close(mine, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_statistics_or_parameters(backend: Any):
    input = torch.randn(5, 4)
    near(
        ours.batch_norm(input, None, None, training=True, backend=backend),
        theirs.batch_norm(input, None, None, training=True),
    )
    mean, var = torch.zeros(4), torch.ones(4)
    near(ours.batch_norm(input, mean, var, eps=0.0, backend=backend), input)
    assert (mean.tolist(), var.tolist()) == ([0.0] * 4, [1.0] * 4)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_autocast_leaves_the_type(dtype: torch.dtype, backend: Any):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for function in (ours.batch_norm, ours.batch_norm_act):
            found = function(torch.randn(5, 4).to(dtype), None, None, training=True, backend=backend)
            assert found.dtype == dtype


@pytest.mark.parametrize("backend", BACKENDS)
def test_large_means_lose_no_digits(backend: Any):
    input = torch.randn(64, 3, 32) + 1e4
    wanted = theirs.batch_norm(input.double(), None, None, training=True)
    found = ours.batch_norm(input, None, None, training=True, backend=backend)
    assert_close(found.double(), wanted, rtol=0, atol=5e-3)


def test_activations():
    assert checked_activation("silu") == "silu"
    with pytest.raises(ArgumentError, match="activation"):
        checked_activation("RELU")
